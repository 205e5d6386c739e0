"""The HTML report ``report/index.html``, which shows the whole result of an evaluation on one page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lss_lightning.display import format_count
from lss_lightning.labels import LUMBAR
from lss_lightning.reporting.folds import make_fold_table
from lss_lightning.reporting.measurements import make_measurement_tables
from lss_lightning.reporting.page import (
    Block,
    Bullets,
    Facts,
    Figure,
    KeyNumber,
    KeyNumbers,
    Page,
    Prose,
    Section,
    Table,
)
from lss_lightning.reporting.report_table import ReportTable
from lss_lightning.reporting.scores import make_score_tables
from lss_lightning.reporting.tables import format_score, list_table2_notes, make_table2_rows
from lss_lightning.runs.layout import RunFolder
from lss_lightning.workflows.evaluation.facts import collect_run_facts
from lss_lightning.workflows.evaluation.failure_tables import make_patient_table, make_worst_table
from lss_lightning.workflows.evaluation.result import EvaluationResult

_FIGURES = {
    "curves": (
        "Training and validation loss and mean IoU by epoch. IoU is pooled over the slices of an epoch.",
        "Learning curves",
    ),
    "folds": (
        "IoU of each fold, mean ± SD over folds, and pooled IoU of all slices with its interval.",
        "IoU of the folds by class",
    ),
    "examples": (
        "The best, the median and the worst slice by mean IoU of the slice over the anatomical classes.",
        "Three slices",
    ),
    "confusion": ("Predicted classes of the pixels of each true class, pooled over all slices.", "Confusion matrix"),
    "boundary": (
        "Distances between predicted and true boundaries, by slice.",
        "Box plots of boundary distances by class",
    ),
    "reliability": (
        "Observed frequency against predicted probability, pooled over the pixels of all slices.",
        "Reliability diagram of each class",
    ),
    "bland_altman": (
        "Agreement of the measurements of prediction and label map, by slice.",
        "Bland-Altman plots of six measurements, prediction and label",
    ),
    "bland_altman_truth": (
        "Agreement of the measurements of prediction and phantom truth, by slice.",
        "Bland-Altman plots of six measurements, prediction and truth",
    ),
    "severity": (
        "Errors of the predicted measurements against the severity of the simulated stenosis, by slice.",
        "Errors of six measurements against severity",
    ),
    "patients": (
        "IoU of each patient, pooled over the patient's slices and of single slices. Worst first.",
        "Mean IoU of each patient",
    ),
    "sizes": (
        "IoU of the slice against the size of the structure.",
        "IoU against area by class, one dot per slice",
    ),
    "worst": (
        "The worst slices by mean IoU of the slice over the anatomical classes.",
        "The worst slices",
    ),
}
"""The caption and the alternative text of each figure, by file name without unit and extension."""

_UNITS = "_mm", "_px"


def write_overview(result: EvaluationResult) -> None:
    """Write the HTML report, in which the figures from the ``report`` folder are embedded.

    Args:
        result: The result of the evaluation. Its other files must already have been written.
    """
    context, metrics, labels = result.context, result.metrics, result.labels
    figures = sorted(result.run_folder.report.glob("*.png"))
    tables = make_score_tables(metrics, labels)
    if "folds" in metrics:
        tables.append(make_fold_table(metrics, labels))
    if "measurements" in metrics:
        tables += make_measurement_tables(metrics["measurements"])

    def make_tables(topic: str) -> list[Block]:
        return _make_tables([table for table in tables if table.topic == topic])

    def make_figures(name: str) -> list[Block]:
        caption, alt = _FIGURES[name]
        return [Figure(file, caption, alt) for file in figures if _remove_unit(file.stem) == name]

    groups = [
        Section(topic.replace("_", "-"), topic.replace("_", " ").capitalize(), make_tables(topic))
        for topic in dict.fromkeys(table.topic for table in tables)
        if topic.startswith("by_")
    ]
    sections = [
        Section("summary", "Summary", _make_summary(metrics)),
        Section("classes", "By class", make_tables("overlap")),
        Section("metrics", "Further metrics", make_tables("metrics")),
        Section("folds", "Cross-validation", [*make_figures("folds"), *make_tables("folds")]),
        Section("previous", "Previous work", _make_previous(result)),
        Section("curves", "Learning curves", make_figures("curves")),
        Section("examples", "Examples", make_figures("examples")),
        Section("confusion", "Confusion", make_figures("confusion")),
        Section("boundary", "Boundaries", [*make_tables("boundary"), *make_figures("boundary")]),
        Section("calibration", "Calibration", [*make_tables("calibration"), *make_figures("reliability")]),
        Section(
            "measurements",
            "Measurements",
            [*_make_spacing_note(result), *make_figures("bland_altman"), *make_tables("measurements")],
        ),
        Section(
            "truth",
            "Measurements and truth",
            [*make_figures("bland_altman_truth"), *make_figures("severity"), *make_tables("truth")],
        ),
        *groups,
        Section(
            "patients",
            "By patient",
            [*make_figures("patients"), make_patient_table(result.slices, result.records, labels)],
        ),
        Section("errors", "Error analysis", [*make_tables("failures"), *make_figures("sizes")]),
        Section(
            "worst", "Worst slices", [*make_figures("worst"), make_worst_table(result.slices, result.records, labels)]
        ),
        Section("facts", "Data, model, protocol", [Facts(_collect_facts(result))]),
        Section("remarks", "Remarks and files", _make_remarks(result)),
    ]
    lead = replace(context, remarks=(), disclaimer="").caption(result.slices, "")
    page = Page(
        f"{context.name}: {context.subset_title}",
        lead,
        context.disclaimer,
        [section for section in sections if section.blocks],
    )
    page.write(result.run_folder.report_page)


def _remove_unit(name: str) -> str:
    return name[:-3] if name.endswith(_UNITS) else name


def _make_tables(tables: Sequence[ReportTable]) -> list[Block]:
    several = len(tables) > 1  # A single table needs no title besides that of the section.
    return [
        Table(
            table.columns,
            table.rows,
            f"{table.title}. {table.convention}" if several else table.convention,
            table.means,
        )
        for table in tables
    ]


def _make_summary(metrics: Mapping[str, Any]) -> list[Block]:
    about = metrics["data"]
    names = {
        "mean_iou_anatomy": "Pooled mean IoU, anatomical classes",
        "mean_iou": "Pooled mean IoU, all classes",
        "mean_dice_anatomy": "Pooled mean Dice, anatomical classes",
    }
    numbers = [
        KeyNumber(name, format_score(metrics[key]), _format_interval(metrics[f"{key}_ci95"]))
        for key, name in names.items()
    ]
    if folds := metrics.get("folds"):
        mean, deviation = (format_score(folds[part]["mean_iou_anatomy"]) for part in ("mean", "sd"))
        note = f"SD {deviation} over {folds['count']} folds"
        numbers.append(KeyNumber("Mean IoU, anatomical classes, averaged over folds", mean, note))
    tested = KeyNumber("Slices tested", f"{about['images']:,}", f"of {format_count(about['patients'], 'patient')}")
    text = (
        "Pooled: intersections and unions are summed over all slices, then divided. Means are over the classes present "
        "in labels or predictions. Intervals: bootstrap over patients."
    )
    return [KeyNumbers([*numbers, tested]), *([Bullets(about["remarks"])] if about["remarks"] else []), Prose(text)]


def _format_interval(bounds: Sequence[float] | None) -> str:
    if bounds is None:
        return "no interval: one patient"
    low, high = map(format_score, bounds)
    return f"95 % interval {low} to {high}"


def _make_previous(result: EvaluationResult) -> list[Block]:
    context, labels = result.context, result.labels
    if labels.keys != LUMBAR.keys:
        return []
    columns, *rows = make_table2_rows({f"Ours: {context.name}": result.metrics}, labels)
    caption = (
        f"Pooled IoU by class: ours on {context.dataset}, {context.subset_title}, beside Table 2 of the paper, "
        "which is for the paper's own test images of real patients."
    )
    return [Table(columns, rows[: len(labels)], caption, rows[len(labels) :]), Bullets(list_table2_notes(labels))]


def _make_spacing_note(result: EvaluationResult) -> list[Block]:
    unknown = sum(spacing is None for spacing in result.spacings)
    if result.measurements is None or not unknown:
        return []
    return [Prose(f"The pixel spacing of {format_count(unknown, 'slice')} is unknown. Only ratios are measured there.")]


def _collect_facts(result: EvaluationResult) -> dict[str, str]:
    context, about = result.context, result.metrics["data"]
    excluded, spacing = about["excluded_seen"], about["spacing_mm"]
    exclusion = f"{format_count(excluded, 'slice')} that trained or selected the checkpoint"
    return {
        "Data": about["name"],
        "Tested": f"{context.subset_title}: {format_count(about['images'], 'slice')} of "
        f"{format_count(about['patients'], 'patient')}",
        "Protocol": context.split_description,
        **({"Excluded": exclusion} if excluded else {}),
        "Working spacing": "native pixels" if spacing is None else f"{spacing:g} mm",
        "Run": context.name,
        **context.facts,
        **collect_run_facts(result.metrics),
    }


def _make_remarks(result: EvaluationResult) -> list[Block]:
    files = [f"{name}: {content}." for name, content in _list_files(result.run_folder)]
    text = "docs/metrics.md defines every metric. The run directory holds these files with the numbers:"
    return [Bullets([*result.context.remarks, result.context.disclaimer]), Prose(text), Bullets(files)]


def _list_files(run_folder: RunFolder) -> Iterator[tuple[str, str]]:
    """Yield the path and a description of each file that exists besides the HTML report."""
    contents: dict[Path, str] = {
        run_folder.metrics: "every number of this page",
        run_folder.per_image: "a row per slice and class",
        run_folder.measurements: "a row per slice and measurement",
        run_folder.reports: "the content of radiologists' notes beside the measurements, a row per patient and level",
        run_folder.counts: "confusion counts of each slice, for comparing two models",
        run_folder.report / "table2.md": "IoU beside published scores; table2.csv: the same as numbers",
        run_folder.report / "scores.md": "the scores of this page; scores.csv: these and all others as numbers",
        run_folder.report / "folds.md": "the folds of the cross-validation",
        run_folder.report / "measurements.md": "the measurements of this page",
        run_folder.report / "reports.md": "radiologists' notes beside the measurements",
    }
    for path, content in contents.items():
        if path.is_file():
            yield path.relative_to(run_folder.path).as_posix(), content
