"""Classes of stenosis severity, by which results are grouped."""

from __future__ import annotations

import csv
from pathlib import Path

from lss_lightning.errors import UserError

NARROWED_SEVERITY = 0.25
"""Lowest severity at which a level counts as narrowed."""

SEVERITY_CLASSES = {"none": 0.0, "mild": NARROWED_SEVERITY, "moderate": 0.5, "severe": 0.75}
"""Lowest severity of each class, in ascending order. The area of an average sac is 190 mm² at 0, 117 mm² at 0.5 and
81 mm² at 0.75; published thresholds are 100 and 75 mm² (:mod:`lss_lightning.stenosis.criteria`)."""


def classify_severity(severity: float) -> str:
    """Return the class of a severity from 0 to 1."""
    return [name for name, lowest in SEVERITY_CLASSES.items() if severity >= lowest][-1]


def read_severity_classes(truth: Path) -> dict[tuple[str, str], str]:
    """Read the severity class of every slice.

    Args:
        truth: The phantom's ``truth.csv``.

    Returns:
        The class by patient and level.

    Raises:
        UserError: If the file does not exist or contains no severities.
    """
    try:
        with truth.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        return {(row["patient"], row["level"]): classify_severity(float(row["severity"])) for row in rows}
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{truth}: cannot be read ({error}); remove {truth.parent}, so that the phantom is written again"
        ) from error
