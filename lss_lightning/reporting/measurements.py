"""How well measures agree, as tables to read (``measurements.md``), and slice by slice (``measurements.csv``)."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lss_lightning.reporting.report_table import ReportTable
from lss_lightning.reporting.style import MISSING
from lss_lightning.reporting.tables import format_interval
from lss_lightning.stenosis import MEASUREMENTS

Summary = Mapping[str, Any]
"""The ``measurements`` part of ``metrics.json``."""

_TRUE_SITES = {
    "against_truth": "Sites: drawn (rows), prediction's (columns)",
    "label_against_truth": "Sites: drawn (rows), label map's (columns)",
    "true_measures_against_truth": "Sites: drawn (rows), true measures' (columns)",
}
_COVERAGES = {"coverage": "Intervals", "calibrated_coverage": "Calibrated intervals"}


def write_measurements_csv(
    path: Path, images: Sequence[Mapping[str, str | float | None]], values: Mapping[str, NDArray[np.float64]]
) -> None:
    """Write a CSV with a row for each image and measure; a cell is empty where the measure is withheld.

    Args:
        path: The file.
        images: What stands in the first columns of each image's rows; at least one image.
        values: By column, (N, F) each.
    """
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*images[0], "measure", *values])
        for place, image in enumerate(images):
            for index, name in enumerate(MEASUREMENTS):
                cells = [column[place, index] for column in values.values()]
                writer.writerow([*image.values(), name, *("" if np.isnan(cell) else f"{cell:.6g}" for cell in cells)])


def measurement_tables(summary: Summary) -> list[ReportTable]:
    """How well measures agree: of the topic ``measurements`` with those of the label maps, ``truth`` with the truth."""
    tables = [
        *_against(summary["against_label"], "prediction against label map", "measurements"),
        _sites("Sites: label map's (rows), prediction's (columns)", summary["sites"]["against_label"], "measurements"),
    ]
    if "against_truth" in summary:
        rasterised = "label map against the truth (what rasterising costs)"
        tables += [
            *_against(summary["against_truth"], "prediction against the truth", "truth"),
            *_against(summary["label_against_truth"], rasterised, "truth"),
            _severity(summary["against_truth"]),
            *(_sites(title, summary["sites"][key], "truth") for key, title in _TRUE_SITES.items()),
        ]
    return tables


def write_measurements(summary: Summary, folder: Path, *, caption: str) -> None:
    """Write ``measurements.md``.

    Args:
        summary: As in ``metrics.json``.
        folder: An existing folder.
        caption: Which data, subset, protocol and checkpoint made the figures.
    """
    lines = [f"**Measures in mm and mm².** {caption}"]
    for table in measurement_tables(summary):
        lines += table.markdown()
    (folder / "measurements.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _against(figures: Summary, what: str, topic: str) -> Iterator[ReportTable]:
    columns = ["Measure", "Slices", "Withheld", "Bias [95 %]", "SD", "95 % limits", "MAE (of mean)"]
    covered = [key for key in _COVERAGES if any(key in found for found in figures.values())]
    for key in covered:
        columns += [f"{_COVERAGES[key]} that hold it, %", "Their width"]
    rows = []
    for name, found in figures.items():
        digits = 2 if MEASUREMENTS[name].unit else 4
        cells = [
            _title(name),
            str(found["slices"]),
            str(found["withheld"]),
            format_interval(found["bias"], found["bias_ci95"], digits),
            _number(found["sd"], digits),
            _range(found["limits95"], digits),
            _absolute(found["mae"], found["mae_percent"], digits),
        ]
        for key in covered:
            held = found.get(key)
            cells += [_number(100 * held["held"], 0), _number(held["width"], digits)] if held else [MISSING, MISSING]
        rows.append(cells)
    note = (
        "Bias: mean difference over slices, first minus second, with a 95 % bootstrap interval over patients. 95 % "
        "limits of agreement: bias ± 1.96 SD. MAE: mean absolute error, and as a share of the second's mean. "
        "Withheld: slices measured in the second, not in the first. Measures are defined in docs/decision-support.md."
    )
    if covered:
        note += " Intervals of 95 %, with their median width."
    yield ReportTable(topic, f"Errors: {what}", note, columns, rows)
    agreed = {name: found["category"] for name, found in figures.items() if "category" in found}
    if agreed:
        columns = ["Measure", "Thresholds", "Slices below in both / first / second / neither", "Cohen's κ [95 %]"]
        rows = []
        for name, category in agreed.items():
            thresholds = " and ".join(f"{bound:g}" for bound in category["thresholds"])
            kappa = format_interval(category["kappa"], category["kappa_ci95"], 2)
            rows.append([_title(name), f"{thresholds} {MEASUREMENTS[name].unit}", _below(category["counts"]), kappa])
        note = (
            "κ: over slices and all categories that the thresholds make, with a 95 % bootstrap interval over patients; "
            "the counts are for the greatest threshold."
        )
        yield ReportTable(topic, f"Threshold categories: {what}", note, columns, rows)


def _below(counts: list[list[int]]) -> str:
    matrix = np.array(counts)
    both, first, second = matrix[:-1, :-1].sum(), matrix[-1, :-1].sum(), matrix[:-1, -1].sum()
    return f"{both} / {first} / {second} / {matrix[-1, -1]}"


def _severity(figures: Summary) -> ReportTable:
    groups = next(iter(figures.values()))["by_severity"]
    columns = ["Measure", *("{:g} to {:g}".format(*group["severity"]) for group in groups)]
    rows = []
    for name, found in figures.items():
        digits = 2 if MEASUREMENTS[name].unit else 4
        cells = [
            f"{_signed(group['bias'], digits)}, {_number(group['mae'], digits)} ({group['slices']})"
            for group in found["by_severity"]
        ]
        rows.append([_title(name), *cells])
    note = "Bias, mean absolute error (slices) of the prediction against the truth, by the severity drawn."
    return ReportTable("truth", "Errors by severity", note, columns, rows)


def _sites(title: str, counts: Mapping[str, Mapping[str, int]], topic: str) -> ReportTable:
    columns = list(next(iter(counts.values())))
    rows = [[site, *(str(row[column]) for column in columns)] for site, row in counts.items()]
    note = "Numbers of slices. A site is where reliable criteria are met; at L5/S1 the sac's area is none of them."
    return ReportTable(topic, title, note, ["Site", *columns], rows)


def _title(name: str) -> str:
    measure = MEASUREMENTS[name]
    return f"{measure.title}, {measure.unit}" if measure.unit else measure.title


def _number(value: float | None, digits: int) -> str:
    return MISSING if value is None else f"{value:.{digits}f}"


def _absolute(error: float | None, percent: float | None, digits: int) -> str:
    share = "" if percent is None else f" ({percent:.1f} %)"
    return f"{_number(error, digits)}{share}"


def _signed(value: float | None, digits: int) -> str:
    return MISSING if value is None else f"{value:+.{digits}f}"


def _range(bounds: Sequence[float] | None, digits: int) -> str:
    return MISSING if bounds is None else f"{bounds[0]:+.{digits}f} to {bounds[1]:+.{digits}f}"
