"""The Weights & Biases tracker."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import wandb

from lss_lightning.config.sections import WandbConfig
from lss_lightning.reporting.trackers.content import EpochRecord, SliceRow, TrackedResult
from lss_lightning.reporting.trackers.description import RunDescription
from lss_lightning.reporting.trackers.tracker import Tracker
from lss_lightning.reporting.trackers.wandb_start import format_offline_notice, start_run

if TYPE_CHECKING:
    from lss_lightning.reporting.examples import Case

_log = logging.getLogger(__name__)


class WandbTracker(Tracker):
    """Records a run on a W&B server, or offline for a later ``wandb sync``.

    Args:
        description: The run.
        config: The W&B settings.

    Raises:
        UserError: If a resumed run was recorded in another project or under another entity.
    """

    def __init__(self, description: RunDescription, config: WandbConfig) -> None:
        self.description, self.upload_checkpoint = description, config.checkpoint
        self.run = start_run(description, config)
        self.class_names = {index: label.name for index, label in enumerate(description.labels)}

    def log_past_epochs(self, epochs: Sequence[EpochRecord]) -> None:
        """Record the epochs unless the server has them, because an offline recording must be complete by itself."""
        if not self.run.resumed:
            for epoch in epochs:
                self.log_epoch(epoch)

    def log_epoch(self, epoch: EpochRecord) -> None:
        """Record a row of history, and the examples as images with masks that can be toggled."""
        row: dict[str, Any] = {"epoch": epoch.number, **epoch.metrics}
        if epoch.examples:
            row["val/slices"] = [self._image(case) for case in epoch.examples]
        self.run.log(row, step=epoch.number)

    def log_result(self, result: TrackedResult) -> None:
        """Record metrics, confusion matrix, table of slices, the report's figures and pages, and the checkpoint."""
        self.run.log(
            {
                **result.metrics,
                "test/confusion": self._confusion_matrix(result),
                "test/cases": self._table(result),
                **{f"figure/{name}": wandb.Image(str(path)) for name, path in result.figures.items()},
                **{f"page/{name}": wandb.Html(str(path), inject=False) for name, path in result.pages.items()},
            }
        )
        if result.checkpoint is not None and self.upload_checkpoint:
            self._log_checkpoint(result, result.checkpoint)

    def close(self, *, failed: bool) -> None:
        """Wait until all data is uploaded, up to ``wandb_start.UPLOAD_TIMEOUT`` seconds."""
        try:
            self.run.finish(exit_code=int(failed))
        except TimeoutError:
            _log.warning(format_offline_notice(self.run, "the upload timed out"))

    def _image(self, case: Case) -> wandb.Image:
        masks = {"label": case.label, "prediction": case.prediction}
        return wandb.Image(
            case.image,
            caption=case.title,
            masks={layer: {"mask_data": mask, "class_labels": self.class_names} for layer, mask in masks.items()},
        )

    def _confusion_matrix(self, result: TrackedResult) -> Any:
        # W&B's own function takes a list of all predictions, which are millions of pixels here.
        columns: list[str | int] = ["Actual", "Predicted", "nPredictions"]
        names = list(self.class_names.values())
        cells = [
            [true, predicted, int(result.confusion[row, column])]
            for row, true in enumerate(names)
            for column, predicted in enumerate(names)
        ]
        return wandb.plot_table(
            "wandb/confusion_matrix/v1",
            wandb.Table(columns=columns, data=cells),
            fields={str(column): column for column in columns},
            string_fields={"title": "Test confusion matrix, pixels"},
        )

    def _table(self, result: TrackedResult) -> wandb.Table:
        with_images = any(row.example for row in result.rows)
        columns: list[str | int] = ["Patient", "Level", "Mean IoU, anatomy", *self.class_names.values()]
        table = wandb.Table(columns=[*columns, "Slice"] if with_images else columns)
        for row in result.rows:
            images = [self._image(row.example) if row.example else None] if with_images else []
            table.add_data(row.patient, row.level, *_scores(row), *images)
        return table

    def _log_checkpoint(self, result: TrackedResult, checkpoint: Path) -> None:
        name = re.sub(r"[^\w.-]+", "-", f"{self.description.name}-{self.run.id}")
        artifact = wandb.Artifact(name, type="model", metadata={"epoch": result.epoch, **result.metrics})
        # The files do not change any more, so W&B need not copy them before the upload.
        for path in (checkpoint, result.card):
            if path is not None:
                artifact.add_file(str(path), policy="immutable")
        epoch = [] if result.epoch is None else [f"epoch-{result.epoch}"]
        self.run.log_artifact(artifact, aliases=[checkpoint.stem, *epoch])


def _scores(row: SliceRow) -> list[float | None]:
    return [None if math.isnan(score) else float(score) for score in (row.mean_iou_anatomy, *row.iou)]
