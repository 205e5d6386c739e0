"""Every score of a test, as tables to read (``scores.md``) and as a list to compute with (``scores.csv``)."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from lss_lightning.labels import LabelSet
from lss_lightning.reporting.report_table import ReportTable
from lss_lightning.reporting.tables import INTERVALS, MEAN, MEAN_ANATOMY, format_interval, format_score

Metrics = Mapping[str, Any]

_HEADINGS = {"hd95_mm": "HD95, mm", "assd_mm": "ASSD, mm", "hd95_px": "HD95, px", "assd_px": "ASSD, px"}
_FAILURES = {
    "labelled": "Images with it",
    "missed": "Missed",
    "invented": "Invented",
    "split": "Split",
    "merged": "Merged",
}
_CSV = ("grouping", "group", "measure", "class", "value", "ci95_low", "ci95_high", "images")


def score_tables(metrics: Metrics, labels: LabelSet) -> list[ReportTable]:
    """All scores of ``metrics.json`` by class, and by group where there are several."""
    tables = [
        _overlap(metrics, labels),
        _single(metrics, labels),
        _boundary(metrics["boundary"], labels),
        _failures(metrics["failures"], labels),
        _calibration(metrics["calibration"], labels),
    ]
    for column, groups in metrics["by"].items():
        if len(groups) > 1:
            tables += _groups(column, groups, labels)
    return tables


def write_scores(metrics: Metrics, labels: LabelSet, folder: Path, *, caption: str) -> None:
    """Write ``scores.md`` and ``scores.csv``.

    Args:
        metrics: As in ``metrics.json``.
        labels: The classes.
        folder: An existing folder.
        caption: Which data, subset, protocol and checkpoint made the scores. It opens the Markdown file and is the last
            line of the CSV.
    """
    lines = [f"**Scores by class.** {caption}"]
    for table in score_tables(metrics, labels):
        lines += table.markdown()
    (folder / "scores.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    with (folder / "scores.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(_CSV)
        writer.writerows(("", "", *row) for row in _listed(metrics))
        for column, groups in metrics["by"].items():
            for group, figures in groups.items():
                writer.writerows((column, group, *row) for row in _listed(figures))
        writer.writerow([f"# {caption}"])


def _overlap(metrics: Metrics, labels: LabelSet) -> ReportTable:
    def scored(score: str, key: str) -> str:
        return format_interval(metrics[score][key], metrics[f"{score}_ci95"][key])

    def mean(name: str, key: str) -> list[str]:
        means = (key.format(score) for score in ("iou", "dice"))
        return [name, *(format_interval(metrics[mean], metrics[f"{mean}_ci95"]) for mean in means), "", ""]

    rows = []
    for label in labels:
        rates = (format_score(metrics[score][label.key]) for score in ("precision", "recall"))
        rows.append([label.name, scored("iou", label.key), scored("dice", label.key), *rates])
    return ReportTable(
        "overlap",
        "Overlap, pooled",
        f"Pixels summed over all images, then divided. {INTERVALS}",
        ["Class", "IoU", "Dice", "Precision", "Recall"],
        rows,
        (mean(MEAN, "mean_{}"), mean(MEAN_ANATOMY, "mean_{}_anatomy")),
    )


def _single(metrics: Metrics, labels: LabelSet) -> ReportTable:
    kinds = [(part, score) for part in ("per_image", "per_patient") for score in ("iou", "dice")]
    return ReportTable(
        "overlap",
        "Overlap, image by image and patient by patient",
        "Means of single images' scores, or of patients' (a patient's images pooled), over those whose label or "
        "prediction holds the class.",
        ["Class", "IoU of an image", "Dice of an image", "IoU of a patient", "Dice of a patient"],
        [[label.name, *(format_score(metrics[part][score][label.key]) for part, score in kinds)] for label in labels],
        tuple(
            [name, *(format_score(metrics[part][key.format(score)]) for part, score in kinds)]
            for name, key in ((MEAN, "mean_{}"), (MEAN_ANATOMY, "mean_{}_anatomy"))
        ),
    )


def _boundary(boundary: Metrics, labels: LabelSet) -> ReportTable:
    measures = list(boundary["images"])
    distance = next(measure for measure in measures if measure.startswith("hd95"))
    rows = []
    for label in labels:
        scores = (format_score(boundary[measure][label.key], _decimals(measure)) for measure in measures)
        rows.append([label.name, *scores, str(boundary["images"][distance][label.key])])
    tolerances = [
        f"{' to '.join(dict.fromkeys(f'{bound:.2f}' for bound in boundary[f'bf_tolerance_{unit}']))} {unit}"
        for unit in ("mm", "px")
        if f"bf_tolerance_{unit}" in boundary
    ]
    convention = (
        "Means of single images, on each label's own grid. NSD: normalised surface Dice, the share of both boundaries "
        "within the tolerance of the other. BF-score: boundary F1 with a tolerance of 0.75 % of the image's diagonal, "
        f"here {', '.join(tolerances)}. HD95: the greater of the directed 95th percentiles of distances. ASSD: average "
        "symmetric surface distance. Distances run from pixel to pixel: a tolerance below a pixel's size admits only "
        "boundaries that coincide. Where only label or prediction holds the class, NSD and BF-score are 0 and no "
        "distance exists."
    )
    if any(measure.endswith("px") for measure in measures):
        convention += " In pixels (px) where an image's pixel size is unknown."
    columns = ["Class", *map(_heading, measures), "Images with a distance"]
    return ReportTable("boundary", "Boundaries", convention, columns, rows)


def _failures(failures: Metrics, labels: LabelSet) -> ReportTable:
    convention = (
        "Numbers of images. Missed: the label holds the class, the prediction does not. Invented: the reverse. Split, "
        "merged: both hold it, the prediction in more or in fewer parts than the label; a part is what hangs together, "
        f"if it has at least {100 * failures['part_share']:g} % of its class's largest part in the image."
    )
    return ReportTable(
        "failures",
        "Failures by class",
        convention,
        ["Class", *_FAILURES.values()],
        [[label.name, *(str(failures[failure][label.key]) for failure in _FAILURES)] for label in labels],
    )


def _calibration(calibration: Metrics, labels: LabelSet) -> ReportTable:
    return ReportTable(
        "calibration",
        "Calibration",
        f"Each class against the rest, {calibration['bins']} equal bins of probability, pooled: over the "
        f"{calibration['pixels']:,} pixels of all images that lie within {calibration['band_mm']:g} mm of a labelled "
        f"structure ({calibration['band_px']:g} px where an image's pixel size is unknown).",
        ["Class", "Expected calibration error"],
        [[label.name, format_score(calibration["ece"][label.key])] for label in labels],
        (
            [MEAN, format_score(calibration["mean_ece"])],
            [MEAN_ANATOMY, format_score(calibration["mean_ece_anatomy"])],
        ),
    )


def _groups(column: str, groups: Mapping[str, Metrics], labels: LabelSet) -> list[ReportTable]:
    columns = ["Class", *(f"{group} ({figures['images']} images)" for group, figures in groups.items())]

    def table(what: str, convention: str, cell: Any) -> ReportTable:
        rows = [[label.name, *(cell(figures, label.key) for figures in groups.values())] for label in labels]
        return ReportTable(f"by_{column}", f"By {column}: {what}", convention, columns, rows)

    overlap = table(
        "IoU, pooled",
        f"Pixels summed over the images of each {column}, then divided. {INTERVALS} All other figures by {column} are "
        "in scores.csv.",
        lambda figures, key: format_interval(figures["iou"][key], figures["iou_ci95"][key]),
    )
    measures = dict.fromkeys(key for figures in groups.values() for key in figures["boundary"]["images"])
    return [
        overlap,
        *(
            table(_heading(measure), "Means of single images.", partial(_group_cell, measure))
            for measure in measures
            if measure.startswith(("nsd_1.4", "nsd_2px", "hd95"))
        ),
    ]


def _group_cell(measure: str, figures: Metrics, key: str) -> str:
    return format_score(figures["boundary"].get(measure, {}).get(key), _decimals(measure))


def _heading(measure: str) -> str:
    if measure in _HEADINGS:
        return _HEADINGS[measure]
    if measure == "bf":
        return "BF-score"
    tolerance = measure.removeprefix("nsd_")
    return f"NSD at {tolerance[:-2]} {tolerance[-2:]}"


def _decimals(measure: str) -> int:
    return 2 if measure in _HEADINGS else 3


def _listed(metrics: Metrics) -> Iterator[tuple[Any, ...]]:
    """Rows of the CSV for one set of figures, from the column ``measure`` on."""
    for score in ("iou", "dice"):
        for key, value in metrics[score].items():
            yield (score, key, value, *(metrics[f"{score}_ci95"][key] or (None, None)), None)
        for mean in (f"mean_{score}", f"mean_{score}_anatomy"):
            yield (mean, None, metrics[mean], *(metrics[f"{mean}_ci95"] or (None, None)), None)
    for key, value in metrics["mean_iou_without"].items():
        yield ("mean_iou_without", key, value, *(metrics["mean_iou_without_ci95"][key] or (None, None)), None)
    for score in ("precision", "recall"):
        yield from ((score, key, value, None, None, None) for key, value in metrics[score].items())
    for part in ("per_image", "per_patient"):
        for score in ("iou", "dice"):
            for key, value in metrics[part][score].items():
                yield (f"{part}_{score}", key, value, None, None, None)
    boundary = metrics["boundary"]
    for measure, images in boundary["images"].items():
        yield from ((measure, key, boundary[measure][key], None, None, count) for key, count in images.items())
    yield from (("ece", key, value, None, None, None) for key, value in metrics["calibration"]["ece"].items())
    for failure in _FAILURES:
        yield from ((failure, key, count, None, None, None) for key, count in metrics["failures"][failure].items())
