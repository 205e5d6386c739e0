"""The setting and result of a contender, and the clock and functions that all contenders share."""

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
"""Number of batches that each worker of a DataLoader prefetches by default."""


@dataclass(frozen=True)
class Setting:
    """The setting of a comparison.

    Attributes:
        folder: Folder of images and labels in the layout of the Al-Kafri data.
        encoder: Name of the encoder, which is the same in timm and in the other libraries.
        size: Height and width in pixels.
        batch: Images per step.
        warmup: Number of steps before the clock starts.
        steps: Number of timed steps.
        workers: Number of processes that load data and, except with this package, augment it.
        threads: Number of CPU threads of the training process.
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
        """The number of timed images."""
        return self.batch * self.steps

    @property
    def batches(self) -> int:
        """The number of steps, including the warm-up."""
        return self.warmup + self.steps

    @property
    def length(self) -> int:
        """The number of images of the epoch.

        It exceeds the number of images used, so that workers still prefetch during the last step. Otherwise, part of
        their work would be done before the clock starts, without any work after the last step to compensate.
        """
        return self.batch * (self.batches + AHEAD * self.workers)


@dataclass(frozen=True)
class Result:
    """The result of a contender.

    Attributes:
        seconds: Time of the timed steps, with everything between them.
        step_seconds: Time of the same number of isolated steps on one batch in memory.
        shares: Fractions of ``seconds`` by activity; the remainder is the loop itself.
        memory: Peak memory in bytes: of the device on a GPU, otherwise of the process.
        flops: Floating-point operations of an isolated step, from the shapes of the layers.
        loss: Loss of the last step, as evidence of training.
    """

    seconds: float
    step_seconds: float
    shares: dict[str, float]
    memory: int
    flops: float
    loss: float


class Clock:
    """A clock that accumulates the time of named activities, synchronising with a GPU.

    Args:
        device: ``cpu`` or ``cuda``.

    Attributes:
        spent: Seconds by activity.
    """

    def __init__(self, device: str) -> None:
        self.device = device
        self.spent: defaultdict[str, float] = defaultdict(float)

    def now(self) -> float:
        """Return the time in seconds, after all work of the device has finished."""
        if self.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Time a ``with`` block."""
        start = self.now()
        yield
        self.spent[name] += self.now() - start

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that times each call."""

        def run(*args: Any, **kwargs: Any) -> Any:
            with self(name):
                return function(*args, **kwargs)

        return run

    def time_method(self, name: str, target: object, method: str) -> None:
        """Replace a method of an object with one that times each call."""
        setattr(target, method, self.timed(name, getattr(target, method)))


def time_isolated_steps(step: Callable[[], Tensor], setting: Setting, clock: Clock) -> float:
    """Return the time of ``setting.steps`` steps after a warm-up, in seconds."""
    for _ in range(setting.warmup):
        step()
    start = clock.now()
    for _ in range(setting.steps):
        step()
    return clock.now() - start


def count_flops(network: nn.Module, image: Tensor) -> float:
    """Return the number of floating-point operations of forward and backward pass on a batch."""
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    with counter:
        network(image[:1].float()).sum().backward()
    network.zero_grad()
    return counter.get_total_flops() * len(image)


def read_peak_memory(device: str) -> int:
    """Return the peak memory in bytes."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def run_from_command_line(contender: Callable[[Setting], Result]) -> None:
    """Run a contender with the setting given on the command line as JSON, and print its result as JSON."""
    setting = Setting(**json.loads(sys.argv[1]))
    torch.set_num_threads(setting.threads)
    torch.manual_seed(0)
    print(json.dumps(asdict(contender(setting))))


def list_files(setting: Setting) -> list[tuple[Path, Path]]:
    """Return composite and label of each slice of an epoch; slices repeat if there are too few."""
    root = Path(setting.folder) / "05_Final_Ground_Truth_Data"
    images = sorted((root / "Composite_Images").glob("C1_*.png"))
    pairs = [(path, root / "Label_Images" / path.name.replace("C1_", "L1_")) for path in images]
    return [pairs[index % len(pairs)] for index in range(setting.length)]
