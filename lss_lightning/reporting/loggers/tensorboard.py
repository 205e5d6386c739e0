"""The TensorBoard logger: event files in the run directory, which ``tensorboard --logdir logs`` shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from pytorch_lightning import loggers as lightning
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from lss_lightning.reporting import style
from lss_lightning.reporting.examples import Case, draw_examples
from lss_lightning.reporting.loggers.content import LoggedResult
from lss_lightning.reporting.loggers.description import RunDescription
from lss_lightning.runs.layout import RunFolder

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


class TensorBoardLogger(lightning.TensorBoardLogger):
    """Lightning's TensorBoard logger, extended to log slices and the test result.

    HTML files and checkpoints are omitted because TensorBoard can show neither.
    """

    def __init__(self) -> None:
        super().__init__(save_dir="", name="", version="", default_hp_metric=False)
        self.description: RunDescription | None = None

    @property
    def root_dir(self) -> str:
        """The folder of the event files."""
        assert self.description is not None
        return str(RunFolder(self.description.folder).tensorboard)

    @property
    def save_dir(self) -> str:
        """The folder of the event files."""
        return self.root_dir

    def describe_run(self, description: RunDescription) -> None:
        """Receive the run directory, the classes and the note."""
        self.description = description

    @rank_zero_only
    def log_examples(self, epoch: int, examples: Sequence[Case]) -> None:
        """Log the slices as one figure."""
        assert self.description is not None
        caption = f"{self.description.name}, epoch {epoch}, validation set. {self.description.note}"
        figure = draw_examples(examples, self.description.labels, caption=caption)
        self.experiment.add_image("val/slices", style.rasterise(figure), epoch, dataformats="HWC")

    @rank_zero_only
    def log_result(self, result: LoggedResult) -> None:
        """Log the metrics, the report's figures, a table of the slices, and the hyperparameters with their scores."""
        assert self.description is not None
        writer, step = self.experiment, result.epoch or 0
        self.log_metrics(result.metrics, step)
        for name, path in result.figures.items():
            writer.add_image(f"figure/{name}", _read_image(path), step, dataformats="HWC")
        writer.add_text("test/cases", result.format_cases(self.description.labels), step)
        scores = {
            f"hparam/{name}": result.metrics[name] for name in ("objective", "test/mean_iou") if name in result.metrics
        }
        self.log_hyperparams(dict(self.hparams), scores)

    @rank_zero_only
    def save(self) -> None:
        """Flush the event files. Unlike Lightning, do not write ``hparams.yaml``: the settings are in ``.hydra``."""
        self.experiment.flush()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Flush the event files. They stay open, because a later test would otherwise start another file."""
        if self._experiment is not None:
            self.experiment.flush()

    def end_run(self, *, failed: bool) -> None:
        """Close the event files."""
        self.experiment.close()


def _read_image(path: Path) -> NDArray[np.uint8]:
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))
