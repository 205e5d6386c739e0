"""The checkpoints of a training: when they are written, and how."""

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
    """A checkpoint callback that knows which weights were validated last."""

    _validated_step: int | None = None

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Record the step of the weights, unless this is the check before the training."""
        super().on_validation_end(trainer, pl_module)
        if not trainer.sanity_checking:
            self._validated_step = trainer.global_step

    def is_validated(self, trainer: pl.Trainer) -> bool:
        """Whether the current weights are those of the last validation, so that its scores apply to them.

        This is false in an epoch without validation, or if the validation did not follow the last batch of the epoch.
        Lightning then still reports the scores of the earlier validation.
        """
        return self._validated_step == trainer.global_step


class RunCheckpoint(ModelCheckpoint):
    """Replaces a file in the folder of the run's checkpoints at the end of an epoch.

    Args:
        file: The file. Its folder is not used.
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
        """Find the folder of the run."""
        self.dirpath = os.path.realpath(RunFolder(Path(trainer.default_root_dir)).checkpoints)
        super().setup(trainer, pl_module, stage)


class BestCheckpoint(ValidationRecorder, RunCheckpoint):
    """Writes ``best.ckpt`` after each epoch that ends with the best validation so far.

    Args:
        monitor: The metric.
        mode: Whether a higher (``max``) or a lower value (``min``) is better.
    """

    def __init__(self, monitor: str, mode: str) -> None:
        super().__init__(RunFolder(Path()).best_checkpoint, monitor=monitor, mode=mode)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the file if the weights have been validated and are the best."""
        if self.is_validated(trainer):
            super().on_train_epoch_end(trainer, pl_module)


class LastCheckpoint(RunCheckpoint):
    """Writes ``last.ckpt`` after each epoch. It must be the last callback, so that the file has the state of all."""

    def __init__(self) -> None:
        super().__init__(RunFolder(Path()).last_checkpoint)


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint beside the existing file and replaces that file once the new one is on the disk.

    Lightning's own writer drafts in the system's temporary folder. If that is on another disk, the draft has to be
    copied, which is not atomic.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write a checkpoint. If the process is killed meanwhile, the existing file is unchanged.

        Args:
            checkpoint: The content, as Lightning provides it.
            path: The file to create or replace.
            storage_options: Unused.
        """
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(target, "wb", fsync=True) as stream:
            torch.save(checkpoint, stream)
