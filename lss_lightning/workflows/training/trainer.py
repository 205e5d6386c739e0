"""Lightning's Trainer, made from the ``trainer`` section, and training with it."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import sys
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.exceptions import SIGTERMException
from torch import nn

from lss_lightning.config.overrides import format_shell_override
from lss_lightning.config.sections import TrainerConfig
from lss_lightning.data.datamodule import SliceDataModule
from lss_lightning.display import shorten_path
from lss_lightning.errors import UserError
from lss_lightning.models.segmentation import SegmentationModule
from lss_lightning.workflows.training.checkpoint_io import AtomicCheckpointIO
from lss_lightning.workflows.training.hardware import limit_threads, resolve_precision
from lss_lightning.workflows.training.memory import explain_out_of_memory, keep_freed_memory

OWN_SETTINGS = {"compile", "max_time", "check_every"}
"""Settings of the ``trainer`` section that Lightning's Trainer does not have, or has with another meaning."""


def make_trainer(config: TrainerConfig, **extra: Any) -> pl.Trainer:
    """Build Lightning's Trainer from the ``trainer`` section.

    Args:
        config: The section. A precision of ``auto`` is resolved here unless the workflow has resolved it.
        extra: Arguments that the section does not have, such as callbacks and loggers, or that replace its settings.

    Raises:
        UserError: If the machine does not have the device.
    """
    # Lightning announces devices and advertises services. The workflows print what was chosen.
    logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)
    # Lightning 2.6 calls a function that torch 2.15 renamed.
    warnings.filterwarnings("ignore", message=r".*LeafSpec.*deprecated", module="pytorch_lightning")
    # A resumed run writes into its own directory.
    warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")
    # The project logs per epoch. The interval of metrics per batch concerns callbacks of the user.
    warnings.filterwarnings("ignore", message="The number of training batches .* is smaller than the logging interval")
    settings = {key: value for key, value in asdict(config).items() if key not in OWN_SETTINGS}
    settings["precision"], _ = resolve_precision(config)
    # cuDNN times its algorithms for each new input size. The fastest may differ from run to run.
    settings["benchmark"] = not config.deterministic
    if config.accelerator == "cpu" and config.devices in ("auto", -1):
        settings["devices"] = 1
    try:
        # Our samplers distribute the slices to the ranks themselves. Lightning's sampler would repeat some of them.
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
            f"{config.strategy}: not available on this machine ({reason}); choose others, or use trainer=cpu"
        ) from error
    device = trainer.strategy.root_device.type
    if config.sync_batchnorm and device != "cuda":
        raise UserError(
            f"trainer.sync_batchnorm=true: supported on NVIDIA GPUs only, and this run is on {device}; remove it"
        )
    if device == "cuda":
        torch.set_float32_matmul_precision("high")  # TF32 in matrix products, as cuDNN uses it in convolutions
    elif device == "cpu":
        keep_freed_memory()
        limit_threads()
    return trainer


def compile_network(network: nn.Module) -> None:
    """Compile a network with ``torch.compile`` when it first runs. Its weights keep their names.

    Raises:
        UserError: If there is no C++ compiler.
    """
    compilers = (os.environ.get("CXX"), os.environ.get("CC"), "g++", "gcc", "clang", "cl")
    if not any(name and shutil.which(name) for name in compilers):
        raise UserError(
            "trainer.compile=true: needs a C++ compiler such as g++, and there is none on the PATH; install one, or "
            "remove this setting"
        )
    network.compile()


def fit(
    trainer: pl.Trainer,
    module: SegmentationModule,
    data: SliceDataModule,
    last_checkpoint: Path,
    resumed: Path | None = None,
) -> None:
    """Train until the last epoch, or until a callback or a signal stops the training.

    Args:
        trainer: The configured trainer.
        module: The network to train.
        data: The data, set up.
        last_checkpoint: The checkpoint that every epoch replaces.
        resumed: The checkpoint to resume from.

    Raises:
        UserError: If the device runs out of memory.
        SystemExit: After SIGTERM or Ctrl-C, with the exit code that shells use for them: 143 or 130.
    """
    try:
        with explain_out_of_memory(data.source.batch_size, trainer.accumulate_grad_batches):
            trainer.fit(module, data, ckpt_path=resumed)
    except SystemExit as error:
        # Lightning exits with code 1 after Ctrl-C and with 0 after SIGTERM.
        received = signal.SIGTERM if isinstance(error, SIGTERMException) else signal.SIGINT
        if trainer.is_global_zero:
            remedy = (
                f"resume with python train.py {format_shell_override('ckpt_path', shorten_path(last_checkpoint))}"
                if last_checkpoint.exists()
                else "start again"
            )
            print(f"stopped by {received.name} in epoch {trainer.current_epoch}: {remedy}", file=sys.stderr)
        raise SystemExit(128 + received) from error
