"""The Lightning callback that computes the metrics of the ``metrics`` section."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import pytorch_lightning as pl

from lss_lightning.models.user_metrics import UserMetric


class UserMetricsCallback(pl.Callback):
    """Callback that computes the user's metrics for each validation and over all tests.

    Validation values are logged as ``val/<name>``. Tests of several networks, such as the folds of a cross-validation,
    are pooled.

    Args:
        metrics: The metrics.

    Attributes:
        values: The values over all tests so far by metric name, None where undefined.
    """

    def __init__(self, metrics: Sequence[UserMetric]) -> None:
        self.val_metrics, self.test_metrics = list(metrics), deepcopy(list(metrics))
        self.values: dict[str, float | None] = {}

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Move the metrics to the device of the network, and discard the values of an interrupted validation."""
        for metric in self.val_metrics:
            metric.to(pl_module.device).reset()

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Update the metrics with a batch. ``outputs`` contains its logits on the grid of the labels."""
        _update(self.val_metrics, outputs, batch)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the values."""
        for metric in self.val_metrics:
            for name, value in metric.compute().items():
                # All ranks have the same value, but Lightning still requires sync_dist.
                pl_module.log(f"val/{name}", value, logger=False, sync_dist=trainer.world_size > 1)

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Move the metrics to the device of the network."""
        for metric in self.test_metrics:
            metric.to(pl_module.device)

    def on_test_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Update the metrics with a batch. ``outputs`` contains its logits on the grid of the labels."""
        _update(self.test_metrics, outputs, batch)

    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Store the values over all devices in :attr:`values`."""
        values = {name: value for metric in self.test_metrics for name, value in metric.compute().items()}
        self.values = {name: value if math.isfinite(value) else None for name, value in values.items()}


def find_user_values(trainer: pl.Trainer) -> dict[str, float | None]:
    """Return the values of a trainer's :class:`UserMetricsCallback`, or an empty dict if it has no such callback."""
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    return next((callback.values for callback in callbacks if isinstance(callback, UserMetricsCallback)), {})


def _update(metrics: Sequence[UserMetric], logits: Any, batch: Mapping[str, Any]) -> None:
    for metric in metrics:
        metric.update(logits, batch["label"], batch["label_sizes"])
