"""The callbacks that write the checkpoints of a training run, and the I/O plugin that saves them atomically."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins import TorchCheckpointIO
from pytorch_lightning.callbacks import Checkpoint, ModelCheckpoint

from lss_lightning.files import atomic_write
from lss_lightning.runs.layout import RunFolder


class ValidationRecorder(Checkpoint):
    """A checkpoint callback that records which weights were validated last."""

    _validated_step: int | None = None

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Record the step of the validated weights, unless this is Lightning's sanity check before training."""
        super().on_validation_end(trainer, pl_module)
        if not trainer.sanity_checking:
            self._validated_step = trainer.global_step

    def is_validated(self, trainer: pl.Trainer) -> bool:
        """Return whether the current weights are those of the last validation, so that its scores apply to them.

        The result is False in an epoch without validation, or if validation did not follow the last batch of the epoch.
        In these cases, Lightning still reports the scores of the earlier validation.
        """
        return self._validated_step == trainer.global_step


class RunCheckpoint(ModelCheckpoint):
    """Checkpoint callback that replaces a file in the run's checkpoint folder at the end of an epoch.

    Args:
        file: The checkpoint file, of which only the name is used.
        options: Further arguments of Lightning's ModelCheckpoint.
    """

    def __init__(self, file: Path, **options: Any) -> None:
        super().__init__(
            filename=file.stem,
            auto_insert_metric_name=False,
            enable_version_counter=False,
            save_on_train_epoch_end=True,
            **options,
        )

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Set the checkpoint folder of the run."""
        self.dirpath = os.path.realpath(RunFolder(Path(trainer.default_root_dir)).checkpoints)
        super().setup(trainer, pl_module, stage)


class BestCheckpoint(ValidationRecorder, RunCheckpoint):
    """Checkpoint callback that writes ``best.ckpt`` after each epoch that ends with the best validation so far.

    Args:
        monitor: The name of the metric.
        mode: ``max`` if higher values are better, ``min`` if lower values are better.
    """

    def __init__(self, monitor: str, mode: str) -> None:
        super().__init__(RunFolder(Path()).best_checkpoint, monitor=monitor, mode=mode)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the file if the weights have been validated and are the best so far."""
        if self.is_validated(trainer):
            super().on_train_epoch_end(trainer, pl_module)


class LastCheckpoint(RunCheckpoint):
    """Checkpoint callback that writes ``last.ckpt`` after each epoch.

    It must be the last callback, so that the file contains the state of all callbacks.
    """

    def __init__(self) -> None:
        super().__init__(RunFolder(Path()).last_checkpoint)


class AtomicCheckpointIO(TorchCheckpointIO):
    """Checkpoint I/O plugin that writes a new file next to the existing one, and then replaces the existing file.

    Lightning's own plugin first writes to the system's temporary folder. If that folder is on another disk, the file
    must be copied, which is not atomic.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write a checkpoint. If the process is killed while writing, the existing file remains unchanged.

        Args:
            checkpoint: The content provided by Lightning.
            path: The file to create or replace.
            storage_options: Unused.
        """
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(target, "wb", fsync=True) as stream:
            torch.save(checkpoint, stream)
