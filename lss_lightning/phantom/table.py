"""``truth.csv``: a row per slice, with what is known of it before it is an image."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path

from lss_lightning.phantom.parameters import ParameterRecord, spine_parameters, subject_parameters
from lss_lightning.phantom.patient import Patient
from lss_lightning.phantom.regions import TissueRegions
from lss_lightning.phantom.scanner import Motion
from lss_lightning.phantom.spine import Spine
from lss_lightning.phantom.truth import true_measures

TRUTH = "truth.csv"


def truth_row(
    patient: int, subject: Patient, spine: Spine, regions: TissueRegions | None, motion: Motion
) -> ParameterRecord:
    """What is true of a slice.

    Args:
        patient: Number of the patient.
        subject: The patient at this level.
        spine: What was drawn.
        regions: Its classes; None where there is no disc, and so nothing to measure.
        motion: Where T2 lay against T1.

    Returns:
        By column: patient, level, severity (0-1), site of the narrowing, the measures of
        :func:`~lss_lightning.phantom.truth.true_measures`, T2's offset, and all parameters of patient and spine.
    """
    head: ParameterRecord = {
        "patient": f"{patient:04d}",
        "level": subject.level,
        "severity": subject.severity,
        "site": subject.site.value,
    }
    offset: ParameterRecord = {"t2_dx_mm": motion.dx, "t2_dy_mm": motion.dy, "t2_turn_deg": math.degrees(motion.turn)}
    measures: ParameterRecord = {} if regions is None else dict(true_measures(regions))
    return head | measures | offset | subject_parameters(subject) | spine_parameters(spine)


def write_truth(path: Path, rows: Sequence[ParameterRecord]) -> None:
    """Write rows as CSV, UTF-8; a cell is empty where a row lacks a column of the fullest row.

    Numbers have six digits after the decimal point at most.
    """
    columns = max((list(row) for row in rows), key=len)
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: _cell(value) for key, value in row.items()} for row in rows)


def _cell(value: float | str) -> str:
    return f"{round(value, 6):.12g}" if isinstance(value, float) else str(value)
