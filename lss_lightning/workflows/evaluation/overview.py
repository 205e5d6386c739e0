"""``report/index.html``: all that a test found, on one page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lss_lightning.data.loading import LoadedSlice
from lss_lightning.display import counted
from lss_lightning.labels import LUMBAR, LabelSet
from lss_lightning.metrics import Records
from lss_lightning.reporting.folds import fold_table
from lss_lightning.reporting.measurements import measurement_tables
from lss_lightning.reporting.page import Block, Bullets, Facts, Figure, Number, Numbers, Page, Prose, Section, Table
from lss_lightning.reporting.report_table import ReportTable
from lss_lightning.reporting.scores import score_tables
from lss_lightning.reporting.tables import format_score, table2_notes, table2_rows
from lss_lightning.workflows.evaluation.context import EvaluationContext
from lss_lightning.workflows.evaluation.errors import patients_table, worst_table
from lss_lightning.workflows.evaluation.facts import run_facts

_FIGURES = {
    "curves": (
        "Loss and mean IoU over the epochs, of training and validation; IoU pooled over the slices of an epoch.",
        "Curves over the epochs",
    ),
    "folds": (
        "IoU in each fold, its mean ± SD over folds, and pooled over all slices with its interval.",
        "IoU of the folds by class",
    ),
    "examples": (
        "The best, the median and the worst slice by the single slice's mean IoU over the anatomical classes.",
        "Three slices",
    ),
    "confusion": ("Where the pixels of each true class went, all slices pooled.", "Confusion matrix"),
    "boundary": (
        "How far predicted boundaries lie from true ones, slice by slice.",
        "Box plots of boundary distances by class",
    ),
    "reliability": (
        "How often pixels are what they were said to be; pixels of all slices pooled.",
        "Reliability diagram of each class",
    ),
    "bland_altman": (
        "Measures of the prediction against those of the label map, slice by slice.",
        "Bland-Altman plots of six measures, prediction and label",
    ),
    "bland_altman_truth": (
        "Measures of the prediction against the truth that was drawn, slice by slice.",
        "Bland-Altman plots of six measures, prediction and truth",
    ),
    "severity": (
        "Errors of the prediction against the severity of the stenosis that was drawn, slice by slice.",
        "Errors of six measures against severity",
    ),
    "patients": (
        "Who is served worst: patients from the worst on, each with its slices pooled, and with its single slices.",
        "Mean IoU of each patient",
    ),
    "sizes": (
        "IoU of the single slice against the size of the structure.",
        "IoU against area, a dot for each slice, by class",
    ),
    "worst": (
        "The worst slices by the single slice's mean IoU over the anatomical classes.",
        "The worst slices, one by one",
    ),
}
"""Caption and alternative text of each figure, by its file's name without a unit."""

_UNITS = "_mm", "_px"

_BESIDE = {
    "metrics.json": "every figure of this page",
    "per_image.csv": "a row for each slice and class",
    "measurements.csv": "a row for each slice and measure",
    "reports.csv": "what radiologists' notes say beside the measures, a row for each patient and level",
    "counts.npz": "confusion counts of each slice, by which two models are compared",
    "report/table2.md": "IoU beside published figures; table2.csv: the same as numbers",
    "report/scores.md": "the scores of this page; scores.csv: these and all others as numbers",
    "report/folds.md": "the folds of the cross-validation",
    "report/measurements.md": "the measures of this page",
    "report/reports.md": "radiologists' notes beside the measures",
}
"""What each file holds that a run's folder may have."""


def write_overview(
    path: Path,
    metrics: Mapping[str, Any],
    records: Records,
    slices: Sequence[LoadedSlice],
    pictures: Sequence[Path],
    labels: LabelSet,
    context: EvaluationContext,
) -> None:
    """Write the page.

    Args:
        path: The file, in ``report`` of the run's folder.
        metrics: As in ``metrics.json``.
        records: Of the slices.
        slices: Those tested.
        pictures: The figures that there are, as files; those that have no caption here are left out.
        labels: The classes.
        context: What is tested.
    """
    tables = score_tables(metrics, labels)
    if "folds" in metrics:
        tables.append(fold_table(metrics, labels))
    if "measurements" in metrics:
        tables += measurement_tables(metrics["measurements"])

    def scored(topic: str) -> list[Block]:
        return _tables([table for table in tables if table.topic == topic])

    def pictured(name: str) -> list[Block]:
        caption, alt = _FIGURES[name]
        return [Figure(file, caption, alt) for file in pictures if _subject_of(file) == name]

    groups = [
        Section(topic.replace("_", "-"), topic.replace("_", " ").capitalize(), scored(topic))
        for topic in dict.fromkeys(table.topic for table in tables)
        if topic.startswith("by_")
    ]
    sections = [
        Section("summary", "Summary", _summary(metrics)),
        Section("classes", "By class", scored("overlap")),
        Section("folds", "Cross-validation", [*pictured("folds"), *scored("folds")]),
        Section("previous", "Previous work", _previous(metrics, labels, context)),
        Section("curves", "Training curves", pictured("curves")),
        Section("examples", "Examples", pictured("examples")),
        Section("confusion", "Confusion", pictured("confusion")),
        Section("boundary", "Boundaries", [*scored("boundary"), *pictured("boundary")]),
        Section("calibration", "Calibration", [*scored("calibration"), *pictured("reliability")]),
        Section(
            "measurements",
            "Measurements",
            [*_unmeasured(metrics, slices), *pictured("bland_altman"), *scored("measurements")],
        ),
        Section(
            "truth",
            "Measurements and truth",
            [*pictured("bland_altman_truth"), *pictured("severity"), *scored("truth")],
        ),
        *groups,
        Section("patients", "By patient", [*pictured("patients"), patients_table(slices, records, labels)]),
        Section("errors", "Error analysis", [*scored("failures"), *pictured("sizes")]),
        Section("worst", "Worst cases", [*pictured("worst"), worst_table(slices, records, labels)]),
        Section("facts", "Data, model, protocol", [Facts(_facts(metrics, context))]),
        Section("remarks", "Remarks and files", _remarks(context, path.parent.parent)),
    ]
    lead = replace(context, remarks=(), disclaimer="").caption(slices, "")
    page = Page(f"{context.name}: {context.part}", lead, context.disclaimer, [each for each in sections if each.blocks])
    page.write(path)


