"""How narrow a level is drawn, in classes that results are told apart by."""

from __future__ import annotations

import csv
from pathlib import Path

from lss_lightning.errors import UserError

NARROWED = 0.25
"""Severity from which on a level counts as narrowed."""

CLASSES = {"none": 0.0, "mild": NARROWED, "moderate": 0.5, "severe": 0.75}
"""The least severity of each class, in ascending order. An average sac measures 190 mm² at 0, 117 mm² at 0.5 and 81 mm²
at 0.75; published thresholds for its area lie at 100 and 75 mm² (:mod:`lss_lightning.stenosis.criteria`)."""


def severity_class(severity: float) -> str:
    """The class of a severity, 0 to 1."""
    return [name for name, least in CLASSES.items() if severity >= least][-1]


def read_severities(truth: Path) -> dict[tuple[str, str], str]:
    """The class of every slice, by patient and level.

    Args:
        truth: The phantom's ``truth.csv``.

    Raises:
        UserError: it is not there, or holds no severities.
    """
    try:
        with truth.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        return {(row["patient"], row["level"]): severity_class(float(row["severity"])) for row in rows}
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{truth}: cannot be read ({error}); remove {truth.parent}, so that the phantom is written anew"
        ) from error
