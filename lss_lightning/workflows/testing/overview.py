"""``report/index.html``: all that a test found, on one page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lss_lightning.data.loading import LoadedSlice
from lss_lightning.labels import LUMBAR, LabelSet
from lss_lightning.metrics import Records
from lss_lightning.reporting.page import Block, Bullets, Facts, Figure, Number, Numbers, Page, Prose, Section, Table
from lss_lightning.reporting.scores import ScoreTable, score_tables
from lss_lightning.reporting.tables import format_score, table2_notes, table2_rows
from lss_lightning.workflows.facts import run_facts
from lss_lightning.workflows.subject import Subject
from lss_lightning.workflows.testing.errors import patients_table, worst_table

_FIGURES = {
    "curves": ("Loss and mean IoU over the epochs, of training and validation.", "Curves over the epochs"),
    "examples": ("The best, the median and the worst slice by mean IoU over the anatomical classes.", "Three slices"),
    "confusion": ("Where the pixels of each true class went.", "Confusion matrix"),
    "boundary": ("How far predicted boundaries lie from true ones.", "Box plots of boundary distances by class"),
    "reliability": ("How often pixels are what they were said to be.", "Reliability diagram of each class"),
    "patients": ("Who is served worst: patients in order, from the worst.", "Mean IoU of each patient"),
    "sizes": ("IoU against the size of the structure.", "IoU against area, a dot for each image, by class"),
    "worst": ("The worst slices by mean IoU over the anatomical classes.", "The worst slices, one by one"),
}
"""Caption and alternative text of each figure, by the beginning of its file's name."""

_BESIDE = {
    "../metrics.json": "every figure of this page",
    "../per_image.csv": "a row for each slice and class",
    "../counts.npz": "confusion counts of each slice, by which two models are compared",
    "table2.md, scores.md (and .csv)": "the tables of this page",
    "*.png": "its figures",
}


def write_overview(
    path: Path,
    metrics: Mapping[str, Any],
    records: Records,
    slices: Sequence[LoadedSlice],
    pictures: Sequence[Path],
    labels: LabelSet,
    subject: Subject,
) -> None:
    """Write the page.

    Args:
        path: The file.
        metrics: As in ``metrics.json``.
        records: Of the slices.
        slices: Those tested.
        pictures: The figures that there are, as files; those whose name begins with no key of the captions are left
            out.
        labels: The classes.
        subject: What is tested.
    """
    tables = score_tables(metrics, labels)

    def scored(topic: str) -> list[Block]:
        return _tables([table for table in tables if table.topic == topic])

    def pictured(name: str) -> list[Block]:
        caption, alt = _FIGURES[name]
        return [Figure(file, caption, alt) for file in pictures if file.stem.partition("_")[0] == name]

    groups = [
        Section(topic.replace("_", "-"), topic.replace("_", " ").capitalize(), scored(topic))
        for topic in dict.fromkeys(table.topic for table in tables)
        if topic.startswith("by_")
    ]
    sections = [
        Section("summary", "Summary", _summary(metrics)),
        Section("classes", "By class", scored("overlap")),
        Section("previous", "Previous work", _previous(metrics, labels, subject)),
        Section("curves", "Training curves", pictured("curves")),
        Section("examples", "Examples", pictured("examples")),
        Section("confusion", "Confusion", pictured("confusion")),
        Section("boundary", "Boundaries", [*scored("boundary"), *pictured("boundary")]),
        Section("calibration", "Calibration", [*scored("calibration"), *pictured("reliability")]),
        *groups,
        Section("patients", "By patient", [*pictured("patients"), patients_table(slices, records, labels)]),
        Section("errors", "Error analysis", [*scored("failures"), *pictured("sizes")]),
        Section("worst", "Worst cases", [*pictured("worst"), worst_table(slices, records, labels)]),
        Section("facts", "Data, model, protocol", [Facts(_facts(metrics, subject))]),
        Section("remarks", "Remarks and files", _remarks(subject)),
    ]
    lead = replace(subject, remarks=(), disclaimer="").caption(slices, "")
    page = Page(f"{subject.name}: {subject.part}", lead, subject.disclaimer, [each for each in sections if each.blocks])
    page.write(path)


def _tables(tables: Sequence[ScoreTable]) -> list[Block]:
    several = len(tables) > 1  # else the section's title says what it is
    return [
        Table(
            table.columns,
            table.classes,
            f"{table.title}. {table.convention}" if several else table.convention,
            table.means,
        )
        for table in tables
    ]


def _summary(metrics: Mapping[str, Any]) -> list[Block]:
    about = metrics["data"]
    named = {
        "mean_iou_anatomy": "Mean IoU, anatomical classes",
        "mean_iou": "Mean IoU, all classes",
        "mean_dice_anatomy": "Mean Dice, anatomical classes",
    }
    numbers = [
        Number(name, format_score(metrics[key]), _interval(metrics[f"{key}_ci95"])) for key, name in named.items()
    ]
    tested = Number("Slices tested", f"{about['images']:,}", f"of {_patients(about)}")
    text = (
        "Pooled: intersections and unions are summed over all slices, then divided; means are over the classes that "
        "labels or predictions hold. Intervals: bootstrap over patients."
    )
    return [Numbers([*numbers, tested]), *([Bullets(about["remarks"])] if about["remarks"] else []), Prose(text)]


def _patients(about: Mapping[str, Any]) -> str:
    return "1 patient" if about["patients"] == 1 else f"{about['patients']:,} patients"


def _interval(bounds: Sequence[float] | None) -> str:
    if bounds is None:
        return "no interval: one patient"
    low, high = map(format_score, bounds)
    return f"95 % interval {low} to {high}"


def _previous(metrics: Mapping[str, Any], labels: LabelSet, subject: Subject) -> list[Block]:
    if labels.keys != LUMBAR.keys:
        return []
    columns, *rows = table2_rows({f"Ours: {subject.name}": metrics}, labels)
    caption = "IoU by class beside the figures of the paper's Table 2."
    return [Table(columns, rows[: len(labels)], caption, rows[len(labels) :]), Bullets(table2_notes(labels))]


def _facts(metrics: Mapping[str, Any], subject: Subject) -> dict[str, str]:
    about = metrics["data"]
    seen = about["excluded_seen"]
    spacing = about["spacing_mm"]
    return {
        "Data": about["name"],
        "Tested": f"{subject.part}: {about['images']:,} slices of {_patients(about)}",
        "Protocol": subject.division,
        **({"Left out": f"{seen:,} slices that trained or selected the checkpoint"} if seen else {}),
        "Working pixel": "each slice's own" if spacing is None else f"{spacing:g} mm",
        "Run": subject.name,
        **subject.facts,
        **run_facts(metrics),
    }


def _remarks(subject: Subject) -> list[Block]:
    beside = [f"{files}: {content}." for files, content in _BESIDE.items()]
    text = "Every measure is defined in docs/metrics.md. Beside this page lie, as files to compute with:"
    return [Bullets([*subject.remarks, subject.disclaimer]), Prose(text), Bullets(beside)]
