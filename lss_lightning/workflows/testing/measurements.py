"""What a test keeps and shows of the measures in mm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lss_lightning.data.alkafri_layout import LEVELS
from lss_lightning.data.loading import LoadedSlice
from lss_lightning.data.reports import patient_key
from lss_lightning.data.source import DataSource
from lss_lightning.metrics.measures import Measured, summarise_measures
from lss_lightning.reporting.agreement import plot_bland_altman, plot_severity
from lss_lightning.reporting.measures import write_measures, write_measures_csv
from lss_lightning.runs import MEASUREMENTS
from lss_lightning.stenosis import MEASURES
from lss_lightning.workflows.subject import Subject
from lss_lightning.workflows.testing.notes import tabulate_reports


def measured_slices(
    values: Mapping[str, NDArray[np.float64]], slices: Sequence[LoadedSlice], source: DataSource
) -> Measured:
    """Add to measured values what is known of their slices.

    Args:
        values: (N, F) by kind, as :class:`~lss_lightning.workflows.testing.measuring.Measuring` gives them.
        slices: The N slices.
        source: Where they come from; it may know their true measures.
    """
    truth = source.truth()
    rows = [truth.get(piece.slice.name) for piece in slices]
    known: dict[str, Any] = dict(values)
    if all(rows):
        found = [row for row in rows if row]
        known["truth"] = np.array([[float(row[name]) for name in MEASURES] for row in found])
        known["severities"] = np.array([float(row["severity"]) for row in found])
        known["sites"] = [row["site"] for row in found]
    if notes := source.notes():
        known["notes"] = [notes.get(patient_key(piece.slice.patient)) for piece in slices]
    return Measured(
        patients=[piece.slice.patient for piece in slices],
        levels=[piece.slice.level if piece.slice.level in LEVELS else None for piece in slices],
        **known,
    )


def report_measures(
    measured: Measured, slices: Sequence[LoadedSlice], subject: Subject, folder: Path
) -> tuple[dict[str, Any], list[Path]]:
    """Write ``measurements.csv`` and, below ``report/``, the tables and figures.

    Args:
        measured: Of the slices tested.
        slices: Those slices.
        subject: What is tested.
        folder: Of the run.

    Returns:
        The ``measurements`` part of ``metrics.json``, and the figures.
    """
    report = folder / "report"
    report.mkdir(exist_ok=True)
    summary = summarise_measures(measured)
    columns = {name: getattr(measured, name) for name in ("label", "predicted", "low", "high")}
    if not np.isnan(measured.calibrated_low).all():
        columns |= {name: getattr(measured, name) for name in ("calibrated_low", "calibrated_high")}
    images = [
        {
            "patient": piece.slice.patient,
            "level": piece.slice.level,
            "digest": piece.digest,
            "spacing_mm": piece.spacing,
        }
        for piece in slices
    ]
    caption = subject.caption(slices, "")
    pictures = [report / "bland_altman.png"]
    pair = ("prediction", "label")
    plot_bland_altman(measured.predicted, measured.label, pictures[0], names=pair, caption=caption)
    if measured.truth is not None and measured.severities is not None:
        columns["truth"] = measured.truth
        pair, true = ("prediction", "truth"), [report / "bland_altman_truth.png", report / "severity.png"]
        plot_bland_altman(measured.predicted, measured.truth, true[0], names=pair, caption=caption)
        plot_severity(measured.predicted - measured.truth, measured.severities, true[1], caption=caption)
        pictures += true
    write_measures_csv(folder / MEASUREMENTS, images, columns)
    write_measures(summary, report, caption=caption)
    if measured.notes is not None:
        summary["reports"] = tabulate_reports(measured, slices, folder, caption)
    return summary, pictures
