"""What the folds of a cross-validation say, one by one and together, as a table, a figure, and on the terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console

from lss_lightning.labels import LabelSet
from lss_lightning.reporting import style
from lss_lightning.reporting.report_table import ReportTable
from lss_lightning.reporting.style import MISSING
from lss_lightning.reporting.tables import INTERVALS, MEAN, MEAN_ANATOMY, format_interval, format_score

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Metrics = Mapping[str, Any]

_FOLD = "#8a8a8a"
_ROW = 0.42  # inches
_APART = 0.26  # of a row: the folds stand above their mean, the pooled score beneath it


@dataclass(frozen=True)
class FoldScore:
    """An IoU of a cross-validation; None where it is not defined.

    Attributes:
        name: Of the class, or of the mean over classes.
        folds: In each fold, pooled over the slices that it held out.
        mean: Over the folds.
        sd: Sample standard deviation over them.
        pooled: Over all slices, each once.
        ci95: Its interval over patients.
    """

    name: str
    folds: Sequence[float | None]
    mean: float | None
    sd: float | None
    pooled: float | None
    ci95: Sequence[float] | None


def fold_scores(metrics: Metrics, labels: LabelSet) -> list[FoldScore]:
    """The IoU of each class, then its mean over all classes and over the anatomical ones.

    Args:
        metrics: As in ``metrics.json``, of a cross-validation.
        labels: The classes.
    """
    folds, over = metrics["by"]["fold"], metrics["folds"]

    def score(name: str, measure: str, key: str | None = None) -> FoldScore:
        def of(figures: Metrics, measure: str = measure) -> Any:
            return figures[measure] if key is None else figures[measure][key]

        each = [of(figures) for figures in folds.values()]
        return FoldScore(name, each, of(over["mean"]), of(over["sd"]), of(metrics), of(metrics, f"{measure}_ci95"))

    classes = [score(label.name, "iou", label.key) for label in labels]
    return [*classes, score(MEAN, "mean_iou"), score(MEAN_ANATOMY, "mean_iou_anatomy")]


def fold_table(metrics: Metrics, labels: LabelSet) -> ReportTable:
    """:func:`fold_scores` as a table."""
    slices = (f"Fold {name} ({figures['images']} slices)" for name, figures in metrics["by"]["fold"].items())
    rows = [
        [
            score.name,
            *map(format_score, score.folds),
            _spread(score.mean, score.sd),
            format_interval(score.pooled, score.ci95),
        ]
        for score in fold_scores(metrics, labels)
    ]
    return ReportTable(
        "folds",
        "Intersection over union by class and fold",
        "IoU of a fold: intersections and unions summed over the slices that it held out, then divided. Mean and "
        "sample standard deviation (SD) over folds weigh each fold the same; folds share training patients: the SD is "
        "not the standard error of the mean. Pooled: over all slices, each once, by the fold that never saw its "
        f"patient. {INTERVALS}",
        ["Class", *slices, "Mean ± SD over folds", "All slices, pooled"],
        rows[: len(labels)],
        tuple(rows[len(labels) :]),
    )


def write_folds(metrics: Metrics, labels: LabelSet, folder: Path, *, caption: str) -> None:
    """Write :func:`fold_table` as ``folds.md``.

    Args:
        metrics: As in ``metrics.json``, of a cross-validation.
        labels: The classes.
        folder: An existing folder.
        caption: Which data, folds and checkpoints made the scores.
    """
    lines = [f"**Cross-validation.** {caption}", *fold_table(metrics, labels).markdown()]
    (folder / "folds.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def print_folds(folds: Metrics) -> None:
    """Print the means over folds; ``folds`` as in ``metrics.json``."""
    whole, anatomy = (_spread(folds["mean"][key], folds["sd"][key]) for key in ("mean_iou", "mean_iou_anatomy"))
    Console().print(f"Mean ± SD of {folds['count']} folds: mean IoU {whole}, of the anatomical classes {anatomy}")


def _spread(mean: float | None, deviation: float | None) -> str:
    """A mean and its SD as ``0.912 ± 0.013``; a dash for what is not defined."""
    return MISSING if mean is None else f"{format_score(mean)} ± {format_score(deviation)}"


def plot_folds(metrics: Metrics, labels: LabelSet, path: Path, *, caption: str) -> None:
    """Write :func:`draw_folds` to a PNG file."""
    with style.look():
        style.save(draw_folds(fold_scores(metrics, labels), caption=caption), path)


def draw_folds(scores: Sequence[FoldScore], *, caption: str) -> Figure:
    """Draw a row for each score: its folds, their mean ± SD, and beneath them the pooled score with its interval.

    Args:
        scores: From top to bottom.
        caption: Stands beneath the figure.
    """
    rows = np.arange(len(scores))
    folds = np.array([score.folds for score in scores], dtype=np.float64)  # None becomes NaN
    mean, sd, pooled = np.array([(score.mean, score.sd, score.pooled) for score in scores], dtype=np.float64).T
    low, high = np.array([score.ci95 or (None, None) for score in scores], dtype=np.float64).T
    with style.look():
        figure, body = style.new_figure(0.9 + _ROW * len(scores), caption)
        axes = body.subplots()
        for place, scored in enumerate(folds.T):
            name = "One fold" if place == 0 else None
            axes.plot(scored, rows - _APART, "o", color=_FOLD, alpha=0.8, clip_on=False, label=name)
        axes.errorbar(mean, rows, xerr=sd, fmt="D", color=style.TRAINING, label="Mean ± SD over folds")
        reach, name = np.abs(np.stack((low, high)) - pooled), "All slices, with 95 % interval"
        axes.errorbar(pooled, rows + _APART, xerr=reach, fmt="s", color=style.VALIDATION, label=name)
        least = np.nanmin([*folds.ravel(), *(mean - sd), *low, 1])
        axes.set(xlim=(max(0, math.floor(10 * least) / 10), 1), xlabel="Intersection over union")
        axes.set_yticks(rows, [score.name for score in scores])
        axes.set_ylim(len(scores) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=True, axis="x")
        body.legend(loc="outside lower center", ncols=3)
        return figure
