"""Which device a run uses, at which precision, and why."""

from __future__ import annotations

import logging
import platform
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from lss_lightning.config import TrainerConfig
from lss_lightning.errors import UserError
from lss_lightning.workflows.saving import WholeFiles

OURS = {"compile", "max_time", "check_every"}
"""Settings of the section that Lightning's Trainer does not have, or means otherwise."""


def make_trainer(config: TrainerConfig, **extra: Any) -> pl.Trainer:
    """Build Lightning's Trainer from the ``trainer`` section.

    Args:
        config: The section; a precision of ``auto`` is resolved here.
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
    settings["precision"], _ = resolve_precision(config.precision, config.accelerator)
    if config.accelerator == "cpu" and config.devices in ("auto", -1):
        settings["devices"] = 1
    try:
        # Our samplers deal slices to the ranks themselves: Lightning's would repeat some of them.
        trainer = pl.Trainer(
            **{**settings, **extra}, plugins=[WholeFiles()], use_distributed_sampler=False, num_sanity_val_steps=0
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
    return trainer


def resolve_precision(precision: str, accelerator: str) -> tuple[str, str]:
    """Lightning's name of the precision to use, and the reason.

    ``auto`` takes bf16 where the hardware multiplies it natively, since it is faster and needs no loss scaling: GPUs of
    compute capability 8.0 and up, CPUs with AMX or AVX512-BF16.
    """
    if precision != "auto":
        return precision, "as set"
    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        major, minor = torch.cuda.get_device_capability()
        native = major >= 8
        return ("bf16-mixed" if native else "32-true"), f"GPU of compute capability {major}.{minor}"
    if accelerator == "mps" or (accelerator == "auto" and torch.backends.mps.is_available()):
        return "32-true", "Apple GPU"
    flags = cpu_flags() & {"amx_bf16", "avx512_bf16"}
    if flags:
        return "bf16-mixed", f"CPU with {' and '.join(sorted(flags))}"
    return "32-true", "CPU without native bf16"


def cpu_flags() -> frozenset[str]:
    """The instruction sets that Linux reports; empty on other systems."""
    info = Path("/proc/cpuinfo")
    if platform.system() != "Linux" or not info.is_file():
        return frozenset()
    for line in info.read_text().splitlines():
        if line.startswith("flags"):
            return frozenset(line.partition(":")[2].split())
    return frozenset()
