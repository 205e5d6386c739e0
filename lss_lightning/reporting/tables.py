"""Tables of scores: files with the IoU beside Table 2 of the paper, and the main scores on the terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from statistics import fmean
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lss_lightning.files import write_csv
from lss_lightning.labels import LUMBAR, Label, LabelSet
from lss_lightning.reporting.paper import TABLE_2, TABLE_2_NOTES
from lss_lightning.reporting.style import MISSING

MEAN_ROW = "Mean over classes"
"""Name of the row with the mean over all classes."""

MEAN_ANATOMY_ROW = "Mean over anatomical classes"
"""Name of the row with the mean over anatomical classes."""

_CONVENTION = (
    "IoU is pooled: intersections and unions are summed over all images of the subset, then divided. Means are over "
    f"the classes for which IoU is defined; {MISSING} marks a class that is absent from labels and predictions."
)
INTERVAL_NOTE = (
    "In brackets: 95 % confidence interval, from the percentiles of a bootstrap over patients (2,000 replicates); "
    "undefined for a single patient."
)
"""Explanation of the interval in brackets after a score."""

Metrics = Mapping[str, Any]
"""Content of ``metrics.json``, or its part for one group."""

Bounds = Sequence[float]
"""Lower and upper bound of a confidence interval."""


@dataclass(frozen=True)
class _Column:
    name: str
    scores: list[float | None]
    decimals: int = 3
    intervals: list[Bounds | None] = field(default_factory=list)


def format_score(score: float | None, decimals: int = 3) -> str:
    """Format a score, 0 to 1, with ties rounded up. None and NaN are formatted as a dash."""
    if score is None or math.isnan(score):
        return MISSING
    # Decimal digits are rounded because the binary value of a tie such as 0.435 may be slightly smaller.
    return str(Decimal(f"{score:.9f}").quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP))


def format_interval(score: float | None, interval: Bounds | None, decimals: int = 3) -> str:
    """Format a score and its confidence interval, e.g. ``0.912 [0.901, 0.920]``; an interval of None is omitted."""
    if interval is None:
        return format_score(score, decimals)
    low, high = (format_score(bound, decimals) for bound in interval)
    return f"{format_score(score, decimals)} [{low}, {high}]"


def format_markdown_table(rows: Sequence[Sequence[str]], numeric: Sequence[bool] | None = None) -> list[str]:
    """Format a Markdown table.

    Args:
        rows: The headings, then the rows.
        numeric: Whether each column is right-aligned. By default, all columns except the first are.

    Returns:
        The lines of the table.
    """
    right = [False, *(True for _ in rows[0][1:])] if numeric is None else numeric
    rule = ["---:" if is_right else "---" for is_right in right]
    return ["| " + " | ".join(cell.replace("|", r"\|") for cell in row) + " |" for row in (rows[0], rule, *rows[1:])]


def write_table2(metrics: Metrics, labels: LabelSet, folder: Path, *, name: str, caption: str) -> None:
    """Write ``table2.md`` and ``table2.csv``: the IoU of each class, beside Table 2 of the paper if the classes match.

    Args:
        metrics: Content of ``metrics.json``; ``iou``, its means, and their intervals are used.
        labels: The classes. Published scores are included only if these are the classes of the paper.
        folder: Existing folder to write to.
        name: Heading of our column.
        caption: Caption that states the data, subset, protocol, convention and checkpoint of our column. It is written
            to the first line of the Markdown file and the last line of the CSV file.
    """
    results = {name: metrics}
    lines = format_markdown_table(make_table2_rows(results, labels))
    notes = (f"- {note}" for note in list_table2_notes(labels))
    text = [f"**Intersection over union by class.** {caption}", "", *lines, "", *notes]
    (folder / "table2.md").write_text("\n".join(text) + "\n", encoding="utf-8")
    write_table2_csv(folder / "table2.csv", results, labels, caption)


def make_table2_rows(results: Mapping[str, Metrics], labels: LabelSet) -> list[list[str]]:
    """Make the rows of Table 2, the IoU of each class and the means, as text.

    Args:
        results: Content of ``metrics.json`` of each of our results, keyed by column heading.
        labels: The classes. If they are the classes of the paper, its columns come first.

    Returns:
        The headings, then the rows.
    """
    columns = [
        *_make_published_columns(labels),
        *(_make_column(name, metrics, labels) for name, metrics in results.items()),
    ]
    rows = [["Class", *(column.name for column in columns)]]
    for row, name in enumerate(_list_row_names(labels)):
        cells = []
        for column in columns:
            interval = column.intervals[row] if column.intervals else None
            cells.append(format_interval(column.scores[row], interval, column.decimals))
        rows.append([name, *cells])
    return rows


def list_table2_notes(labels: LabelSet) -> list[str]:
    """List the notes on the table of :func:`make_table2_rows`."""
    return [*(TABLE_2_NOTES if _make_published_columns(labels) else []), _CONVENTION, INTERVAL_NOTE]


def write_table2_csv(path: Path, results: Mapping[str, Metrics], labels: LabelSet, caption: str) -> None:
    """Write the table of :func:`make_table2_rows` as numbers, with the bounds of our intervals in separate columns.

    Args:
        path: CSV file to write.
        results: Content of ``metrics.json`` of each of our results, keyed by column heading.
        labels: The classes.
        caption: Text of the last line of the file.
    """
    ours = [_make_column(name, metrics, labels) for name, metrics in results.items()]
    columns = [*_make_published_columns(labels), *ours]
    bounds = [f"{column.name}, 95 % {bound}" for column in ours for bound in ("low", "high")]
    rows = []
    for row, name in enumerate(_list_row_names(labels)):
        scores = (column.scores[row] for column in columns)
        limits = (limit for column in ours for limit in column.intervals[row] or (None, None))
        rows.append([name, *map(round_score, (*scores, *limits))])
    write_csv(path, ["class", *(column.name for column in columns), *bounds], [*rows, [f"# {caption}"]])


def print_table(
    metrics: Metrics, labels: LabelSet, *, title: str, caption: str, console: Console | None = None
) -> None:
    """Print IoU with its interval, Dice, precision and recall of each class, mean IoU and Dice, and user metrics.

    Args:
        metrics: Content of ``metrics.json``.
        labels: The classes.
        title: Text above the table.
        caption: Text below the table: data, subset, protocol, convention and checkpoint.
        console: Console to print to; by default the terminal.
    """
    table = Table(title=Text(title, style="bold"), title_justify="left")
    table.add_column("Class")
    for heading in ("IoU [95 % CI]", "Dice", "Precision", "Recall"):
        table.add_column(heading, justify="right", no_wrap=True)
    for label in labels:
        rates = (format_score(metrics[metric][label.key]) for metric in ("dice", "precision", "recall"))
        table.add_row(
            Text(label.name), format_interval(metrics["iou"][label.key], metrics["iou_ci95"][label.key]), *rates
        )
    table.add_section()
    for name, suffix in ((MEAN_ROW, ""), (MEAN_ANATOMY_ROW, "_anatomy")):
        score, interval = metrics[f"mean_iou{suffix}"], metrics[f"mean_iou{suffix}_ci95"]
        table.add_row(name, format_interval(score, interval), format_score(metrics[f"mean_dice{suffix}"]))
    console = console or Console()
    console.print(table)
    if "metrics" in metrics:
        further = Table("Further metric", "Value")
        for name, value in metrics["metrics"].items():
            further.add_row(Text(name), format_score(value))
        console.print(further)
    console.print(Text(caption), soft_wrap=True)  # The terminal wraps the text, so that paths can be copied.


def _make_column(name: str, metrics: Metrics, labels: LabelSet) -> _Column:
    def list_values(suffix: str) -> list[Any]:
        without = (metrics[f"mean_iou_without{suffix}"][label.key] for label in _list_excludable(labels))
        means = (metrics[f"mean_iou{suffix}"], *without, metrics[f"mean_iou_anatomy{suffix}"])
        return [*_order_by_label(metrics[f"iou{suffix}"], labels), *means]

    return _Column(name, list_values(""), intervals=list_values("_ci95"))


def _make_published_columns(labels: LabelSet) -> list[_Column]:
    """Make the columns of the paper, or none if the classes are not those of the paper."""
    if labels.keys != LUMBAR.keys:
        return []
    columns = []
    for work in TABLE_2:
        without = (
            fmean(score for key, score in work.iou.items() if key != label.key) for label in _list_excludable(labels)
        )
        means = (work.mean_iou, *without, work.mean_iou_anatomy)
        columns.append(_Column(work.name, [*_order_by_label(work.iou, labels), *means], work.decimals))
    return columns


def list_score_names(labels: LabelSet) -> list[str]:
    """List the names of the classes, and of the means over all classes and over the anatomical classes."""
    return [*(label.name for label in labels), MEAN_ROW, MEAN_ANATOMY_ROW]


def _list_row_names(labels: LabelSet) -> list[str]:
    without = [f"Mean without {label.name}" for label in _list_excludable(labels)]
    return [*(label.name for label in labels), MEAN_ROW, *without, MEAN_ANATOMY_ROW]


def _list_excludable(labels: LabelSet) -> list[Label]:
    """List the classes to exclude from a mean one at a time: the non-anatomical classes, if there are several."""
    others = [label for label in labels if not label.anatomical]
    return others if len(others) > 1 else []


def _order_by_label(scores: Mapping[str, Any], labels: LabelSet) -> list[Any]:
    return [scores[key] for key in labels.keys]


def round_score(score: float | None) -> float | None:
    """Round a score to six decimals for CSV files. None and NaN become None, which is written as an empty cell."""
    return None if score is None or math.isnan(score) else round(float(score), 6)
