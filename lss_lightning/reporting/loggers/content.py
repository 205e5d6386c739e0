"""The test result in the form that loggers receive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lss_lightning.labels import LabelSet
from lss_lightning.reporting import style
from lss_lightning.reporting.examples import Case
from lss_lightning.runs.layout import RunFolder

_MEAN_METRICS = ("mean_iou", "mean_iou_anatomy")
_CLASS_METRICS = ("iou", "dice")


@dataclass(frozen=True)
class SliceRow:
    """The result of a test slice.

    Attributes:
        patient: The patient's identifier.
        level: The spinal level, or the data set's name for it.
        iou: The IoU of each class, (K,), float64. NaN for a class in neither the label nor the prediction.
        mean_iou_anatomy: The mean over the anatomical classes. NaN if it is undefined.
        example: The slice with its label and prediction, or None if slices are not logged.
    """

    patient: str
    level: str
    iou: NDArray[np.float64]
    mean_iou_anatomy: float
    example: Case | None


@dataclass(frozen=True, kw_only=True)
class LoggedResult:
    """The result of a test.

    Attributes:
        metrics: The metrics by name: ``test/mean_iou``, ``test/iou/thecal_sac`` and so on, the metrics of the
            ``metrics`` section, the validation ``objective`` and, for a cross-validation, ``folds/mean/mean_iou`` and
            ``folds/sd/mean_iou``, the mean and standard deviation over the folds.
        confusion: The confusion matrix, (K, K), int64, in pixels. Rows are true classes, columns predicted classes.
        rows: The test slices.
        figures: The PNG files of the report, by name.
        pages: The HTML files of the report, by name.
        checkpoint: The tested checkpoint if this run created it, otherwise None.
        card: The model card to store with the checkpoint.
        epoch: The epoch of the checkpoint, from 0, or None if this run did not create the checkpoint.
    """

    metrics: Mapping[str, float]
    confusion: NDArray[np.int64]
    rows: Sequence[SliceRow]
    figures: Mapping[str, Path]
    pages: Mapping[str, Path]
    checkpoint: Path | None
    card: Path | None
    epoch: int | None

    def format_cases(self, labels: LabelSet) -> str:
        """Return the scores of the test slices as a Markdown table.

        Args:
            labels: The K classes.
        """
        columns = ["Patient", "Level", "Mean IoU, anatomy", *(label.name for label in labels)]
        lines = [columns, ["---"] * len(columns), *map(_format_cells, self.rows)]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def read_result(
    folder: Path, *, confusion: NDArray[np.int64], rows: Sequence[SliceRow], checkpoint: Path | None = None
) -> LoggedResult:
    """Read the result of a test from its run directory.

    Args:
        folder: The run directory, which contains the test result and the report.
        confusion: As in :class:`LoggedResult`.
        rows: As in :class:`LoggedResult`.
        checkpoint: As in :class:`LoggedResult`.
    """
    run = RunFolder(folder)
    metrics = run.load_metrics()
    return LoggedResult(
        metrics=_flatten_metrics(metrics),
        confusion=confusion,
        rows=rows,
        figures={path.stem: path for path in sorted(run.report.glob("*.png"))},
        pages={path.stem: path for path in sorted(run.report.glob("*.html"))},
        checkpoint=checkpoint,
        card=run.model_card if run.model_card.is_file() else None,
        epoch=metrics.get("validation", {}).get("epoch"),
    )


def _format_cells(row: SliceRow) -> list[str]:
    scores = [row.mean_iou_anatomy, *row.iou]
    return [row.patient, row.level, *(style.MISSING if np.isnan(score) else f"{score:.3f}" for score in scores)]


def _flatten_metrics(metrics: Mapping[str, Any]) -> dict[str, float]:
    flat = {f"test/{name}": metrics[name] for name in _MEAN_METRICS}
    for name in _CLASS_METRICS:
        flat |= {f"test/{name}/{key}": score for key, score in metrics[name].items()}
    flat |= {f"test/{name}": value for name, value in metrics.get("metrics", {}).items()}
    if "folds" in metrics:
        for statistic in ("mean", "sd"):
            flat |= {f"folds/{statistic}/{name}": metrics["folds"][statistic][name] for name in _MEAN_METRICS}
    flat["objective"] = metrics.get("validation", {}).get("objective")
    return {name: value for name, value in flat.items() if value is not None}
