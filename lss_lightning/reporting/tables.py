"""Scores as tables: IoU beside the paper's Table 2 in files, all scores on the terminal."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lss_lightning.labels import LUMBAR, LabelSet
from lss_lightning.reporting.paper import TABLE_2, TABLE_2_NOTES
from lss_lightning.reporting.style import MISSING

MEAN = "Mean over classes"
MEAN_ANATOMY = "Mean over anatomical classes"
_SCORES = {"iou": "IoU", "dice": "Dice", "precision": "Precision", "recall": "Recall"}
_CONVENTION = (
    "IoU is pooled: intersections and unions are summed over all images of the subset, then divided. Means are over "
    f"the classes for which it is defined; {MISSING} marks a class that neither labels nor predictions hold."
)


@dataclass(frozen=True)
class _Column:
    name: str
    scores: list[float | None]
    decimals: int = 3


def format_score(score: float | None, decimals: int = 3) -> str:
    """Write a score, 0 to 1, to so many decimals, ties upwards; a dash where it is None or NaN."""
    if score is None or math.isnan(score):
        return MISSING
    # By way of decimal digits, because a tie such as 0.435 may lie just beneath it in binary.
    return str(Decimal(f"{score:.9f}").quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP))


def write_table2(metrics: Mapping[str, Any], labels: LabelSet, folder: Path, *, name: str, caption: str) -> None:
    """Write ``table2.md`` and ``table2.csv``: the IoU of each class, for the paper's classes beside its Table 2.

    Args:
        metrics: As in ``metrics.json``; ``iou``, ``mean_iou`` and ``mean_iou_anatomy`` are read.
        labels: The classes. Published figures are shown only for the paper's own.
        folder: An existing folder.
        name: Heading of our column.
        caption: Which data, subset, protocol, convention and checkpoint made our column. It opens the Markdown file
            and is the last line of the CSV, where a reader of numbers finds it in the first column.
    """
    ours = _Column(name, [*_by_label(metrics["iou"], labels), metrics["mean_iou"], metrics["mean_iou_anatomy"]])
    published = _published(labels) if labels.keys == LUMBAR.keys else []
    notes = [*TABLE_2_NOTES, _CONVENTION] if published else [_CONVENTION]
    classes = [*(label.name for label in labels), MEAN, MEAN_ANATOMY]
    _write_markdown(folder / "table2.md", classes, [*published, ours], caption, notes)
    _write_csv(folder / "table2.csv", classes, [*published, ours], caption)


def print_table(
    metrics: Mapping[str, Any], labels: LabelSet, *, title: str, caption: str, console: Console | None = None
) -> None:
    """Print IoU, Dice, precision and recall of each class, and the mean IoU.

    Args:
        metrics: As in ``metrics.json``.
        labels: The classes.
        title: Stands above the table.
        caption: Which data, subset, protocol, convention and checkpoint made the table; stands beneath it.
        console: Where to print; None is the terminal.
    """
    table = Table(title=Text(title, style="bold"), title_justify="left")
    table.add_column("Class")
    for heading in _SCORES.values():
        table.add_column(heading, justify="right")
    for label in labels:
        table.add_row(Text(label.name), *(format_score(metrics[score][label.key]) for score in _SCORES))
    table.add_section()
    table.add_row(MEAN, format_score(metrics["mean_iou"]))
    table.add_row(MEAN_ANATOMY, format_score(metrics["mean_iou_anatomy"]))
    console = console or Console()
    console.print(table)
    console.print(Text(caption), soft_wrap=True)  # the terminal wraps it, so that a path can be copied


def _published(labels: LabelSet) -> list[_Column]:
    return [
        _Column(work.name, [*_by_label(work.iou, labels), work.mean_iou, work.mean_iou_anatomy], work.decimals)
        for work in TABLE_2
    ]


def _by_label(scores: Mapping[str, float | None], labels: LabelSet) -> list[float | None]:
    return [scores[key] for key in labels.keys]


def _write_markdown(path: Path, classes: list[str], columns: list[_Column], caption: str, notes: list[str]) -> None:
    table = [["Class", *(column.name for column in columns)], ["---", *("---:" for _ in columns)]]
    for place, name in enumerate(classes):
        table.append([name, *(format_score(column.scores[place], column.decimals) for column in columns)])
    lines = ["| " + " | ".join(cell.replace("|", r"\|") for cell in row) + " |" for row in table]
    text = [f"**Intersection over union by class.** {caption}", "", *lines, "", *(f"- {note}" for note in notes)]
    path.write_text("\n".join(text) + "\n", encoding="utf-8")


def _write_csv(path: Path, classes: list[str], columns: list[_Column], caption: str) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["class", *(column.name for column in columns)])
        for place, name in enumerate(classes):
            writer.writerow([name, *(_cell(column.scores[place]) for column in columns)])
        writer.writerow([f"# {caption}"])


def _cell(score: float | None) -> float | None:
    return None if score is None or math.isnan(score) else round(score, 6)
