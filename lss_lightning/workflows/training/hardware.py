"""The devices and precision that a run uses, and the reason for the precision."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytorch_lightning as pl
import torch

from lss_lightning.config.trainer import TrainerConfig
from lss_lightning.data.processors import count_processors
from lss_lightning.models.ensemble import EnsembleModule
from lss_lightning.models.segmentation import SegmentationModule
from lss_lightning.workflows.training.memory import can_keep_freed_memory

if TYPE_CHECKING:
    from lss_lightning.workflows.training.precision import StepTimes

CPU_INFO = Path("/proc/cpuinfo")


def resolve_precision(
    config: TrainerConfig, earlier: str | None = None, measure: Callable[[], StepTimes] | None = None
) -> tuple[str, str]:
    """Choose the precision of a run.

    ``auto`` chooses bf16 if the hardware multiplies it natively, because bf16 is faster than float32 and needs no loss
    scaling: on GPUs with compute capability 8.0 or higher and on CPUs with AMX or AVX512-BF16. CPUs with AVX512-BF16
    but without AMX may be slower in bf16, so on CPUs a measurement, if given, determines the choice.

    Args:
        config: The ``trainer`` section.
        earlier: The precision that a resumed run has used so far.
        measure: The function that measures the duration of a step on the CPU.

    Returns:
        Lightning's name of the precision, and the reason for the choice.
    """
    if config.precision != "auto":
        return config.precision, "as set"
    if earlier not in (None, "auto"):
        return earlier, "as before"
    if config.accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        major, minor = torch.cuda.get_device_capability()
        return ("bf16-mixed" if major >= 8 else "32-true"), f"GPU of compute capability {major}.{minor}"
    if config.accelerator == "mps" or (config.accelerator == "auto" and torch.backends.mps.is_available()):
        return "32-true", "Apple GPU"
    flags = read_cpu_flags() & {"amx_bf16", "avx512_bf16"}
    if flags:
        processor = f"CPU with {' and '.join(sorted(flags))}"
        if measure is None:
            return "bf16-mixed", processor
        times = measure()
        return times.precision, f"{processor}: {times}"
    return "32-true", "CPU without native bf16"


def resolve_test_precision(config: TrainerConfig, ensemble: EnsembleModule) -> tuple[str, str]:
    """Choose the precision of an evaluation or prediction. ``auto`` keeps float32 for networks trained in float32.

    Args:
        config: The ``trainer`` section.
        ensemble: The networks. Only the training precision of the first network is considered.

    Returns:
        Lightning's name of the precision, and the reason for the choice.
    """
    first = ensemble.members[0]
    metadata = first.metadata if isinstance(first, SegmentationModule) else {}
    trained = metadata.get("config", {}).get("trainer", {}).get("precision")
    if config.precision == "auto" and trained == "32-true":
        return trained, "as in training"
    return resolve_precision(config)


@dataclass(frozen=True)
class Hardware:
    """The devices and precision of a run, printed and stored in ``metrics.json``.

    Attributes:
        device: ``cpu``, or the name of the GPU.
        processes: The total number of processes on all machines.
        precision: Lightning's name of the precision.
        reason: The reason for the precision.
        fast: The optimisations in use.
    """

    device: str
    processes: int
    precision: str
    reason: str
    fast: tuple[str, ...]

    @classmethod
    def from_trainer(
        cls,
        trainer: pl.Trainer,
        config: TrainerConfig,
        reason: str,
        *,
        is_fused: bool = False,
        is_compiled: bool = False,
    ) -> Hardware:
        """Describe the hardware that a trainer uses.

        Args:
            trainer: The trainer built from ``config``.
            config: The ``trainer`` section, with the precision resolved.
            reason: The reason for the precision.
            is_fused: Whether the optimizer updates all weights in one kernel.
            is_compiled: Whether the network is compiled.
        """
        root = trainer.strategy.root_device
        cuda = root.type == "cuda"
        optimisations = {
            "channels last": True,
            "TF32": cuda and config.precision == "32-true",
            "cuDNN benchmark": cuda and config.uses_benchmark,
            "fused optimizer": is_fused,
            "freed memory kept": root.type == "cpu" and can_keep_freed_memory(),
            "compiled": is_compiled,
        }
        return cls(
            device=torch.cuda.get_device_name(root) if cuda else root.type,
            processes=trainer.world_size,
            precision=config.precision,
            reason=reason,
            fast=tuple(name for name, is_used in optimisations.items() if is_used),
        )

    def __str__(self) -> str:
        fast = ", ".join(self.fast)
        return f"{self.processes} × {self.device}, precision {self.precision} ({self.reason}), {fast}"


def limit_threads() -> None:
    """Limit the number of torch's threads to the number of processors available to this process.

    torch counts the processors of the machine, even in a container with a quota. ``OMP_NUM_THREADS``, which joblib sets
    for parallel jobs, takes precedence.
    """
    processors = count_processors()
    if "OMP_NUM_THREADS" not in os.environ and processors < torch.get_num_threads():
        torch.set_num_threads(processors)


def read_cpu_flags() -> frozenset[str]:
    """Return the CPU flags that Linux reports, such as ``amx_bf16``, or an empty set on other systems."""
    if not CPU_INFO.is_file():
        return frozenset()
    for line in CPU_INFO.read_text().splitlines():
        if line.startswith("flags"):
            return frozenset(line.partition(":")[2].split())
    return frozenset()
