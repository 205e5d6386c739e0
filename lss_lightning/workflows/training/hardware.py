"""The device and precision that a run uses, and the reason for the precision."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytorch_lightning as pl
import torch

from lss_lightning.config.trainer import TrainerConfig
from lss_lightning.data.processors import count_processors
from lss_lightning.workflows.training.memory import can_keep_freed_memory

CPU_INFO = Path("/proc/cpuinfo")


def resolve_precision(config: TrainerConfig, earlier: str | None = None) -> tuple[str, str]:
    """Choose the precision of a run.

    ``auto`` chooses bf16 if the hardware multiplies it natively, because it is faster than float32 and needs no loss
    scaling: on GPUs of compute capability 8.0 and higher and on CPUs with AMX or AVX512-BF16.

    Args:
        config: The ``trainer`` section.
        earlier: The precision that a resumed run has used so far.

    Returns:
        Lightning's name of the precision, and the reason for it.
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
        return "bf16-mixed", f"CPU with {' and '.join(sorted(flags))}"
    return "32-true", "CPU without native bf16"


@dataclass(frozen=True)
class Hardware:
    """The devices and precision of a run, as printed and stored in ``metrics.json``.

    Attributes:
        device: ``cpu``, or the name of the GPU.
        processes: The number of processes on all machines.
        precision: Lightning's name of the precision.
        reason: The reason for the precision.
        fast: Optimisations in use.
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
            trainer: The trainer made from ``config``.
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
    """Let torch use no more threads than there are processors for this process.

    torch counts the processors of the machine, also in a container with a quota. ``OMP_NUM_THREADS``, which joblib sets
    for jobs side by side, takes precedence.
    """
    processors = count_processors()
    if "OMP_NUM_THREADS" not in os.environ and processors < torch.get_num_threads():
        torch.set_num_threads(processors)


def read_cpu_flags() -> frozenset[str]:
    """Return the instruction sets that Linux reports, e.g. ``amx_bf16``, or an empty set on other systems."""
    if not CPU_INFO.is_file():
        return frozenset()
    for line in CPU_INFO.read_text().splitlines():
        if line.startswith("flags"):
            return frozenset(line.partition(":")[2].split())
    return frozenset()
