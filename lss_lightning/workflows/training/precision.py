"""The choice of the precision on a CPU by a short measurement of the network's own training or inference step."""

from __future__ import annotations

import hashlib
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from lss_lightning.config.train import TrainConfig
from lss_lightning.data.batches import SliceDataset
from lss_lightning.data.datamodule import SliceDataModule
from lss_lightning.files import file_lock, write_json
from lss_lightning.sweeps.folder import find_sweep_folder
from lss_lightning.workflows.training.hardware import read_cpu_flags
from lss_lightning.workflows.training.identity import make_spec

STORE = "step-times.json"
"""The file that stores measured times."""

GAIN = 1.15
"""The minimum speed-up for which bf16 is chosen. Smaller gains are within the noise of a shared machine."""

REPEATS = 5
"""The number of timed steps in each precision, of which the median is used."""

IMAGES = 2
"""The number of images in a timed step.

Batch norm needs more than one value per channel, and a full batch would take a minute.
"""


@dataclass(frozen=True)
class StepTimes:
    """The median duration of a step in each precision.

    Attributes:
        bf16: The duration in bf16 mixed precision, in seconds.
        fp32: The duration in float32, in seconds.
    """

    bf16: float
    fp32: float

    @property
    def precision(self) -> str:
        """Lightning's name of the precision to use."""
        return "bf16-mixed" if self.fp32 >= GAIN * self.bf16 else "32-true"

    def __str__(self) -> str:
        return f"a step takes {self.bf16:.2g} s in bf16 and {self.fp32:.2g} s in fp32"


def measure_training_step(config: TrainConfig, data: SliceDataModule, folder: Path) -> StepTimes:
    """Measure a training step of the configured network, or return the times of an earlier measurement.

    The times are stored by machine and network in the cache folder, or in the run directory if there is no cache. All
    jobs of a sweep use the times of the first job, so that they are comparable.

    Args:
        config: The configuration of the run.
        data: The data module, already set up and with its working spacing chosen.
        folder: The run directory.
    """
    image = SliceDataset(data.part("train")[:1], data.spacing, label_on_working_grid=True)[0]["image"]
    spec, size = make_spec(config, image.shape[0]), (IMAGES, *image.shape)

    def measure() -> StepTimes:
        return time_steps(spec.build(), torch.rand(size))

    if sweep := find_sweep_folder(folder):
        return measure_once(sweep / STORE, "all jobs", measure)
    store = folder if config.paths.cache is None else Path(config.paths.cache)
    return measure_once(store / STORE, describe_step(str(spec), size, read_cpu_flags()), measure)


def measure_once(store: Path, key: str, measure: Callable[[], StepTimes]) -> StepTimes:
    """Return the stored times of a step, or measure and store them. Other processes wait for the measurement.

    Args:
        store: The JSON file of the times.
        key: A text that identifies the conditions of the measurement: machine, network and image size.
        measure: The function that measures the times.
    """
    store.parent.mkdir(parents=True, exist_ok=True)
    with file_lock(store.with_name(f".{store.name}.lock")):
        times = _read_times(store)
        if key not in times:
            times[key] = measure()
            write_json(store, {name: vars(entry) for name, entry in times.items()})
        return times[key]


def describe_step(network: str, size: tuple[int, ...], flags: frozenset[str]) -> str:
    """Return the key of a measurement.

    Args:
        network: A text that identifies the architecture.
        size: The shape of the images.
        flags: The flags of the CPU that name its relevant instruction sets.
    """
    digest = hashlib.sha256(network.encode()).hexdigest()[:16]
    machine = f"{' '.join(sorted(flags))}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    return f"{machine}, {digest}, {'x'.join(map(str, size))}"


def time_steps(network: nn.Module, images: Tensor) -> StepTimes:
    """Measure the duration of a training step in both precisions in turns, after a warm-up step in each.

    The weights of the network do not change, but its batch-norm statistics do. Pass a copy to preserve them.

    Args:
        network: The network, which maps (B, C, H, W) to (B, K, H, W).
        images: The images, (B, C, H, W), float32.
    """
    network = network.to(memory_format=torch.channels_last).train()
    images = images.contiguous(memory_format=torch.channels_last)
    durations: dict[bool, list[float]] = {True: [], False: []}
    with torch.random.fork_rng(devices=[]):  # the network may have dropout
        for repeat in range(REPEATS + 1):
            for bf16, measured in durations.items():
                start = time.perf_counter()
                _take_step(network, images, bf16=bf16)
                if repeat:
                    measured.append(time.perf_counter() - start)
    return StepTimes(statistics.median(durations[True]), statistics.median(durations[False]))


def _take_step(network: nn.Module, images: Tensor, *, bf16: bool) -> None:
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        output = network(images)
    heads = output if isinstance(output, list | tuple) else [output]
    torch.stack([head.float().square().mean() for head in heads]).sum().backward()
    network.zero_grad()


def _read_times(store: Path) -> dict[str, StepTimes]:
    if not store.is_file():
        return {}
    try:
        content = json.loads(store.read_text(encoding="utf-8"))
        return {name: StepTimes(float(entry["bf16"]), float(entry["fp32"])) for name, entry in content.items()}
    except (ValueError, TypeError, KeyError, AttributeError):
        return {}  # the file is damaged and will be written again
