"""The measurements of the tested slices as tables, a CSV file and figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lss_lightning.data.alkafri_layout import ALKAFRI_LEVELS
from lss_lightning.data.loading import LoadedSlice
from lss_lightning.data.reports import normalise_patient_id
from lss_lightning.data.source import DataSource
from lss_lightning.metrics.measurements import MeasurementTable
from lss_lightning.reporting.agreement import plot_bland_altman, plot_severity
from lss_lightning.reporting.measurements import write_measurements, write_measurements_csv
from lss_lightning.stenosis import MEASUREMENTS
from lss_lightning.workflows.evaluation.notes import tabulate_notes, write_notes
from lss_lightning.workflows.evaluation.result import EvaluationResult


def make_measurement_table(
    values: Mapping[str, NDArray[np.float64]], slices: Sequence[LoadedSlice], source: DataSource
) -> MeasurementTable:
    """Combine measured values with further information about their slices.

    Args:
        values: The arrays (N, F) stored by :class:`~.measurement_callback.MeasurementCallback`.
        slices: The N slices.
        source: The data source of the slices, which may provide their true measurements and radiologists' notes.
    """
    truth = source.read_truth()
    rows = [truth.get(loaded.slice.name) for loaded in slices]
    known: dict[str, Any] = dict(values)
    if all(rows):
        known_rows = [row for row in rows if row]
        known["truth"] = np.array([[float(row[name]) for name in MEASUREMENTS] for row in known_rows])
        known["severities"] = np.array([float(row["severity"]) for row in known_rows])
        known["sites"] = [row["site"] for row in known_rows]
    if notes := source.read_notes():
        known["notes"] = [notes.get(normalise_patient_id(loaded.slice.patient)) for loaded in slices]
    return MeasurementTable(
        patients=[loaded.slice.patient for loaded in slices],
        levels=[loaded.slice.level if loaded.slice.level in ALKAFRI_LEVELS else None for loaded in slices],
        **known,
    )


def write_measurement_report(result: EvaluationResult) -> None:
    """Write ``measurements.csv``, the tables and figures in ``report/`` and, if there are notes, tables of the notes.

    Args:
        result: The result of an evaluation with measurements. Its ``report`` folder must exist.
    """
    table, report = result.measurements, result.run_folder.report
    assert table is not None
    caption, summary = result.caption(), result.metrics["measurements"]
    columns = {name: getattr(table, name) for name in ("label", "predicted", "low", "high")}
    if not np.isnan(table.calibrated_low).all():
        columns |= {name: getattr(table, name) for name in ("calibrated_low", "calibrated_high")}
    names = ("prediction", "label")
    plot_bland_altman(table.predicted, table.label, report / "bland_altman.png", names=names, caption=caption)
    if table.truth is not None and table.severities is not None:
        columns["truth"] = table.truth
        names, path = ("prediction", "truth"), report / "bland_altman_truth.png"
        plot_bland_altman(table.predicted, table.truth, path, names=names, caption=caption)
        plot_severity(table.predicted - table.truth, table.severities, report / "severity.png", caption=caption)
    images = [
        {
            "patient": loaded.slice.patient,
            "level": loaded.slice.level,
            "digest": loaded.digest,
            "spacing_mm": loaded.spacing,
        }
        for loaded in result.slices
    ]
    write_measurements_csv(result.run_folder.measurements, images, columns)
    write_measurements(summary, report, caption=caption)
    if table.notes is not None:
        write_notes(tabulate_notes(table, result.slices), summary["reports"], result.run_folder, caption)