def _subject_of(picture: Path) -> str:
    """What a figure is of, a key of the captions; in which unit stands on it."""
    name = picture.stem
    return name[:-3] if name.endswith(_UNITS) else name


def _tables(tables: Sequence[ReportTable]) -> list[Block]:
    several = len(tables) > 1  # else the section's title says what it is
    return [
        Table(
            table.columns,
            table.rows,
            f"{table.title}. {table.convention}" if several else table.convention,
            table.means,
        )
        for table in tables
    ]


def _summary(metrics: Mapping[str, Any]) -> list[Block]:
    about = metrics["data"]
    named = {
        "mean_iou_anatomy": "Pooled mean IoU, anatomical classes",
        "mean_iou": "Pooled mean IoU, all classes",
        "mean_dice_anatomy": "Pooled mean Dice, anatomical classes",
    }
    numbers = [
        Number(name, format_score(metrics[key]), _interval(metrics[f"{key}_ci95"])) for key, name in named.items()
    ]
    if folds := metrics.get("folds"):
        mean, deviation = (format_score(folds[part]["mean_iou_anatomy"]) for part in ("mean", "sd"))
        note = f"SD {deviation} over {folds['count']} folds"
        numbers.append(Number("Mean over folds of mean IoU, anatomical classes", mean, note))
    tested = Number("Slices tested", f"{about['images']:,}", f"of {counted(about['patients'], 'patient')}")
    text = (
        "Pooled: intersections and unions are summed over all slices, then divided; means are over the classes that "
        "labels or predictions hold. Intervals: bootstrap over patients."
    )
    return [Numbers([*numbers, tested]), *([Bullets(about["remarks"])] if about["remarks"] else []), Prose(text)]


def _interval(bounds: Sequence[float] | None) -> str:
    if bounds is None:
        return "no interval: one patient"
    low, high = map(format_score, bounds)
    return f"95 % interval {low} to {high}"


def _previous(metrics: Mapping[str, Any], labels: LabelSet, context: EvaluationContext) -> list[Block]:
    if labels.keys != LUMBAR.keys:
        return []
    columns, *rows = table2_rows({f"Ours: {context.name}": metrics}, labels)
    caption = (
        f"IoU by class, pooled: ours of {context.dataset}, {context.part}, beside what the paper's Table 2 prints for "
        "its own test images, which are real."
    )
    return [Table(columns, rows[: len(labels)], caption, rows[len(labels) :]), Bullets(table2_notes(labels))]


def _unmeasured(metrics: Mapping[str, Any], slices: Sequence[LoadedSlice]) -> list[Block]:
    unknown = sum(piece.spacing is None for piece in slices)
    if "measurements" not in metrics or not unknown:
        return []
    return [Prose(f"The pixel size of {counted(unknown, 'slice')} is unknown: nothing but ratios is measured there.")]


def _facts(metrics: Mapping[str, Any], context: EvaluationContext) -> dict[str, str]:
    about = metrics["data"]
    seen = about["excluded_seen"]
    spacing = about["spacing_mm"]
    return {
        "Data": about["name"],
        "Tested": f"{context.part}: {counted(about['images'], 'slice')} of {counted(about['patients'], 'patient')}",
        "Protocol": context.division,
        **({"Left out": f"{counted(seen, 'slice')} that trained or selected the checkpoint"} if seen else {}),
        "Working pixel": "each slice's own" if spacing is None else f"{spacing:g} mm",
        "Run": context.name,
        **context.facts,
        **run_facts(metrics),
    }


def _remarks(context: EvaluationContext, folder: Path) -> list[Block]:
    beside = [f"{file}: {content}." for file, content in _BESIDE.items() if (folder / file).is_file()]
    text = "Every measure is defined in docs/metrics.md. In the run's folder lie, as files to compute with:"
    return [Bullets([*context.remarks, context.disclaimer]), Prose(text), Bullets(beside)]
