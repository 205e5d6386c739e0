"""A callback that stores its state in checkpoints."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl


class EpochCounter(pl.Callback):
    """Counts the training epochs of all sessions of a run and logs the number as ``epochs_trained``.

    Attributes:
        epochs: The number of finished epochs. It is stored in checkpoints.
    """

    def __init__(self) -> None:
        self.epochs = 0

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Count the epoch."""
        self.epochs += 1
        pl_module.log("epochs_trained", float(self.epochs), sync_dist=trainer.world_size > 1)

    def state_dict(self) -> dict[str, Any]:
        """Return the number for a checkpoint."""
        return {"epochs": self.epochs}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the number of a checkpoint."""
        self.epochs = state_dict["epochs"]
