"""The epochs of a run, a row each: kept through resumes, written as CSV, drawn as curves."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint

from lss_lightning.files import write_csv
from lss_lightning.models.segmentation import OBJECTIVE
from lss_lightning.runs.layout import RunFolder
from lss_lightning.workflows.training.callbacks import ThroughputMonitor

Row = dict[str, float]


class History(Checkpoint):
    """Collects every epoch's figures.

    It counts as a checkpoint callback because Lightning calls those after the module has logged its epoch, and in their
    order: it must come before the ones that write checkpoints, whose files then hold this epoch's row too.

    Args:
        folder: Where ``metrics.csv`` and ``timing.csv`` are written after each epoch; None keeps rows in memory only.
        pace: Which measures each epoch's training.

    Attributes:
        rows: A row per finished epoch: ``epoch`` from 0, losses, IoUs, ``lr``, ``grad_norm``.
        timing: Likewise: ``epoch``, ``seconds`` with validation, ``images_per_second`` without.
    """

    def __init__(self, folder: Path | None, pace: ThroughputMonitor) -> None:
        self.folder, self.pace = folder, pace
        self.rows: list[Row] = []
        self.timing: list[Row] = []
        self._started = 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the epoch's clock."""
        self._started = time.perf_counter()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Add the epoch's row."""
        epoch = float(trainer.current_epoch)
        # Lightning keeps figures in float32: more digits than that would only be noise.
        figures = {name: float(f"{float(value):.7g}") for name, value in sorted(trainer.callback_metrics.items())}
        self.rows.append({"epoch": epoch, **figures})
        seconds = time.perf_counter() - self._started
        self.timing.append({"epoch": epoch, "seconds": seconds, "images_per_second": self.pace.images_per_second})
        if self.folder is not None and trainer.is_global_zero:
            write_rows(RunFolder(self.folder).epochs, self.rows)
            write_rows(RunFolder(self.folder).timing, self.timing)

    def state_dict(self) -> dict[str, Any]:
        """Plain data for the checkpoint."""
        return {"rows": self.rows, "timing": self.timing}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint; rows of epochs after it are forgotten."""
        self.rows, self.timing = list(state_dict["rows"]), list(state_dict["timing"])

    def objective(self, epoch: int) -> float | None:
        """The figure that selects, after an epoch; None where there was none or no anatomy to score."""
        value = self.rows[epoch].get(OBJECTIVE, math.nan)
        return None if math.isnan(value) else value

    @property
    def seconds(self) -> float:
        """Time spent in all epochs."""
        return sum(row["seconds"] for row in self.timing)


def write_rows(path: Path, rows: list[Row]) -> None:
    """Write rows as CSV, atomically. Epochs are written as whole numbers, other figures with all their digits."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    write_csv(path, columns, ([_cell(name, row.get(name)) for name in columns] for row in rows))


def _cell(name: str, value: float | None) -> str | None:
    return None if value is None else repr(int(value) if name == "epoch" else value)
