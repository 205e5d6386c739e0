"""Scores as tables: IoU beside the paper's Table 2 in files, all scores on the terminal."""

from __future__ import annotations

import csv
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

from lss_lightning.labels import LUMBAR, Label, LabelSet
from lss_lightning.reporting.paper import TABLE_2, TABLE_2_NOTES
from lss_lightning.reporting.style import MISSING

MEAN = "Mean over classes"
MEAN_ANATOMY = "Mean over anatomical classes"
_CONVENTION = (
    "IoU is pooled: intersections and unions are summed over all images of the subset, then divided. Means are over "
    f"the classes for which it is defined; {MISSING} marks a class that neither labels nor predictions hold."
)
INTERVALS = (
    "In brackets: 95 % percentile interval of a bootstrap over patients (2,000 draws); none for one patient alone."
)
"""What the brackets behind a score mean."""


Interval = Sequence[float]
"""Lower and upper bound."""


@dataclass(frozen=True)
class _Column:
    name: str
    scores: list[float | None]
    decimals: int = 3
    intervals: list[Interval | None] = field(default_factory=list)


def format_score(score: float | None, decimals: int = 3) -> str:
    """Write a score, 0 to 1, to so many decimals, ties upwards; a dash where it is None or NaN."""
    if score is None or math.isnan(score):
        return MISSING
    # By way of decimal digits, because a tie such as 0.435 may lie just beneath it in binary.
    return str(Decimal(f"{score:.9f}").quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP))


def format_interval(score: float | None, interval: Interval | None, decimals: int = 3) -> str:
    """A score as :func:`format_score` writes it, and its interval, where there is one, as ``0.912 [0.901, 0.920]``."""
    if interval is None:
        return format_score(score, decimals)
    low, high = (format_score(bound, decimals) for bound in interval)
    return f"{format_score(score, decimals)} [{low}, {high}]"


def markdown_table(rows: Sequence[Sequence[str]], numeric: Sequence[bool] | None = None) -> list[str]:
    """The lines of a Markdown table.

    Args:
        rows: The first is its heading.
        numeric: Which columns stand right; all but the first by default.
    """
    right = [False, *(True for _ in rows[0][1:])] if numeric is None else numeric
    rule = ["---:" if column else "---" for column in right]
    return ["| " + " | ".join(cell.replace("|", r"\|") for cell in row) + " |" for row in (rows[0], rule, *rows[1:])]


def write_table2(metrics: Mapping[str, Any], labels: LabelSet, folder: Path, *, name: str, caption: str) -> None:
    """Write ``table2.md`` and ``table2.csv``: the IoU of each class, for the paper's classes beside its Table 2.

    Args:
        metrics: As in ``metrics.json``; ``iou``, the means of it, and their intervals are read.
        labels: The classes. Published figures are shown only for the paper's own.
        folder: An existing folder.
        name: Heading of our column.
        caption: Which data, subset, protocol, convention and checkpoint made our column. It opens the Markdown file
            and is the last line of the CSV, where a reader of numbers finds it in the first column.
    """
    results = {name: metrics}
    lines = markdown_table(table2_rows(results, labels))
    notes = (f"- {note}" for note in table2_notes(labels))
    text = [f"**Intersection over union by class.** {caption}", "", *lines, "", *notes]
    (folder / "table2.md").write_text("\n".join(text) + "\n", encoding="utf-8")
    write_table2_csv(folder / "table2.csv", results, labels, caption)


def table2_rows(results: Mapping[str, Mapping[str, Any]], labels: LabelSet) -> list[list[str]]:
    """The IoU of each class and its means, as text: a heading, then a row each.

    Args:
        results: Ours, by the heading of the column: ``metrics.json`` of each.
        labels: The classes. For the paper's own, its columns come first.
    """
    columns = [*_published(labels), *(_ours(metrics, labels, name) for name, metrics in results.items())]
    rows = [["Class", *(column.name for column in columns)]]
    for place, name in enumerate(_classes(labels)):
        cells = []
        for column in columns:
            interval = column.intervals[place] if column.intervals else None
            cells.append(format_interval(column.scores[place], interval, column.decimals))
        rows.append([name, *cells])
    return rows


