"""Agreement of measurements: tables (``measurements.md``) and values by slice (``measurements.csv``)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lss_lightning.files import write_csv
from lss_lightning.reporting.report_table import ReportTable
from lss_lightning.reporting.style import MISSING
from lss_lightning.reporting.tables import format_interval
from lss_lightning.stenosis import MEASUREMENTS

MeasurementSummary = Mapping[str, Any]
"""The ``measurements`` section of ``metrics.json``."""

_TRUE_SITES = {
    "against_truth": "Sites of stenosis: simulated (rows), from the prediction (columns)",
    "label_against_truth": "Sites of stenosis: simulated (rows), from the label map (columns)",
    "true_measures_against_truth": "Sites of stenosis: simulated (rows), from the true measurements (columns)",
}
_COVERAGES = {"coverage": "intervals", "calibrated_coverage": "calibrated intervals"}


def write_measurements_csv(
    path: Path, images: Sequence[Mapping[str, str | float | None]], values: Mapping[str, NDArray[np.float64]]
) -> None:
    """Write a CSV file with a row for each image and measurement.

    Args:
        path: CSV file to write.
        images: The leading columns of each of N images, such as patient and level; at least one image.
        values: Values by column, (N, F) each, in the order of :data:`~lss_lightning.stenosis.MEASUREMENTS`. NaN is
            written as an empty cell.
    """
    rows = (
        [*image.values(), name, *(_format_cell(column[row, index]) for column in values.values())]
        for row, image in enumerate(images)
        for index, name in enumerate(MEASUREMENTS)
    )
    write_csv(path, [*images[0], "measure", *values], rows)


def _format_cell(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.6g}"


def make_measurement_tables(summary: MeasurementSummary) -> list[ReportTable]:
    """Make the tables of agreement with label maps (topic ``measurements``) and with the truth (topic ``truth``)."""
    tables = [
        *_make_agreement_tables(summary["against_label"], "prediction against label map", "measurements"),
        _make_site_table(
            "Sites of stenosis: from the label map (rows), from the prediction (columns)",
            summary["sites"]["against_label"],
            "measurements",
        ),
    ]
    if "against_truth" in summary:
        rasterisation = "label map against truth (error of rasterisation)"
        tables += [
            *_make_agreement_tables(summary["against_truth"], "prediction against truth", "truth"),
            *_make_agreement_tables(summary["label_against_truth"], rasterisation, "truth"),
            _make_severity_table(summary["against_truth"]),
            *(_make_site_table(title, summary["sites"][key], "truth") for key, title in _TRUE_SITES.items()),
        ]
    return tables


def write_measurements(summary: MeasurementSummary, folder: Path, *, caption: str) -> None:
    """Write the tables of :func:`make_measurement_tables` as ``measurements.md``.

    Args:
        summary: The ``measurements`` section of ``metrics.json``.
        folder: Existing folder to write to.
        caption: Caption that states the data, subset, protocol and checkpoint.
    """
    lines = [f"**Measurements in mm and mm².** {caption}"]
    for table in make_measurement_tables(summary):
        lines += table.to_markdown()
    (folder / "measurements.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _make_agreement_tables(entries: MeasurementSummary, comparison: str, topic: str) -> Iterator[ReportTable]:
    columns = ["Measurement", "Slices", "Withheld", "Bias [95 % CI]", "SD", "95 % limits of agreement", "MAE (of mean)"]
    coverages = [key for key in _COVERAGES if any(key in entry for entry in entries.values())]
    for key in coverages:
        columns += [f"Coverage of {_COVERAGES[key]}, %", f"Median width of {_COVERAGES[key]}"]
    rows = []
    for name, entry in entries.items():
        digits = _count_digits(name)
        cells = [
            _format_title(name),
            str(entry["slices"]),
            str(entry["withheld"]),
            format_interval(entry["bias"], entry["bias_ci95"], digits),
            _format_number(entry["sd"], digits),
            _format_range(entry["limits95"], digits),
            _format_error(entry["mae"], entry["mae_percent"], digits),
        ]
        for key in coverages:
            if coverage := entry.get(key):
                cells += [_format_number(100 * coverage["held"], 0), _format_number(coverage["width"], digits)]
            else:
                cells += [MISSING, MISSING]
        rows.append(cells)
    note = (
        "Bias: mean difference over slices, first minus second, with its 95 % confidence interval (CI) from a "
        "bootstrap over patients. 95 % limits of agreement: bias ± 1.96 SD. MAE: mean absolute error, and as a "
        "percentage of the mean of the second. Withheld: slices measured in the second but not in the first. "
        "docs/decision-support.md defines the measurements."
    )
    if coverages:
        note += " Coverage: percentage of slices in which the 95 % interval contains the second."
    yield ReportTable(topic, f"Errors: {comparison}", note, columns, rows)
    categories = {name: entry["category"] for name, entry in entries.items() if "category" in entry}
    if categories:
        columns = [
            "Measurement",
            "Thresholds",
            "Slices below in both / first only / second only / neither",
            "Cohen's κ [95 % CI]",
        ]
        rows = []
        for name, category in categories.items():
            thresholds = " and ".join(f"{threshold:g}" for threshold in category["thresholds"])
            kappa = format_interval(category["kappa"], category["kappa_ci95"], 2)
            unit = MEASUREMENTS[name].unit
            rows.append([_format_title(name), f"{thresholds} {unit}", _format_counts(category["counts"]), kappa])
        note = (
            "κ: over slices and all categories between the thresholds, with its 95 % confidence interval from a "
            "bootstrap over patients. The counts are for the greatest threshold."
        )
        yield ReportTable(topic, f"Threshold categories: {comparison}", note, columns, rows)


def _format_counts(counts: list[list[int]]) -> str:
    matrix = np.array(counts)
    both, first, second = matrix[:-1, :-1].sum(), matrix[-1, :-1].sum(), matrix[:-1, -1].sum()
    return f"{both} / {first} / {second} / {matrix[-1, -1]}"


def _make_severity_table(entries: MeasurementSummary) -> ReportTable:
    groups = next(iter(entries.values()))["by_severity"]
    columns = ["Measurement", *("{:g} to {:g}".format(*group["severity"]) for group in groups)]
    rows = []
    for name, entry in entries.items():
        digits = _count_digits(name)
        cells = [
            f"{_format_signed(group['bias'], digits)}, {_format_number(group['mae'], digits)} ({group['slices']})"
            for group in entry["by_severity"]
        ]
        rows.append([_format_title(name), *cells])
    note = (
        "Bias, mean absolute error (number of slices) of the prediction against the truth, by severity of the "
        "simulated stenosis."
    )
    return ReportTable("truth", "Errors by severity", note, columns, rows)


def _make_site_table(title: str, counts: Mapping[str, Mapping[str, int]], topic: str) -> ReportTable:
    columns = list(next(iter(counts.values())))
    rows = [[site, *(str(row[column]) for column in columns)] for site, row in counts.items()]
    note = (
        "Numbers of slices. A site counts if a reliable criterion is met there. The area of the thecal sac is not a "
        "reliable criterion at L5/S1."
    )
    return ReportTable(topic, title, note, ["Site", *columns], rows)


def _count_digits(name: str) -> int:
    return 2 if MEASUREMENTS[name].unit else 4


def _format_title(name: str) -> str:
    measurement = MEASUREMENTS[name]
    return f"{measurement.title}, {measurement.unit}" if measurement.unit else measurement.title


def _format_number(value: float | None, digits: int) -> str:
    return MISSING if value is None else f"{value:.{digits}f}"


def _format_error(error: float | None, percent: float | None, digits: int) -> str:
    percentage = "" if percent is None else f" ({percent:.1f} %)"
    return f"{_format_number(error, digits)}{percentage}"


def _format_signed(value: float | None, digits: int) -> str:
    return MISSING if value is None else f"{value:+.{digits}f}"


def _format_range(bounds: Sequence[float] | None, digits: int) -> str:
    return MISSING if bounds is None else f"{bounds[0]:+.{digits}f} to {bounds[1]:+.{digits}f}"
