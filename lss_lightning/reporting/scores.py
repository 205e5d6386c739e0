"""All scores of an evaluation: tables for readers (``scores.md``) and a list for analysis (``scores.csv``)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from lss_lightning.display import format_count
from lss_lightning.files import write_csv
from lss_lightning.labels import LabelSet
from lss_lightning.reporting.report_table import ReportTable
from lss_lightning.reporting.tables import (
    INTERVAL_NOTE,
    MEAN_ANATOMY_ROW,
    MEAN_ROW,
    Metrics,
    format_interval,
    format_score,
)

_DISTANCES = {"hd95_mm": "HD95, mm", "assd_mm": "ASSD, mm", "hd95_px": "HD95, px", "assd_px": "ASSD, px"}
_FAILURES = {
    "labelled": "Images with the class",
    "missed": "Missed",
    "invented": "Invented",
    "split": "Split",
    "merged": "Merged",
}
_CSV_COLUMNS = ("grouping", "group", "measure", "class", "value", "ci95_low", "ci95_high", "images")


def make_score_tables(metrics: Metrics, labels: LabelSet) -> list[ReportTable]:
    """Make the tables of all scores by class, and the tables of each grouping that has more than one group.

    Args:
        metrics: Content of ``metrics.json``.
        labels: The classes.
    """
    tables = [
        _make_overlap_table(metrics, labels),
        _make_averaged_overlap_table(metrics, labels),
        _make_boundary_table(metrics["boundary"], labels),
        _make_failure_table(metrics["failures"], labels),
        _make_calibration_table(metrics["calibration"], labels),
    ]
    if "metrics" in metrics:
        tables.append(_make_user_table(metrics["metrics"]))
    for grouping, groups in metrics["by"].items():
        if len(groups) > 1:
            tables += _make_group_tables(grouping, groups, labels)
    return tables


def write_scores(metrics: Metrics, labels: LabelSet, folder: Path, *, caption: str) -> None:
    """Write ``scores.md`` and ``scores.csv``.

    Args:
        metrics: Content of ``metrics.json``.
        labels: The classes.
        folder: Existing folder to write to.
        caption: Caption that states the data, subset, protocol and checkpoint. It is written to the first line of the
            Markdown file and the last line of the CSV file.
    """
    lines = [f"**Scores by class.** {caption}"]
    for table in make_score_tables(metrics, labels):
        lines += table.to_markdown()
    (folder / "scores.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    rows: list[Sequence[Any]] = [("", "", *row) for row in _list_scores(metrics)]
    for grouping, groups in metrics["by"].items():
        for group, scores in groups.items():
            rows += [(grouping, group, *row) for row in _list_scores(scores)]
    write_csv(folder / "scores.csv", _CSV_COLUMNS, [*rows, [f"# {caption}"]])


def _make_overlap_table(metrics: Metrics, labels: LabelSet) -> ReportTable:
    def format_metric(metric: str, key: str) -> str:
        return format_interval(metrics[metric][key], metrics[f"{metric}_ci95"][key])

    def make_mean_row(name: str, pattern: str) -> list[str]:
        means = [pattern.format(metric) for metric in ("iou", "dice")]
        return [name, *(format_interval(metrics[mean], metrics[f"{mean}_ci95"]) for mean in means), "", ""]

    rows = []
    for label in labels:
        rates = (format_score(metrics[rate][label.key]) for rate in ("precision", "recall"))
        rows.append([label.name, format_metric("iou", label.key), format_metric("dice", label.key), *rates])
    return ReportTable(
        "overlap",
        "Overlap, pooled",
        f"Pixels are summed over all images, then divided. {INTERVAL_NOTE}",
        ["Class", "IoU", "Dice", "Precision", "Recall"],
        rows,
        (make_mean_row(MEAN_ROW, "mean_{}"), make_mean_row(MEAN_ANATOMY_ROW, "mean_{}_anatomy")),
    )


def _make_user_table(values: Mapping[str, float | None]) -> ReportTable:
    convention = "The metrics of the section metrics, over all pixels or images of the subset."
    rows = [[name, format_score(value)] for name, value in values.items()]
    return ReportTable("metrics", "Further metrics", convention, ["Metric", "Value"], rows)


def _make_averaged_overlap_table(metrics: Metrics, labels: LabelSet) -> ReportTable:
    columns = [(average, metric) for average in ("per_image", "per_patient") for metric in ("iou", "dice")]
    return ReportTable(
        "overlap",
        "Overlap, averaged over images and over patients",
        "Means of the scores of single images, and of single patients (a patient's images pooled), over those whose "
        "label or prediction contains the class.",
        ["Class", "IoU per image", "Dice per image", "IoU per patient", "Dice per patient"],
        [
            [label.name, *(format_score(metrics[average][metric][label.key]) for average, metric in columns)]
            for label in labels
        ],
        tuple(
            [name, *(format_score(metrics[average][pattern.format(metric)]) for average, metric in columns)]
            for name, pattern in ((MEAN_ROW, "mean_{}"), (MEAN_ANATOMY_ROW, "mean_{}_anatomy"))
        ),
    )


def _make_boundary_table(boundary: Metrics, labels: LabelSet) -> ReportTable:
    metrics = list(boundary["images"])
    distance = next(metric for metric in metrics if metric.startswith("hd95"))
    rows = []
    for label in labels:
        scores = (format_score(boundary[metric][label.key], _count_decimals(metric)) for metric in metrics)
        rows.append([label.name, *scores, str(boundary["images"][distance][label.key])])
    tolerances = [
        f"{' to '.join(dict.fromkeys(f'{bound:.2f}' for bound in boundary[f'bf_tolerance_{unit}']))} {unit}"
        for unit in ("mm", "px")
        if f"bf_tolerance_{unit}" in boundary
    ]
    convention = (
        "Means over images, on each label's own grid. NSD: normalised surface Dice, the fraction of both boundaries "
        "within the tolerance of each other. BF score: boundary F1 with a tolerance of 0.75 % of the image diagonal, "
        f"here {', '.join(tolerances)}. HD95: the greater of the two directed 95th percentiles of distances. ASSD: "
        "average symmetric surface distance. Distances are between pixels, so with a tolerance below a pixel only "
        "boundaries that coincide count. If only one of label and prediction contains the class, NSD and BF score are "
        "0 and distances are undefined."
    )
    if any(metric.endswith("px") for metric in metrics):
        convention += " In pixels (px) for images of unknown pixel spacing."
    columns = ["Class", *map(_format_heading, metrics), "Images with a distance"]
    return ReportTable("boundary", "Boundaries", convention, columns, rows)


def _make_failure_table(failures: Metrics, labels: LabelSet) -> ReportTable:
    convention = (
        "Numbers of images. Missed: only the label contains the class. Invented: only the prediction contains the "
        "class. Split, merged: both contain the class, the prediction in more parts (split) or in fewer parts (merged) "
        "than the label. A part is a connected component with at least "
        f"{100 * failures['part_share']:g} % of the pixels of the largest component of its class in the image."
    )
    return ReportTable(
        "failures",
        "Failures by class",
        convention,
        ["Class", *_FAILURES.values()],
        [[label.name, *(str(failures[failure][label.key]) for failure in _FAILURES)] for label in labels],
    )


def _make_calibration_table(calibration: Metrics, labels: LabelSet) -> ReportTable:
    return ReportTable(
        "calibration",
        "Calibration",
        f"Each class against the rest, in {calibration['bins']} equal bins of probability, pooled over the "
        f"{calibration['pixels']:,} pixels of all images within {calibration['band_mm']:g} mm of a labelled structure "
        f"({calibration['band_px']:g} px in images of unknown pixel spacing).",
        ["Class", "Expected calibration error"],
        [[label.name, format_score(calibration["ece"][label.key])] for label in labels],
        (
            [MEAN_ROW, format_score(calibration["mean_ece"])],
            [MEAN_ANATOMY_ROW, format_score(calibration["mean_ece_anatomy"])],
        ),
    )


def _make_group_tables(grouping: str, groups: Mapping[str, Metrics], labels: LabelSet) -> list[ReportTable]:
    columns = ["Class", *(f"{group} ({format_count(scores['images'], 'image')})" for group, scores in groups.items())]

    def make_table(title: str, convention: str, format_cell: Callable[[Metrics, str], str]) -> ReportTable:
        rows = [[label.name, *(format_cell(scores, label.key) for scores in groups.values())] for label in labels]
        return ReportTable(f"by_{grouping}", f"By {grouping}: {title}", convention, columns, rows)

    overlap = make_table(
        "IoU, pooled",
        f"Pixels are summed over the images of each {grouping}, then divided. {INTERVAL_NOTE} All other scores by "
        f"{grouping} are in scores.csv.",
        lambda scores, key: format_interval(scores["iou"][key], scores["iou_ci95"][key]),
    )
    convention = f"Means over the images of each {grouping}."
    metrics = dict.fromkeys(metric for scores in groups.values() for metric in scores["boundary"]["images"])
    return [
        overlap,
        *(
            make_table(_format_heading(metric), convention, partial(_format_boundary_cell, metric))
            for metric in metrics
            if metric.startswith(("nsd_1.4", "nsd_2px", "hd95"))
        ),
    ]


def _format_boundary_cell(metric: str, scores: Metrics, key: str) -> str:
    return format_score(scores["boundary"].get(metric, {}).get(key), _count_decimals(metric))


def _format_heading(metric: str) -> str:
    if metric in _DISTANCES:
        return _DISTANCES[metric]
    if metric == "bf":
        return "BF score"
    tolerance = metric.removeprefix("nsd_")
    return f"NSD at {tolerance[:-2]} {tolerance[-2:]}"


def _count_decimals(metric: str) -> int:
    return 2 if metric in _DISTANCES else 3


def _list_scores(metrics: Metrics) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of the CSV file for all images or one group, starting at the column ``measure``."""
    for score in ("iou", "dice"):
        for key, value in metrics[score].items():
            yield (score, key, value, *(metrics[f"{score}_ci95"][key] or (None, None)), None)
        for mean in (f"mean_{score}", f"mean_{score}_anatomy"):
            yield (mean, None, metrics[mean], *(metrics[f"{mean}_ci95"] or (None, None)), None)
    for name, value in metrics.get("metrics", {}).items():
        yield (name, None, value, None, None, None)
    for key, value in metrics["mean_iou_without"].items():
        yield ("mean_iou_without", key, value, *(metrics["mean_iou_without_ci95"][key] or (None, None)), None)
    for score in ("precision", "recall"):
        yield from ((score, key, value, None, None, None) for key, value in metrics[score].items())
    for average in ("per_image", "per_patient"):
        for score in ("iou", "dice"):
            for key, value in metrics[average][score].items():
                yield (f"{average}_{score}", key, value, None, None, None)
    boundary = metrics["boundary"]
    for metric, images in boundary["images"].items():
        yield from ((metric, key, boundary[metric][key], None, None, count) for key, count in images.items())
    yield from (("ece", key, value, None, None, None) for key, value in metrics["calibration"]["ece"].items())
    for failure in _FAILURES:
        yield from ((failure, key, count, None, None, None) for key, count in metrics["failures"][failure].items())