def table2_notes(labels: LabelSet) -> list[str]:
    """What a reader of :func:`table2_rows` must know, a paragraph each."""
    return [*(TABLE_2_NOTES if _published(labels) else []), _CONVENTION, INTERVALS]


def write_table2_csv(path: Path, results: Mapping[str, Mapping[str, Any]], labels: LabelSet, caption: str) -> None:
    """Write :func:`table2_rows` as numbers, with the bounds of our intervals in columns of their own, as CSV."""
    ours = [_ours(metrics, labels, name) for name, metrics in results.items()]
    columns = [*_published(labels), *ours]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        bounds = [f"{column.name}, 95 % {end}" for column in ours for end in ("low", "high")]
        writer.writerow(["class", *(column.name for column in columns), *bounds])
        for place, name in enumerate(_classes(labels)):
            scores = (column.scores[place] for column in columns)
            ends = (end for column in ours for end in column.intervals[place] or (None, None))
            writer.writerow([name, *map(_cell, (*scores, *ends))])
        writer.writerow([f"# {caption}"])


def print_table(
    metrics: Mapping[str, Any], labels: LabelSet, *, title: str, caption: str, console: Console | None = None
) -> None:
    """Print IoU with its interval, Dice, precision and recall of each class, and the means of IoU and Dice.

    Args:
        metrics: As in ``metrics.json``.
        labels: The classes.
        title: Stands above the table.
        caption: Which data, subset, protocol, convention and checkpoint made the table; stands beneath it.
        console: Where to print; None is the terminal.
    """
    table = Table(title=Text(title, style="bold"), title_justify="left")
    table.add_column("Class")
    for heading in ("IoU [95 % interval]", "Dice", "Precision", "Recall"):
        table.add_column(heading, justify="right", no_wrap=True)
    for label in labels:
        rates = (format_score(metrics[score][label.key]) for score in ("dice", "precision", "recall"))
        table.add_row(
            Text(label.name), format_interval(metrics["iou"][label.key], metrics["iou_ci95"][label.key]), *rates
        )
    table.add_section()
    for name, suffix in ((MEAN, ""), (MEAN_ANATOMY, "_anatomy")):
        score, interval = metrics[f"mean_iou{suffix}"], metrics[f"mean_iou{suffix}_ci95"]
        table.add_row(name, format_interval(score, interval), format_score(metrics[f"mean_dice{suffix}"]))
    console = console or Console()
    console.print(table)
    console.print(Text(caption), soft_wrap=True)  # the terminal wraps it, so that a path can be copied


def _ours(metrics: Mapping[str, Any], labels: LabelSet, name: str) -> _Column:
    def column(suffix: str) -> list[Any]:
        without = (metrics[f"mean_iou_without{suffix}"][label.key] for label in _left_out(labels))
        means = (metrics[f"mean_iou{suffix}"], *without, metrics[f"mean_iou_anatomy{suffix}"])
        return [*_by_label(metrics[f"iou{suffix}"], labels), *means]

    return _Column(name, column(""), intervals=column("_ci95"))


def _published(labels: LabelSet) -> list[_Column]:
    if labels.keys != LUMBAR.keys:
        return []
    columns = []
    for work in TABLE_2:
        without = (fmean(score for key, score in work.iou.items() if key != label.key) for label in _left_out(labels))
        means = (work.mean_iou, *without, work.mean_iou_anatomy)
        columns.append(_Column(work.name, [*_by_label(work.iou, labels), *means], work.decimals))
    return columns


def _classes(labels: LabelSet) -> list[str]:
    """What the rows are called, in the order of a column's scores."""
    without = [f"Mean without {label.name}" for label in _left_out(labels)]
    return [*(label.name for label in labels), MEAN, *without, MEAN_ANATOMY]


def _left_out(labels: LabelSet) -> list[Label]:
    """The classes that a mean may leave out one at a time: those not anatomical, where there are several."""
    others = [label for label in labels if not label.anatomical]
    return others if len(others) > 1 else []


def _by_label(scores: Mapping[str, Any], labels: LabelSet) -> list[Any]:
    return [scores[key] for key in labels.keys]


def _cell(score: float | None) -> float | None:
    return None if score is None or math.isnan(score) else round(score, 6)
