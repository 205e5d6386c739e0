"""The losses, scores and durations of each epoch, stored in checkpoints and passed to the loggers."""

from __future__ import annotations

import math
import time
from typing import Any

import pytorch_lightning as pl

from lss_lightning.models.base import BaseSegmentationModule
from lss_lightning.models.epoch_scores import MONITORED_METRIC
from lss_lightning.reporting.loggers import LogsPastEpochs
from lss_lightning.reporting.loggers.csv import CSVLogger
from lss_lightning.workflows.training.callbacks import ThroughputMonitor
from lss_lightning.workflows.training.checkpoints import ValidationRecorder

EpochRow = dict[str, float]
"""The metrics of an epoch by name, including ``epoch``, counted from 0."""


class History(ValidationRecorder):
    """Callback that collects the metrics of every epoch and passes them to the loggers with the epoch as the x-axis.

    Validation metrics are included only if validation followed the last step of the epoch.

    This is a checkpoint callback, because Lightning calls checkpoint callbacks after the module has logged the metrics
    of the epoch, in the order in which they are listed. It must come before the callbacks that write checkpoints, so
    that their files contain the row of the epoch.

    Attributes:
        rows: One row per finished epoch: ``epoch``, losses, IoUs, ``lr`` and ``grad_norm``.
        timing: One row per finished epoch: ``epoch``, ``seconds`` including validation, and ``images_per_second``
            excluding validation, which is NaN unless measured by a
            :class:`~lss_lightning.workflows.training.callbacks.ThroughputMonitor`.
    """

    def __init__(self) -> None:
        self.rows: list[EpochRow] = []
        self.timing: list[EpochRow] = []
        self._start = 0.0

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Pass the epochs from before a resume to the loggers that start a new recording."""
        past = [_drop_undefined({**row, **timing}) for row, timing in zip(self.rows, self.timing, strict=True)]
        for logger in trainer.loggers:
            if trainer.is_global_zero and isinstance(logger, LogsPastEpochs):
                logger.log_past_epochs(past)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock of the epoch."""
        self._start = time.perf_counter()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Add the row of the epoch and pass it to the loggers."""
        assert isinstance(pl_module, BaseSegmentationModule)
        epoch = float(trainer.current_epoch)
        # Lightning stores metrics as float32, whose precision does not exceed these digits.
        metrics = {
            name: float(f"{float(value):.7g}")
            for name, value in sorted(trainer.callback_metrics.items())
            if self.is_validated(trainer) or not name.startswith("val/")
        }
        self.rows.append({"epoch": epoch, **metrics})
        seconds = time.perf_counter() - self._start
        callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
        monitors = [callback for callback in callbacks if isinstance(callback, ThroughputMonitor)]
        images_per_second = monitors[0].images_per_second if monitors else math.nan
        self.timing.append({"epoch": epoch, "seconds": seconds, "images_per_second": images_per_second})
        if trainer.is_global_zero:
            # Lightning itself passes all other logged values to the loggers, with the number of batches as the x-axis.
            names = (*pl_module.epoch_metrics, "grad_norm")
            own = {"epoch": epoch, **{name: metrics[name] for name in names if name in metrics}, **self.timing[-1]}
            for logger in trainer.loggers:
                logger.log_metrics(_drop_undefined(own), trainer.current_epoch)
                if isinstance(logger, CSVLogger):
                    logger.write_epochs(self.rows, self.timing)

    def state_dict(self) -> dict[str, Any]:
        """Return the rows for a checkpoint."""
        return {"rows": self.rows, "timing": self.timing}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the rows from a checkpoint. Rows of later epochs are dropped."""
        self.rows, self.timing = list(state_dict["rows"]), list(state_dict["timing"])

    def objective(self, epoch: int) -> float | None:
        """Return the validation objective after an epoch, or None if the epoch has no objective.

        Args:
            epoch: The epoch, counted from 0.
        """
        row = next(row for row in reversed(self.rows) if row["epoch"] == epoch)
        value = row.get(MONITORED_METRIC, math.nan)
        return None if math.isnan(value) else value

    @property
    def seconds(self) -> float:
        """The total duration of all epochs in seconds."""
        return sum(row["seconds"] for row in self.timing)


def _drop_undefined(row: EpochRow) -> EpochRow:
    return {name: value for name, value in row.items() if math.isfinite(value)}
