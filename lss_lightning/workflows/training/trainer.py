"""Which device a run uses, at which precision, how fast, and why."""

from __future__ import annotations

import ctypes
import logging
import os
import platform
import shutil
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.exceptions import SIGTERMException
from torch import nn

from lss_lightning.config.overrides import pasted
from lss_lightning.config.sections import TrainerConfig
from lss_lightning.data.datamodule import SliceDataModule
from lss_lightning.display import shown_path
from lss_lightning.errors import UserError
from lss_lightning.models.segmentation import SegmentationModule
from lss_lightning.workflows.training.checkpoint_io import AtomicCheckpointIO

CPU_INFO = Path("/proc/cpuinfo")

OURS = {"compile", "max_time", "check_every"}
"""Settings of the section that Lightning's Trainer does not have, or means otherwise."""


def make_trainer(config: TrainerConfig, **extra: Any) -> pl.Trainer:
    """Build Lightning's Trainer from the ``trainer`` section.

    Args:
        config: The section; a precision of ``auto`` is resolved here where the workflow has not done so.
        extra: What the section does not hold, such as callbacks and loggers, or what a workflow sets in its stead.

    Raises:
        UserError: the machine has no such device.
    """
    # Lightning announces its devices, and services one might buy; the run's own lines say what was chosen.
    logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)
    # Lightning 2.6 calls a function that torch 2.15 renamed.
    warnings.filterwarnings("ignore", message=r".*LeafSpec.*deprecated", module="pytorch_lightning")
    # A resumed run goes on in its own folder.
    warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")
    settings = {key: value for key, value in asdict(config).items() if key not in OURS}
    settings["precision"], _ = resolve_precision(config)
    # cuDNN tries its algorithms for each new size of input; which is fastest may differ from run to run.
    settings["benchmark"] = not config.deterministic
    if config.accelerator == "cpu" and config.devices in ("auto", -1):
        settings["devices"] = 1
    try:
        # Our samplers deal slices to the ranks themselves: Lightning's would repeat some of them.
        trainer = pl.Trainer(
            **{**settings, **extra},
            plugins=[AtomicCheckpointIO()],
            use_distributed_sampler=False,
            num_sanity_val_steps=0,
        )
    except (pl.utilities.exceptions.MisconfigurationException, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"trainer.accelerator={config.accelerator}, trainer.devices={config.devices}, trainer.strategy="
            f"{config.strategy}: not to be had here ({reason}); trainer=cpu always works"
        ) from error
    device = trainer.strategy.root_device.type
    if config.sync_batchnorm and device != "cuda":
        raise UserError(f"trainer.sync_batchnorm=true: only NVIDIA GPUs can, and this run is on {device}; leave it out")
    if device == "cuda":
        torch.set_float32_matmul_precision("high")  # TF32 in matrix products, as cuDNN has it in convolutions
    elif device == "cpu":
        keep_freed_memory()
    return trainer


def resolve_precision(config: TrainerConfig, before: str | None = None) -> tuple[str, str]:
    """Lightning's name of the precision to use, and the reason.

    ``auto`` takes bf16 where the hardware multiplies it natively, since it is faster and needs no loss scaling: GPUs of
    compute capability 8.0 and up, CPUs with AMX or AVX512-BF16.

    Args:
        config: The section.
        before: What a run that is resumed has used so far.
    """
    if config.precision != "auto":
        return config.precision, "as set"
    if before not in (None, "auto"):
        return before, "as before"
    if config.accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        major, minor = torch.cuda.get_device_capability()
        return ("bf16-mixed" if major >= 8 else "32-true"), f"GPU of compute capability {major}.{minor}"
    if config.accelerator == "mps" or (config.accelerator == "auto" and torch.backends.mps.is_available()):
        return "32-true", "Apple GPU"
    flags = cpu_flags() & {"amx_bf16", "avx512_bf16"}
    if flags:
        return "bf16-mixed", f"CPU with {' and '.join(sorted(flags))}"
    return "32-true", "CPU without native bf16"


@dataclass(frozen=True)
class Hardware:
    """What a run computes on, and how.

    Attributes:
        device: ``cpu``, or the GPU's name.
        processes: Their number, over all machines.
        precision: Lightning's name of it.
        reason: Why that precision.
        fast: What else makes it fast.
    """

    device: str
    processes: int
    precision: str
    reason: str
    fast: tuple[str, ...]

    @classmethod
    def of(cls, trainer: pl.Trainer, config: TrainerConfig, reason: str, fused: bool = False) -> Hardware:
        """What a trainer has found.

        Args:
            trainer: Made from the section.
            config: The section, its precision resolved.
            reason: Why that precision.
            fused: Whether the optimizer updates all weights in one kernel.
        """
        root = trainer.strategy.root_device
        cuda = root.type == "cuda"
        found = {
            "channels last": True,
            "TF32": cuda and config.precision == "32-true",
            "cuDNN benchmark": cuda and not config.deterministic,
            "fused optimizer": fused,
            "freed memory kept": root.type == "cpu" and can_keep_freed_memory(),
            "compiled": config.compile,
        }
        return cls(
            device=torch.cuda.get_device_name(root) if cuda else root.type,
            processes=trainer.world_size,
            precision=config.precision,
            reason=reason,
            fast=tuple(name for name, chosen in found.items() if chosen),
        )

    def __str__(self) -> str:
        """In a line."""
        fast = ", ".join(self.fast)
        return f"{self.processes} × {self.device}, precision {self.precision} ({self.reason}), {fast}"


