"""Lightning's Trainer, built from the ``trainer`` section, and the training loop."""

from __future__ import annotations

import inspect
import logging
import os
import shutil
import signal
import sys
import traceback
import warnings
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins import CheckpointIO
from pytorch_lightning.utilities.exceptions import SIGTERMException
from torch import nn

from lss_lightning.config.overrides import format_shell_override
from lss_lightning.config.trainer import TrainerConfig
from lss_lightning.data.datamodule import SliceDataModule
from lss_lightning.display import format_setting, shorten_path
from lss_lightning.errors import UserError
from lss_lightning.models.instantiate import instantiate_section
from lss_lightning.models.segmentation import SegmentationModule
from lss_lightning.workflows.training.checkpoints import AtomicCheckpointIO
from lss_lightning.workflows.training.hardware import limit_threads, resolve_precision
from lss_lightning.workflows.training.memory import explain_out_of_memory, keep_freed_memory

_PROFILERS = {
    "simple": "pytorch_lightning.profilers.SimpleProfiler",
    "advanced": "pytorch_lightning.profilers.AdvancedProfiler",
    "pytorch": "pytorch_lightning.profilers.PyTorchProfiler",
    "xla": "pytorch_lightning.profilers.XLAProfiler",
}


def make_trainer(config: TrainerConfig, folder: Path | None = None, **extra: Any) -> pl.Trainer:
    """Build Lightning's Trainer from the ``trainer`` section.

    Args:
        config: The section. A precision of ``auto`` is resolved here unless the workflow has already resolved it.
        folder: The run directory. If None, no files are written.
        extra: Further arguments of the Trainer, such as callbacks and loggers. They override settings of the section.

    Raises:
        UserError: If the machine does not have the device, or Lightning rejects the settings.
    """
    # Lightning announces devices and advertises services. The workflows print the devices themselves.
    logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)
    # Lightning 2.6 calls a function that torch 2.15 renamed.
    warnings.filterwarnings("ignore", message=r".*LeafSpec.*deprecated", module="pytorch_lightning")
    # A resumed run writes to its own directory.
    warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")
    # This project logs once per epoch. The logging interval in batches only concerns the user's callbacks.
    warnings.filterwarnings("ignore", message="The number of training batches .* is smaller than the logging interval")
    settings = asdict(config)
    settings["precision"], _ = resolve_precision(config)
    settings["benchmark"] = config.uses_benchmark
    if config.accelerator == "cpu" and config.devices in ("auto", -1):
        settings["devices"] = 1
    settings["strategy"] = _build("strategy", config.strategy)
    settings["plugins"] = _make_plugins(config)
    settings["profiler"] = _make_profiler(config.profiler, folder)
    settings["default_root_dir"] = folder
    try:
        trainer = pl.Trainer(**{**settings, **extra})
    except (pl.utilities.exceptions.MisconfigurationException, ValueError, RuntimeError) as error:
        raise _describe_refusal(config, error) from error
    trainer.limit_predict_batches = 1.0  # even in a fast_dev_run: the report shows predictions
    device = trainer.strategy.root_device.type
    if config.sync_batchnorm and device != "cuda":
        raise UserError(
            f"trainer.sync_batchnorm=true: supported on NVIDIA GPUs only, and this run is on {device}; remove it"
        )
    if device == "cuda":
        torch.set_float32_matmul_precision("high")  # TF32 in matrix products, which cuDNN already uses in convolutions
    elif device == "cpu":
        keep_freed_memory()
        limit_threads()
    return trainer


def _build(name: str, value: str | dict[str, Any] | None, **defaults: Any) -> Any:
    """Return an argument of the Trainer unchanged, or an instance of the class that the argument names."""
    return instantiate_section(f"trainer.{name}", {**defaults, **value}) if isinstance(value, dict) else value


def _make_plugins(config: TrainerConfig) -> list[Any]:
    """Return the plugins of the section, and a checkpoint I/O plugin unless they already include one."""
    plugins = [_build("plugins", plugin) for plugin in config.plugins or ()]
    return plugins if any(isinstance(plugin, CheckpointIO) for plugin in plugins) else [*plugins, AtomicCheckpointIO()]


def _make_profiler(profiler: str | dict[str, Any] | None, folder: Path | None) -> Any:
    """Return the profiler, which writes its files ``*profile.*`` to the run directory unless configured otherwise."""
    if profiler is None:
        return None
    section = {"_target_": _PROFILERS[profiler]} if isinstance(profiler, str) else profiler
    output = {} if folder is None else {"dirpath": str(folder), "filename": "profile"}
    profiler_class = _build("profiler", {"_target_": section["_target_"], "_partial_": True}).func
    accepted = inspect.signature(profiler_class).parameters
    return _build("profiler", section, **{key: value for key, value in output.items() if key in accepted})


def _describe_refusal(config: TrainerConfig, error: Exception) -> UserError:
    """Return a UserError with a one-line explanation of why Lightning rejects the settings."""
    reason = str(error).splitlines()[0]
    if "stateful callback" in reason:
        return UserError(f"callbacks: two of them save their state under one name ({reason}); remove one")
    devices = ("accelerator", "devices", "strategy", "num_nodes")
    named = [entry.name for entry in fields(config) if entry.name in reason and entry.name not in devices]
    if named:
        value = format_setting(getattr(config, named[0]))
        return UserError(f"trainer.{named[0]}={value}: Lightning refuses it ({reason}); choose another")
    return UserError(
        f"trainer.accelerator={config.accelerator}, trainer.devices={config.devices}, trainer.strategy="
        f"{format_setting(config.strategy)}: not available on this machine ({reason}); choose others, or use "
        "trainer=cpu"
    )


def _is_raised_by_lightning(error: Exception) -> bool:
    """Return whether an error was raised by Lightning's own code, which indicates invalid settings."""
    if type(error) not in (pl.utilities.exceptions.MisconfigurationException, ValueError, RuntimeError):
        return False  # a subclass indicates an error of a device or process group
    *_, last = traceback.walk_tb(error.__traceback__)
    return str(last[0].f_globals.get("__name__")).startswith(("pytorch_lightning.", "lightning_fabric."))


def compile_network(network: nn.Module) -> None:
    """Configure a network to be compiled with ``torch.compile`` on its first call. Its weights keep their names.

    Raises:
        UserError: If no C++ compiler is available.
    """
    compilers = (os.environ.get("CXX"), os.environ.get("CC"), "g++", "gcc", "clang", "cl")
    if not any(name and shutil.which(name) for name in compilers):
        raise UserError(
            "engine.compile=true: needs a C++ compiler such as g++, and there is none on the PATH; install one, or "
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
        data: The data module, already set up.
        last_checkpoint: The checkpoint that is replaced after every epoch.
        resumed: The checkpoint to resume from.

    Raises:
        UserError: If the device runs out of memory, or Lightning rejects the settings.
        SystemExit: After SIGTERM or Ctrl-C, with the exit code that shells use for them, 143 or 130.
    """
    try:
        with explain_out_of_memory(data.source.batch_size, trainer.accumulate_grad_batches):
            trainer.fit(module, data, ckpt_path=resumed)
    except (pl.utilities.exceptions.MisconfigurationException, ValueError, RuntimeError) as error:
        if not _is_raised_by_lightning(error):
            raise
        raise UserError(f"Lightning refuses to train with these settings: {' '.join(str(error).split())}") from error
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
