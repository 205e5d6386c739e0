"""A run in TensorBoard: event files below the run's folder, by ``tensorboard --logdir logs``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from pytorch_lightning.loggers import TensorBoardLogger

from lss_lightning.reporting import style
from lss_lightning.reporting.examples import draw_examples
from lss_lightning.reporting.trackers.content import Epoch, RunDescription, SliceRow, TrackedResult, Tracker

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

FOLDER = "tensorboard"


class TensorBoardTracker(Tracker):
    """Writes event files; pages and checkpoints stay where they are, since TensorBoard shows neither.

    Args:
        about: The run.
    """

    def __init__(self, about: RunDescription) -> None:
        self.about = about
        self.logger = TensorBoardLogger(about.folder, name="", version=FOLDER, default_hp_metric=False)

    def past(self, epochs: Sequence[Epoch]) -> None:
        """Nothing: the event files of before lie in the same folder."""

    def epoch(self, epoch: Epoch) -> None:
        """Scalars, and the examples as one figure."""
        self.logger.log_metrics(epoch.figures, epoch.number)
        if epoch.examples:
            caption = f"{self.about.name}, epoch {epoch.number}, validation part. {self.about.note}"
            figure = draw_examples(epoch.examples, self.about.labels, caption=caption)
            self.logger.experiment.add_image("val/slices", style.pixels(figure), epoch.number, dataformats="HWC")

    def result(self, result: TrackedResult) -> None:
        """Scalars, the report's figures, a table of the slices, and the settings with what they led to."""
        writer, step = self.logger.experiment, result.epoch or 0
        self.logger.log_metrics(result.figures, step)
        for name, path in result.pictures.items():
            writer.add_image(f"figure/{name}", _read(path), step, dataformats="HWC")
        writer.add_text("test/cases", self._table(result), step)
        outcome = {name: result.figures[name] for name in ("objective", "test/mean_iou") if name in result.figures}
        self.logger.log_hyperparams(dict(self.about.settings), {f"hparam/{name}": it for name, it in outcome.items()})

    def close(self, *, failed: bool) -> None:
        """Write what is still in memory."""
        self.logger.experiment.close()

    def _table(self, result: TrackedResult) -> str:
        columns = ["Patient", "Level", "Mean IoU, anatomy", *(label.name for label in self.about.labels)]
        lines = [columns, ["---"] * len(columns), *map(_cells, result.rows)]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cells(row: SliceRow) -> list[str]:
    scores = [row.mean_iou_anatomy, *row.iou]
    return [row.patient, row.level, *(style.MISSING if np.isnan(score) else f"{score:.3f}" for score in scores)]


def _read(path: Path) -> NDArray[np.uint8]:
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))
