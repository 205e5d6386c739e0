"""The Weights & Biases logger."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import wandb
from pytorch_lightning import loggers as lightning
from pytorch_lightning.loggers.logger import rank_zero_experiment
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from lss_lightning.config.loggers import WandbConfig
from lss_lightning.reporting.loggers.content import LoggedResult, SliceRow
from lss_lightning.reporting.loggers.description import RunDescription
from lss_lightning.reporting.loggers.wandb_start import format_offline_notice, start_run

if TYPE_CHECKING:
    from lss_lightning.reporting.examples import Case

_log = logging.getLogger(__name__)


class WandbLogger(lightning.WandbLogger):
    """Lightning's W&B logger, extended to fall back to offline recording, resume runs, and log slices and test results.

    Args:
        settings: The arguments of :class:`~lss_lightning.config.loggers.WandbConfig`.

    Attributes:
        config: The arguments.
        description: The description of the run, which :meth:`describe_run` sets before the run starts.
    """

    def __init__(self, **settings: Any) -> None:
        self.config = WandbConfig(**settings)
        super().__init__(project=self.config.project)
        self.description: RunDescription | None = None

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The ``wandb.Run``, started on first access.

        Raises:
            UserError: If a resumed run was recorded in another project or under another entity.
        """
        if self._experiment is None:
            assert self.description is not None
            self._experiment = start_run(self.description, self.config)
            self._experiment.define_metric("epoch")
            # Metrics that are logged per batch also carry trainer/global_step.
            self._experiment.define_metric("*", step_metric="epoch", step_sync=True)
        return self._experiment

    @property
    def save_dir(self) -> str | None:
        """The run directory."""
        return None if self.description is None else str(self.description.folder)

    def describe_run(self, description: RunDescription) -> None:
        """Receive the name, the group, the note, the classes and the directory of the run."""
        self.description = description

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log metrics. Metrics of an epoch are logged without a step, because Lightning's steps count batches."""
        super().log_metrics(metrics, None if metrics.get("epoch") == step else step)

    @rank_zero_only
    def log_past_epochs(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Log the past epochs unless the server has them. An offline recording must be self-contained."""
        if not self.experiment.resumed:
            for row in rows:
                self.log_metrics(row)

    @rank_zero_only
    def log_examples(self, epoch: int, examples: Sequence[Case]) -> None:
        """Log the slices as images with masks that can be toggled."""
        self.experiment.log({"epoch": epoch, "val/slices": [self._image(case) for case in examples]})

    @rank_zero_only
    def log_result(self, result: LoggedResult) -> None:
        """Log the metrics, confusion matrix, table of slices, report figures, HTML files and checkpoint."""
        self.experiment.log(
            {
                **result.metrics,
                "test/confusion": self._confusion_matrix(result),
                "test/cases": self._table(result),
                **{f"figure/{name}": wandb.Image(str(path)) for name, path in result.figures.items()},
                **{f"page/{name}": wandb.Html(str(path), inject=False) for name, path in result.pages.items()},
            }
        )
        if result.checkpoint is not None and self.config.checkpoint:
            self._log_checkpoint(result, result.checkpoint)

    def end_run(self, *, failed: bool) -> None:
        """Wait up to ``wandb_start.UPLOAD_TIMEOUT`` seconds for all data to be uploaded."""
        try:
            self.experiment.finish(exit_code=int(failed))
        except TimeoutError:
            _log.warning(format_offline_notice(self.experiment, "the upload timed out"))

    @property
    def _class_names(self) -> dict[int, str]:
        assert self.description is not None
        return {index: label.name for index, label in enumerate(self.description.labels)}

    def _image(self, case: Case) -> wandb.Image:
        masks = {"label": case.label, "prediction": case.prediction}
        return wandb.Image(
            case.image,
            caption=case.title,
            masks={layer: {"mask_data": mask, "class_labels": self._class_names} for layer, mask in masks.items()},
        )

    def _confusion_matrix(self, result: LoggedResult) -> Any:
        # W&B's own function requires a list of all predictions, which would be millions of pixels here.
        columns: list[str | int] = ["Actual", "Predicted", "nPredictions"]
        names = list(self._class_names.values())
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

    def _table(self, result: LoggedResult) -> wandb.Table:
        with_images = any(row.example for row in result.rows)
        columns: list[str | int] = ["Patient", "Level", "Mean IoU, anatomy", *self._class_names.values()]
        table = wandb.Table(columns=[*columns, "Slice"] if with_images else columns)
        for row in result.rows:
            images = [self._image(row.example) if row.example else None] if with_images else []
            table.add_data(row.patient, row.level, *_scores(row), *images)
        return table

    def _log_checkpoint(self, result: LoggedResult, checkpoint: Path) -> None:
        assert self.description is not None
        name = re.sub(r"[^\w.-]+", "-", f"{self.description.name}-{self.experiment.id}")
        artifact = wandb.Artifact(name, type="model", metadata={"epoch": result.epoch, **result.metrics})
        # The files no longer change, so W&B need not copy them before the upload.
        for path in (checkpoint, result.card):
            if path is not None:
                artifact.add_file(str(path), policy="immutable")
        epoch = [] if result.epoch is None else [f"epoch-{result.epoch}"]
        self.experiment.log_artifact(artifact, aliases=[checkpoint.stem, *epoch])


def _scores(row: SliceRow) -> list[float | None]:
    return [None if math.isnan(score) else float(score) for score in (row.mean_iou_anatomy, *row.iou)]
