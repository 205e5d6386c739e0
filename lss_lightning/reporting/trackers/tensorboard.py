"""The TensorBoard tracker: event files in the run directory, shown by ``tensorboard --logdir logs``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from pytorch_lightning.loggers import TensorBoardLogger

from lss_lightning.reporting import style
from lss_lightning.reporting.examples import draw_examples
from lss_lightning.reporting.trackers.content import EpochRecord, SliceRow, TrackedResult
from lss_lightning.reporting.trackers.description import RunDescription
from lss_lightning.reporting.trackers.tracker import Tracker
from lss_lightning.runs.layout import RunFolder

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


class TensorBoardTracker(Tracker):
    """Records a run as TensorBoard event files. HTML pages and checkpoints are omitted, as TensorBoard shows neither.

    Args:
        description: The run.
    """

    def __init__(self, description: RunDescription) -> None:
        self.description = description
        version = RunFolder(description.folder).tensorboard.name
        self.logger = TensorBoardLogger(description.folder, name="", version=version, default_hp_metric=False)

    def log_past_epochs(self, epochs: Sequence[EpochRecord]) -> None:
        """Do nothing: the earlier event files are in the same folder."""

    def log_epoch(self, epoch: EpochRecord) -> None:
        """Record the metrics as scalars and the examples as one figure."""
        self.logger.log_metrics(epoch.metrics, epoch.number)
        if epoch.examples:
            caption = f"{self.description.name}, epoch {epoch.number}, validation set. {self.description.note}"
            figure = draw_examples(epoch.examples, self.description.labels, caption=caption)
            self.logger.experiment.add_image("val/slices", style.rasterise(figure), epoch.number, dataformats="HWC")

    def log_result(self, result: TrackedResult) -> None:
        """Record the metrics, the report's figures, a table of the slices, and the hyperparameters."""
        writer, step = self.logger.experiment, result.epoch or 0
        self.logger.log_metrics(result.metrics, step)
        for name, path in result.figures.items():
            writer.add_image(f"figure/{name}", _read_image(path), step, dataformats="HWC")
        writer.add_text("test/cases", self._table(result), step)
        scores = {
            f"hparam/{name}": result.metrics[name] for name in ("objective", "test/mean_iou") if name in result.metrics
        }
        self.logger.log_hyperparams(dict(self.description.settings), scores)

    def close(self, *, failed: bool) -> None:
        """Flush and close the event files."""
        self.logger.experiment.close()

    def _table(self, result: TrackedResult) -> str:
        columns = ["Patient", "Level", "Mean IoU, anatomy", *(label.name for label in self.description.labels)]
        lines = [columns, ["---"] * len(columns), *map(_cells, result.rows)]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cells(row: SliceRow) -> list[str]:
    scores = [row.mean_iou_anatomy, *row.iou]
    return [row.patient, row.level, *(style.MISSING if np.isnan(score) else f"{score:.3f}" for score in scores)]


def _read_image(path: Path) -> NDArray[np.uint8]:
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))
