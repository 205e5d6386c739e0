"""Scores of a cross-validation by fold and pooled: table, figure and terminal output."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console

from lss_lightning.display import format_count
from lss_lightning.labels import LabelSet
from lss_lightning.reporting import style
from lss_lightning.reporting.report_table import ReportTable
from lss_lightning.reporting.style import MISSING
from lss_lightning.reporting.tables import (
    INTERVAL_NOTE,
    MEAN_ANATOMY_ROW,
    MEAN_ROW,
    Metrics,
    format_interval,
    format_score,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_FOLD_COLOUR = "#8a8a8a"
_ROW_HEIGHT = 0.42  # inches
_OFFSET = 0.26  # rows, of the folds above the mean and of the pooled score below the mean


@dataclass(frozen=True)
class FoldScore:
    """The IoU of a class in a cross-validation. Undefined values are None.

    Attributes:
        name: Name of the class, or of the mean over classes.
        folds: IoU of each fold, pooled over its held-out slices.
        mean: Mean over folds.
        sd: Sample standard deviation over folds.
        pooled: IoU pooled over all slices, each segmented by the fold that held it out.
        ci95: 95 % confidence interval of ``pooled``, from a bootstrap over patients.
    """

    name: str
    folds: Sequence[float | None]
    mean: float | None
    sd: float | None
    pooled: float | None
    ci95: Sequence[float] | None


def list_fold_scores(metrics: Metrics, labels: LabelSet) -> list[FoldScore]:
    """List the IoU of each class, then the means over all classes and over the anatomical classes.

    Args:
        metrics: Content of ``metrics.json`` of a cross-validation.
        labels: The classes.
    """
    folds, summary = metrics["by"]["fold"], metrics["folds"]

    def make_score(name: str, metric: str, key: str | None = None) -> FoldScore:
        def read(scores: Metrics, metric: str = metric) -> Any:
            return scores[metric] if key is None else scores[metric][key]

        return FoldScore(
            name,
            folds=[read(scores) for scores in folds.values()],
            mean=read(summary["mean"]),
            sd=read(summary["sd"]),
            pooled=read(metrics),
            ci95=read(metrics, f"{metric}_ci95"),
        )

    classes = [make_score(label.name, "iou", label.key) for label in labels]
    return [*classes, make_score(MEAN_ROW, "mean_iou"), make_score(MEAN_ANATOMY_ROW, "mean_iou_anatomy")]


def make_fold_table(metrics: Metrics, labels: LabelSet) -> ReportTable:
    """Make a table of the scores that :func:`list_fold_scores` returns for the same arguments."""
    headings = (
        f"Fold {name} ({format_count(scores['images'], 'slice')})" for name, scores in metrics["by"]["fold"].items()
    )
    rows = [
        [
            score.name,
            *map(format_score, score.folds),
            _format_mean_sd(score.mean, score.sd),
            format_interval(score.pooled, score.ci95),
        ]
        for score in list_fold_scores(metrics, labels)
    ]
    return ReportTable(
        "folds",
        "Intersection over union by class and fold",
        "IoU of a fold: intersections and unions are summed over its held-out slices, then divided. The mean and the "
        "sample standard deviation (SD) over folds weight all folds equally. The folds share training patients, so the "
        "SD is not the standard error of the mean. Pooled: over all slices, each segmented by the fold that held its "
        f"patient out. {INTERVAL_NOTE}",
        ["Class", *headings, "Mean ± SD over folds", "All slices, pooled"],
        rows[: len(labels)],
        tuple(rows[len(labels) :]),
    )


def write_folds(metrics: Metrics, labels: LabelSet, folder: Path, *, caption: str) -> None:
    """Write the table of :func:`make_fold_table` as ``folds.md``.

    Args:
        metrics: Content of ``metrics.json`` of a cross-validation.
        labels: The classes.
        folder: Existing folder to write to.
        caption: Caption that states the data, the folds and the checkpoints.
    """
    lines = [f"**Cross-validation.** {caption}", *make_fold_table(metrics, labels).to_markdown()]
    (folder / "folds.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def print_folds(folds: Metrics) -> None:
    """Print the mean IoU and its standard deviation over folds.

    Args:
        folds: The ``folds`` section of ``metrics.json``.
    """
    keys = ("mean_iou", "mean_iou_anatomy")
    all_classes, anatomy = (_format_mean_sd(folds["mean"][key], folds["sd"][key]) for key in keys)
    scores = f"mean IoU over all classes {all_classes}, over anatomical classes {anatomy}"
    Console().print(f"Mean ± SD over {folds['count']} folds: {scores}")


def _format_mean_sd(mean: float | None, sd: float | None) -> str:
    """Format a mean and SD, e.g. ``0.912 ± 0.013``, with a dash for undefined values."""
    return MISSING if mean is None else f"{format_score(mean)} ± {format_score(sd)}"


def plot_folds(metrics: Metrics, labels: LabelSet, path: Path, *, caption: str) -> None:
    """Write the figure of :func:`draw_folds` to a PNG file."""
    with style.context():
        style.save(draw_folds(list_fold_scores(metrics, labels), caption=caption), path)


def draw_folds(scores: Sequence[FoldScore], *, caption: str) -> Figure:
    """Draw one row per score: the folds, their mean ± SD, and the pooled score with its confidence interval.

    Args:
        scores: The scores from top to bottom.
        caption: Text below the figure.
    """
    rows = np.arange(len(scores))
    folds = np.array([score.folds for score in scores], dtype=np.float64)  # None becomes NaN
    mean, sd, pooled = np.array([(score.mean, score.sd, score.pooled) for score in scores], dtype=np.float64).T
    low, high = np.array([score.ci95 or (None, None) for score in scores], dtype=np.float64).T
    with style.context():
        figure, body = style.new_figure(0.9 + _ROW_HEIGHT * len(scores), caption)
        axes = body.subplots()
        for fold, values in enumerate(folds.T):
            name = "Single fold" if fold == 0 else None
            axes.plot(values, rows - _OFFSET, "o", color=_FOLD_COLOUR, alpha=0.8, clip_on=False, label=name)
        axes.errorbar(mean, rows, xerr=sd, fmt="D", color=style.TRAINING, label="Mean ± SD over folds")
        bars, name = np.abs(np.stack((low, high)) - pooled), "All slices, pooled, 95 % confidence interval"
        axes.errorbar(pooled, rows + _OFFSET, xerr=bars, fmt="s", color=style.VALIDATION, label=name)
        minimum = np.nanmin([*folds.ravel(), *(mean - sd), *low, 1])
        axes.set(xlim=(max(0, math.floor(10 * minimum) / 10), 1), xlabel="Intersection over union")
        axes.set_yticks(rows, [score.name for score in scores])
        axes.set_ylim(len(scores) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=True, axis="x")
        body.legend(loc="outside lower center", ncols=3)
        return figure
