"""The MLflow logger."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from pytorch_lightning import loggers as lightning
from pytorch_lightning.loggers.logger import rank_zero_experiment
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from lss_lightning.config.loggers import MLFlowConfig
from lss_lightning.errors import UserError
from lss_lightning.files import write_json
from lss_lightning.reporting import style
from lss_lightning.reporting.examples import Case, draw_examples
from lss_lightning.reporting.loggers.content import LoggedResult
from lss_lightning.reporting.loggers.description import RunDescription
from lss_lightning.runs.layout import RunFolder

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient


class MLFlowLogger(lightning.MLFlowLogger):
    """Lightning's MLflow logger, extended to resume its run and to log slices and the test result as artifacts.

    Args:
        settings: The arguments of :class:`~lss_lightning.config.loggers.MLFlowConfig`.

    Raises:
        UserError: If MLflow is not installed.
    """

    def __init__(self, **settings: Any) -> None:
        if find_spec("mlflow") is None:
            raise UserError("MLflow is not installed; run pip install 'lss-lightning[mlflow]'")
        self.config = MLFlowConfig(**settings)
        super().__init__(
            experiment_name=self.config.experiment_name,
            tracking_uri=self.config.tracking_uri,
            artifact_location=self.config.artifact_location,
        )
        self.description: RunDescription | None = None
        self._resumed = False

    @property
    @rank_zero_experiment
    def experiment(self) -> MlflowClient:
        """The MLflow client. The run is started on first access."""
        starts = not self._initialized
        client = super().experiment
        if starts and self.description is not None:
            write_json(RunFolder(self.description.folder).mlflow_identity, {"run_id": self._run_id})
        return client

    def describe_run(self, description: RunDescription) -> None:
        """Receive the name, the group and the note of the run, and restore its MLflow ID if it is resumed."""
        self.description = description
        self._run_name = description.name
        tags = {"job": description.job, "group": description.group, "mlflow.note.content": description.note}
        self.tags = {**{key: value for key, value in tags.items() if value is not None}, **self.config.tags}
        identity = RunFolder(description.folder).mlflow_identity
        if description.resumed and identity.is_file():
            self._run_id, self._resumed = json.loads(identity.read_text())["run_id"], True

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace) -> None:
        """Log hyperparameters. Those of a resumed run keep their values, because MLflow does not allow changes."""
        known = self.experiment.get_run(self.run_id).data.params
        values = vars(params) if isinstance(params, Namespace) else params
        super().log_hyperparams({key: value for key, value in values.items() if key not in known})

    @rank_zero_only
    def log_past_epochs(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Log the past epochs unless the MLflow run is resumed and therefore contains them."""
        if not self._resumed:
            for row in rows:
                self.log_metrics(row, int(row["epoch"]))

    @rank_zero_only
    def log_examples(self, epoch: int, examples: Sequence[Case]) -> None:
        """Log the slices as one image."""
        assert self.description is not None
        caption = f"{self.description.name}, epoch {epoch}, validation set. {self.description.note}"
        image = style.rasterise(draw_examples(examples, self.description.labels, caption=caption))
        self.experiment.log_image(self.run_id, image, f"val/slices-{epoch:04}.png")

    @rank_zero_only
    def log_result(self, result: LoggedResult) -> None:
        """Log the metrics, a table of the slices, the report's figures and HTML files, and the checkpoint."""
        assert self.description is not None
        self.log_metrics(result.metrics, result.epoch or 0)
        self.experiment.log_text(self.run_id, result.format_cases(self.description.labels), "test/cases.md")
        for path in (*result.figures.values(), *result.pages.values()):
            self.experiment.log_artifact(self.run_id, str(path), "report")
        if result.checkpoint is not None and self.config.checkpoint:
            for path in filter(None, (result.checkpoint, result.card)):
                self.experiment.log_artifact(self.run_id, str(path), "checkpoints")

    def end_run(self, *, failed: bool) -> None:
        """Set the final status of the run."""
        self.experiment.set_terminated(self.run_id, "FAILED" if failed else "FINISHED")
