"""Every score of a test, as tables to read (``scores.md``) and as a list to compute with (``scores.csv``)."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lss_lightning.labels import LabelSet
from lss_lightning.reporting.tables import (
    INTERVALS,
    MEAN,
    MEAN_ANATOMY,
    format_interval,
    format_score,
    markdown_table,
)

Metrics = Mapping[str, Any]

_HEADINGS = {"hd95_mm": "HD95, mm", "assd_mm": "ASSD, mm", "hd95_px": "HD95, px", "assd_px": "ASSD, px"}
_CSV = ("grouping", "group", "measure", "class", "value", "ci95_low", "ci95_high", "images")


def write_scores(metrics: Metrics, labels: LabelSet, folder: Path, *, caption: str) -> None:
    """Write ``scores.md`` and ``scores.csv``.

    Args:
        metrics: As in ``metrics.json``.
        labels: The classes.
        folder: An existing folder.
        caption: Which data, subset, protocol and checkpoint made the scores. It opens the Markdown file and is the last
            line of the CSV.
    """
    parts = [
        f"**Scores by class.** {caption}",
        *_overlap(metrics, labels),
        *_single(metrics, labels),
        *_boundary(metrics["boundary"], labels),
        *_calibration(metrics["calibration"], labels),
    ]
    for column, groups in metrics["by"].items():
        if len(groups) > 1:
            parts += _groups(column, groups, labels)
    (folder / "scores.md").write_text("\n".join(parts) + "\n", encoding="utf-8")
    with (folder / "scores.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(_CSV)
        writer.writerows(("", "", *row) for row in _listed(metrics))
        for column, groups in metrics["by"].items():
            for group, figures in groups.items():
                writer.writerows((column, group, *row) for row in _listed(figures))
        writer.writerow([f"# {caption}"])


def _section(title: str, convention: str, rows: list[list[str]]) -> list[str]:
    return ["", f"### {title}", "", convention, "", *markdown_table(rows)]


def _overlap(metrics: Metrics, labels: LabelSet) -> list[str]:
    def scored(score: str, key: str) -> str:
        return format_interval(metrics[score][key], metrics[f"{score}_ci95"][key])

    def mean(name: str, key: str) -> list[str]:
        means = (key.format(score) for score in ("iou", "dice"))
        return [name, *(format_interval(metrics[mean], metrics[f"{mean}_ci95"]) for mean in means), "", ""]

    rows = [["Class", "IoU", "Dice", "Precision", "Recall"]]
    for label in labels:
        rates = (format_score(metrics[score][label.key]) for score in ("precision", "recall"))
        rows.append([label.name, scored("iou", label.key), scored("dice", label.key), *rates])
    rows += [mean(MEAN, "mean_{}"), mean(MEAN_ANATOMY, "mean_{}_anatomy")]
    return _section("Overlap, pooled", f"Pixels summed over all images, then divided. {INTERVALS}", rows)


def _single(metrics: Metrics, labels: LabelSet) -> list[str]:
    kinds = [(part, score) for part in ("per_image", "per_patient") for score in ("iou", "dice")]
    rows = [["Class", "IoU of an image", "Dice of an image", "IoU of a patient", "Dice of a patient"]]
    rows += [
        [label.name, *(format_score(metrics[part][score][label.key]) for part, score in kinds)] for label in labels
    ]
    rows.append([MEAN, *(format_score(metrics[part][f"mean_{score}"]) for part, score in kinds)])
    convention = (
        "Means of single images' scores, or of patients' (a patient's images pooled), over those whose label or "
        "prediction holds the class."
    )
    return _section("Overlap, image by image and patient by patient", convention, rows)


def _boundary(boundary: Metrics, labels: LabelSet) -> list[str]:
    measures = list(boundary["images"])
    counts = ("Images with a distance", "Missed", "Invented")
    distance = next(measure for measure in measures if measure.startswith("hd95"))
    rows = [["Class", *map(_heading, measures), *counts]]
    for label in labels:
        scores = (format_score(boundary[measure][label.key], _decimals(measure)) for measure in measures)
        images = (boundary["images"][distance], boundary["missed"], boundary["invented"])
        rows.append([label.name, *scores, *(str(number[label.key]) for number in images)])
    tolerances = [
        f"{' to '.join(dict.fromkeys(f'{bound:.2f}' for bound in boundary[f'bf_tolerance_{unit}']))} {unit}"
        for unit in ("mm", "px")
        if f"bf_tolerance_{unit}" in boundary
    ]
    convention = (
        "Means of single images, on each label's own grid. NSD: normalised surface Dice, the share of both boundaries "
        "within the tolerance of the other. BF-score: boundary F1 with a tolerance of 0.75 % of the image's diagonal, "
        f"here {', '.join(tolerances)}. HD95: the greater of the directed 95th percentiles of distances. ASSD: average "
        "symmetric surface distance. Where only label or prediction holds the class (missed, invented), NSD and "
        "BF-score are 0 and no distance exists."
    )
    if any(measure.endswith("px") for measure in measures):
        convention += " In pixels (px) where an image's pixel size is unknown."
    return _section("Boundaries", convention, rows)


def _calibration(calibration: Metrics, labels: LabelSet) -> list[str]:
    rows = [["Class", "Expected calibration error"]]
    rows += [[label.name, format_score(calibration["ece"][label.key])] for label in labels]
    rows += [
        [MEAN, format_score(calibration["mean_ece"])],
        [MEAN_ANATOMY, format_score(calibration["mean_ece_anatomy"])],
    ]
    convention = (
        f"Each class against the rest, {calibration['bins']} equal bins of probability, over the "
        f"{calibration['pixels']:,} pixels within {calibration['band_mm']:g} mm of a labelled structure "
        f"({calibration['band_px']:g} px where an image's pixel size is unknown)."
    )
    return _section("Calibration", convention, rows)


def _groups(column: str, groups: Mapping[str, Metrics], labels: LabelSet) -> list[str]:
    def table(cell: Any) -> list[list[str]]:
        names = [f"{group} ({figures['images']} images)" for group, figures in groups.items()]
        rows = [["Class", *names]]
        return [*rows, *([label.name, *(cell(figures, label.key) for figures in groups.values())] for label in labels)]

    overlap = table(lambda figures, key: format_interval(figures["iou"][key], figures["iou_ci95"][key]))
    lines = _section(f"By {column}: IoU, pooled", f"As above, over the images of each {column}.", overlap)
    for measure in dict.fromkeys(key for figures in groups.values() for key in figures["boundary"]["images"]):
        if measure.startswith(("nsd_1.4", "nsd_2px", "hd95")):
            rows = table(
                lambda figures, key, measure=measure: format_score(
                    figures["boundary"].get(measure, {}).get(key), _decimals(measure)
                )
            )
            lines += _section(f"By {column}: {_heading(measure)}", "Means of single images.", rows)
    return lines


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
