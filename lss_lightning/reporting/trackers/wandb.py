"""A run in Weights & Biases."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import wandb

from lss_lightning.config.sections import WandbConfig
from lss_lightning.reporting.trackers.content import Epoch, RunDescription, SliceRow, TrackedResult, Tracker
from lss_lightning.reporting.trackers.wandb_start import recording_line, start

if TYPE_CHECKING:
    from lss_lightning.reporting.examples import Case

say = logging.getLogger(__name__).warning


class WandbTracker(Tracker):
    """Sends a run to a W&B server, or records it for a later ``wandb sync``.

    Args:
        about: The run.
        config: Where to.

    Raises:
        UserError: the run that is resumed was recorded elsewhere.
    """

    def __init__(self, about: RunDescription, config: WandbConfig) -> None:
        self.about, self.keeps_checkpoint = about, config.checkpoint
        self.run = start(about, config)
        self.names = {index: label.name for index, label in enumerate(about.labels)}

    def past(self, epochs: Sequence[Epoch]) -> None:
        """Rows of history, unless the server has them: what is recorded offline must be whole by itself."""
        if not self.run.resumed:
            for epoch in epochs:
                self.epoch(epoch)

    def epoch(self, epoch: Epoch) -> None:
        """A row of history, with the examples as images whose masks can be switched on and off."""
        row: dict[str, Any] = {"epoch": epoch.number, **epoch.figures}
        if epoch.examples:
            row["val/slices"] = [self._image(case) for case in epoch.examples]
        self.run.log(row, step=epoch.number)

    def result(self, result: TrackedResult) -> None:
        """Figures, the confusion matrix, a table of the slices, the report's pictures and pages, and the checkpoint."""
        self.run.log(
            {
                **result.figures,
                "test/confusion": self._confusion(result),
                "test/cases": self._table(result),
                **{f"figure/{name}": wandb.Image(str(path)) for name, path in result.pictures.items()},
                **{f"page/{name}": wandb.Html(str(path), inject=False) for name, path in result.pages.items()},
            }
        )
        if result.checkpoint is not None and self.keeps_checkpoint:
            self._keep(result, result.checkpoint)

    def close(self, *, failed: bool) -> None:
        """Wait until everything is sent, but not for ever."""
        try:
            self.run.finish(exit_code=int(failed))
        except TimeoutError:
            say(recording_line(self.run, "the server took too long at the end"))

    def _image(self, case: Case) -> wandb.Image:
        masks = {"label": case.label, "prediction": case.prediction}
        return wandb.Image(
            case.image,
            caption=case.title,
            masks={layer: {"mask_data": mask, "class_labels": self.names} for layer, mask in masks.items()},
        )

    def _confusion(self, result: TrackedResult) -> Any:
        # W&B's own function counts single predictions, which are millions of pixels here.
        columns: list[str | int] = ["Actual", "Predicted", "nPredictions"]
        names = list(self.names.values())
        cells = [
            [true, predicted, int(result.confusion[row, column])]
            for row, true in enumerate(names)
            for column, predicted in enumerate(names)
        ]
        return wandb.plot_table(
            "wandb/confusion_matrix/v1",
            wandb.Table(columns=columns, data=cells),
            fields={str(column): column for column in columns},
            string_fields={"title": "Pixels by true and predicted class, test"},
        )

    def _table(self, result: TrackedResult) -> wandb.Table:
        pictured = any(row.example for row in result.rows)
        columns: list[str | int] = ["Patient", "Level", "Mean IoU, anatomy", *self.names.values()]
        table = wandb.Table(columns=[*columns, "Slice"] if pictured else columns)
        for row in result.rows:
            slices = [self._image(row.example) if row.example else None] if pictured else []
            table.add_data(row.patient, row.level, *_scores(row), *slices)
        return table

    def _keep(self, result: TrackedResult, checkpoint: Path) -> None:
        name = re.sub(r"[^\w.-]+", "-", f"{self.about.name}-{self.run.id}")
        artifact = wandb.Artifact(name, type="model", metadata={"epoch": result.epoch, **result.figures})
        # Finished files: no copy is made of them before they are sent.
        for path in (checkpoint, result.card):
            if path is not None:
                artifact.add_file(str(path), policy="immutable")
        epoch = [] if result.epoch is None else [f"epoch-{result.epoch}"]
        self.run.log_artifact(artifact, aliases=[checkpoint.stem, *epoch])


def _scores(row: SliceRow) -> list[float | None]:
    return [None if math.isnan(score) else float(score) for score in (row.mean_iou_anatomy, *row.iou)]
