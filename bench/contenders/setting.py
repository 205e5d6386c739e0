"""What every contender is given, what it must answer, and how it takes its time."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

CLASSES = 6
AHEAD = 2
"""Batches that each worker of a DataLoader keeps ready, by default."""


@dataclass(frozen=True)
class Setting:
    """One row of the comparison.

    Attributes:
        folder: Images and labels in the layout of the Al-Kafri data.
        encoder: timm's name, which is also what the others call it.
        size: Pixels a side.
        batch: Images per step.
        warmup: Steps before the clock starts.
        steps: Steps that count.
        workers: Processes that read and, with the others, augment.
        threads: CPU threads of the training process.
        device: ``cpu`` or ``cuda``.
    """

    folder: str
    encoder: str
    size: int
    batch: int
    warmup: int
    steps: int
    workers: int
    threads: int
    device: str

    @property
    def images(self) -> int:
        """Images that count."""
        return self.batch * self.steps

    @property
    def batches(self) -> int:
        """Steps that a contender runs."""
        return self.warmup + self.steps

    @property
    def length(self) -> int:
        """Images of the epoch: more than a contender gets to, so that its workers still read ahead at the last step.

        Else part of their work would be done before the clock starts, and none would follow.
        """
        return self.batch * (self.batches + AHEAD * self.workers)


@dataclass(frozen=True)
class Measured:
    """A contender's answer.

    Attributes:
        seconds: Of the steps that count, with all that happens between them.
        step_seconds: Of as many bare steps on one batch that is there already.
        shares: Of ``seconds``, by what they were spent on; what is missing to 1 is the loop around it.
        memory: Greatest memory in bytes: the device's on a GPU, else the process's.
        flops: Floating-point operations of a bare step, by the layers' shapes.
        loss: The last step's, to show that it trained.
    """

    seconds: float
    step_seconds: float
    shares: dict[str, float]
    memory: int
    flops: float
    loss: float


class Clock:
    """Adds up the time spent on named things; on a GPU it waits for what has been started."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.spent: defaultdict[str, float] = defaultdict(float)

    def now(self) -> float:
        """Seconds, once the device has done what it was told."""
        if self.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Time what happens within."""
        start = self.now()
        yield
        self.spent[name] += self.now() - start

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, timed."""

        def run(*args: Any, **kwargs: Any) -> Any:
            with self(name):
                return function(*args, **kwargs)

        return run


def bare_steps(step: Callable[[], Tensor], setting: Setting, clock: Clock) -> float:
    """Seconds of ``setting.steps`` steps after a warm-up."""
    for _ in range(setting.warmup):
        step()
    start = clock.now()
    for _ in range(setting.steps):
        step()
    return clock.now() - start


def count_flops(network: nn.Module, image: Tensor) -> float:
    """Floating-point operations of forward and backward pass over a batch."""
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    with counter:
        network(image[:1].float()).sum().backward()
    network.zero_grad()
    return counter.get_total_flops() * len(image)


def peak_memory(device: str) -> int:
    """Bytes."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def answer(contender: Callable[[Setting], Measured]) -> None:
    """Run a contender with the setting on the command line, and print what was measured as JSON, last."""
    setting = Setting(**json.loads(sys.argv[1]))
    torch.set_num_threads(setting.threads)
    torch.manual_seed(0)
    print(json.dumps(asdict(contender(setting))))


def files(setting: Setting) -> list[tuple[Path, Path]]:
    """Composite and label of every slice; fewer slices than an epoch needs come again."""
    root = Path(setting.folder) / "05_Final_Ground_Truth_Data"
    images = sorted((root / "Composite_Images").glob("C1_*.png"))
    pairs = [(path, root / "Label_Images" / path.name.replace("C1_", "L1_")) for path in images]
    return [pairs[index % len(pairs)] for index in range(setting.length)]
