"""What the folds of a cross-validation say, one by one and together (``folds.md``)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from lss_lightning.labels import LabelSet
from lss_lightning.reporting.style import MISSING
from lss_lightning.reporting.tables import (
    INTERVALS,
    MEAN,
    MEAN_ANATOMY,
    format_interval,
    format_score,
    markdown_table,
)

Metrics = Mapping[str, Any]


def write_folds(metrics: Metrics, labels: LabelSet, folder: Path, *, caption: str) -> None:
    """Write ``folds.md``: the IoU of each class in each fold, its mean and SD over folds, and pooled over all slices.

    Args:
        metrics: As in ``metrics.json``, of a cross-validation.
        labels: The classes.
        folder: An existing folder.
        caption: Which data, folds and checkpoints made the scores.
    """
    folds, over = metrics["by"]["fold"], metrics["folds"]

    def row(name: str, measure: str, key: str | None) -> list[str]:
        def score(figures: Metrics) -> Any:
            return figures[measure] if key is None else figures[measure][key]

        interval = score({measure: metrics[f"{measure}_ci95"]})
        return [
            name,
            *(format_score(score(figures)) for figures in folds.values()),
            _spread(score(over["mean"]), score(over["sd"])),
            format_interval(score(metrics), interval),
        ]

    slices = (f"Fold {name} ({figures['images']} slices)" for name, figures in folds.items())
    rows = [
        ["Class", *slices, "Mean ± SD over folds", "All slices, pooled"],
        *(row(label.name, "iou", label.key) for label in labels),
        row(MEAN, "mean_iou", None),
        row(MEAN_ANATOMY, "mean_iou_anatomy", None),
    ]
    lines = [
        f"**Cross-validation: intersection over union by class.** {caption}",
        "",
        *markdown_table(rows),
        "",
        "- IoU of a fold: intersections and unions summed over the slices that it held out, then divided.",
        "- Mean and sample standard deviation (SD) over folds weigh each fold the same. Folds share training patients: "
        "the SD is not the standard error of the mean.",
        f"- Pooled over all slices, each once, by the fold that never saw its patient. {INTERVALS}",
    ]
    (folder / "folds.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def print_folds(folds: Metrics) -> None:
    """Print the means over folds; ``folds`` as in ``metrics.json``."""
    whole, anatomy = (_spread(folds["mean"][key], folds["sd"][key]) for key in ("mean_iou", "mean_iou_anatomy"))
    Console().print(f"Mean ± SD of {folds['count']} folds: mean IoU {whole}, of the anatomical classes {anatomy}")


def _spread(mean: float | None, deviation: float | None) -> str:
    """A mean and its SD as ``0.912 ± 0.013``; a dash for what is not defined."""
    return MISSING if mean is None else f"{format_score(mean)} ± {format_score(deviation)}"
