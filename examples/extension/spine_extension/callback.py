"""A callback that stores its state in checkpoints."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl


class EpochCounter(pl.Callback):
    """A callback that counts the finished epochs of a run, also when it is resumed, and logs ``epochs_trained``.

    Attributes:
        epochs: Number of finished epochs, which is stored in checkpoints.
    """

    def __init__(self) -> None:
        self.epochs = 0

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Increment and log the number of epochs."""
        self.epochs += 1
        pl_module.log("epochs_trained", float(self.epochs), sync_dist=trainer.world_size > 1)

    def state_dict(self) -> dict[str, Any]:
        """Return the state to store in a checkpoint."""
        return {"epochs": self.epochs}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state stored in a checkpoint."""
        self.epochs = state_dict["epochs"]
