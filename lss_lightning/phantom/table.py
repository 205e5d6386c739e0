"""The table ``truth.csv``, with one row of known measurements and parameters per slice."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from lss_lightning.files import write_csv
from lss_lightning.phantom.patient import Patient
from lss_lightning.phantom.regions import TissueRegions
from lss_lightning.phantom.scanner import Motion
from lss_lightning.phantom.spine import Spine
from lss_lightning.phantom.truth import compute_true_measurements
from lss_lightning.phantom.truth_parameters import ParameterRecord, list_patient_parameters, list_spine_parameters

TRUTH_CSV = "truth.csv"
"""File name of the table."""


def build_truth_row(
    patient_id: int, patient: Patient, spine: Spine, regions: TissueRegions | None, motion: Motion
) -> ParameterRecord:
    """Build the row of ``truth.csv`` for a slice.

    Args:
        patient_id: Number of the patient.
        patient: The patient at this level.
        spine: The shapes of the spine.
        regions: The regions of the classes, or None if the slice does not pass through a disc and is not measured.
        motion: The displacement of T2 relative to T1.

    Returns:
        Values by column: patient, level, severity (0-1), site of the narrowing, the measurements of
        :func:`~lss_lightning.phantom.truth.compute_true_measurements`, the displacement of T2, and all parameters of
        the patient and the spine.
    """
    head: ParameterRecord = {
        "patient": f"{patient_id:04d}",
        "level": patient.level,
        "severity": patient.severity,
        "site": patient.site.value,
    }
    displacement: ParameterRecord = {
        "t2_dx_mm": motion.dx,
        "t2_dy_mm": motion.dy,
        "t2_turn_deg": math.degrees(motion.rotation),
    }
    measurements: ParameterRecord = {} if regions is None else dict(compute_true_measurements(regions))
    return head | measurements | displacement | list_patient_parameters(patient) | list_spine_parameters(spine)


def write_truth(path: Path, rows: Sequence[ParameterRecord]) -> None:
    """Write rows as CSV, with at most six digits after the decimal point.

    The columns are those of the row with the most values. Missing values are left empty.
    """
    columns = max((list(row) for row in rows), key=len)
    write_csv(path, columns, ([_format_cell(row.get(column, "")) for column in columns] for row in rows))


def _format_cell(value: float | str) -> str:
    return f"{round(value, 6):.12g}" if isinstance(value, float) else str(value)