def compile_network(network: nn.Module) -> None:
    """Let ``torch.compile`` build the network's kernels when it first runs; its weights keep their names.

    Raises:
        UserError: there is no compiler.
    """
    compilers = (os.environ.get("CXX"), os.environ.get("CC"), "g++", "gcc", "clang", "cl")
    if not any(name and shutil.which(name) for name in compilers):
        raise UserError("trainer.compile=true: needs a C++ compiler such as g++, and none is on the PATH; leave it out")
    network.compile()


def cpu_flags() -> frozenset[str]:
    """The instruction sets that Linux reports; empty on other systems."""
    if not CPU_INFO.is_file():
        return frozenset()
    for line in CPU_INFO.read_text().splitlines():
        if line.startswith("flags"):
            return frozenset(line.partition(":")[2].split())
    return frozenset()


# Parameters of mallopt, as malloc.h of glibc numbers them.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4
_PAD = 64 * 2**20  # bytes by which the heap grows at a time


def can_keep_freed_memory() -> bool:
    """Whether the C library can be told to; only glibc can."""
    return platform.libc_ver()[0] == "glibc"


def keep_freed_memory() -> None:
    """Let the C library keep freed memory instead of handing it back to the system, where it can.

    On a CPU every step allocates anew what the one before has freed. glibc returns blocks of some megabytes to the
    system at once, which then has to clear and map each page again at its first touch: a tenth of a step's time
    (``docs/performance.md``).
    """
    if not can_keep_freed_memory():
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(_MMAP_MAX, 0)  # large blocks lie in the heap as well …
    libc.mallopt(_TRIM_THRESHOLD, -1)  # … whose top is never given back
    libc.mallopt(_TOP_PAD, _PAD)


@contextmanager
def memory_explained(batch_size: int, accumulate: int = 1) -> Iterator[None]:
    """Turn a device's lack of memory into a line that says which batch size failed and which to try.

    Args:
        batch_size: Images per device and step.
        accumulate: Steps per update of the weights.

    Raises:
        UserError: the memory did not suffice.
    """
    try:
        yield
    except RuntimeError as error:
        # Only GPUs have a class of its own for it.
        texts = ("can't allocate memory", "not enough memory", "out of memory")
        if not isinstance(error, torch.OutOfMemoryError) and not any(text in str(error) for text in texts):
            raise
        if batch_size == 1:
            remedy = "choose larger pixels (data.spacing) or a smaller encoder"
        elif batch_size % 2:
            remedy = f"try data.batch_size={batch_size // 2}"
        else:
            same = f"trainer.accumulate_grad_batches={2 * accumulate}"
            remedy = f"try data.batch_size={batch_size // 2}; with {same} the effective batch size stays the same"
        raise UserError(f"data.batch_size={batch_size}: the device's memory does not suffice; {remedy}") from error


def fit(
    trainer: pl.Trainer, module: SegmentationModule, data: SliceDataModule, last: Path, resumed: Path | None = None
) -> None:
    """Train until the last epoch, or until something ends it.

    Args:
        trainer: Configured.
        module: The network.
        data: Set up.
        last: The checkpoint that every epoch replaces.
        resumed: The checkpoint to go on from.

    Raises:
        UserError: the device has not enough memory.
        SystemExit: by SIGTERM or Ctrl-C, with the code that shells give these: 143 or 130.
    """
    try:
        with memory_explained(data.source.batch_size, trainer.accumulate_grad_batches):
            trainer.fit(module, data, ckpt_path=resumed)
    except SystemExit as ended:
        # Lightning turns Ctrl-C into an exit with code 1, and ends with 0 after SIGTERM.
        caught = signal.SIGTERM if isinstance(ended, SIGTERMException) else signal.SIGINT
        if trainer.is_global_zero:
            remedy = (
                f"go on with python train.py {pasted('ckpt_path', shown_path(last))}"
                if last.exists()
                else "start again"
            )
            print(f"stopped by {caught.name} in epoch {trainer.current_epoch}: {remedy}", file=sys.stderr)
        raise SystemExit(128 + caught) from ended
