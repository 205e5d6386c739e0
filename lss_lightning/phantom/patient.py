"""Who lies in the scanner: what a patient's slices share, and how each level departs from it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum, StrEnum

import numpy as np

from lss_lightning.errors import UserError
from lss_lightning.phantom.severity import NARROWED

LEVELS = ("D3", "D4", "D5")
"""L3/L4, L4/L5 and L5/S1, by the names that the Al-Kafri files bear."""

FULL_RANGE = (0.0, 1.0)
"""Severities that are possible."""

# Levels most often narrowed: L4/L5 before L3/L4 and L5/S1.
_SEVERITY_OFFSET = {"D3": -0.04, "D4": 0.08, "D5": -0.02}
# L5/S1 lies deepest in the lordosis, so nearest the middle of a slice.
_DEPTH = {"D3": 20.0, "D4": 18.0, "D5": 10.0}


class StenosisSite(StrEnum):
    """Where a level is narrowed most; left and right are the patient's, so the other way round in the image."""

    NONE = "none"
    CENTRAL = "central"
    LEFT = "left"
    RIGHT = "right"

    @property
    def side(self) -> int:
        """-1 for image left, 1 for image right, 0 for neither."""
        return {StenosisSite.LEFT: 1, StenosisSite.RIGHT: -1}.get(self, 0)


@dataclass(frozen=True)
class Patient:
    """A patient at one level.

    Attributes:
        level: One of :data:`LEVELS`.
        size: Linear size relative to the average adult.
        severity: Of the stenosis, 0 (none) to 1 (severe).
        site: Where the stenosis is worst.
        hydration: Of the disc's nucleus, 0 (desiccated) to 1 (normal).
        fat: Thickness of the fat behind the muscles, mm.
        infiltration: Share of the muscles that is fat.
        width: Half the trunk's width, mm.
        groove: Depth of the midline groove of the skin, mm.
        shift: Where the middle of the disc's posterior margin lies, in mm from the middle of the image (right, down).
        turn: Rotation of the body in the slice, radians.
    """

    level: str
    size: float
    severity: float
    site: StenosisSite
    hydration: float
    fat: float
    infiltration: float
    width: float
    groove: float
    shift: tuple[float, float]
    turn: float

    def __post_init__(self) -> None:
        check_severities((self.severity, self.severity))


class RandomStream(IntEnum):
    """What randomness is used for; each use has a stream of its own, so that none depends on what another drew."""

    SUBJECT = 1
    ANATOMY = 2
    TEXTURE = 3
    EXAM = 4
    T1 = 5
    T2 = 6
    STUDY = 7
    RANDOMISATION = 8
    MOTION = 9


def generator(seed: int, patient: int, level: str | None, stream: RandomStream) -> np.random.Generator:
    """The generator of one use of randomness at one level, or, where the level is None, for the whole patient."""
    return np.random.default_rng([seed, patient, 0 if level is None else LEVELS.index(level) + 1, stream])


def check_severities(severities: tuple[float, float]) -> None:
    """Refuse a range of severities that no anatomy has.

    Raises:
        UserError: it is not ascending, or leaves 0 to 1.
    """
    low, high = severities
    if not 0 <= low <= high <= 1:
        given = f"{low:g}" if low == high else f"{low:g} to {high:g}"
        raise UserError(
            f"impossible anatomy: phantom severity is {given}: give the least and the greatest, each within 0 (no "
            "stenosis) to 1 (severe)"
        )


def sample_subject(seed: int, patient: int, level: str, severities: tuple[float, float] = FULL_RANGE) -> Patient:
    """Draw a patient's body at a level; a patient's three levels share all that is not of the level.

    Args:
        seed: Of the whole set.
        patient: Number of the patient.
        level: One of :data:`LEVELS`.
        severities: The range that the full one, 0 to 1, is squeezed into.

    Raises:
        UserError: a range that leaves 0 to 1.
    """
    check_severities(severities)
    common, local = (generator(seed, patient, which, RandomStream.SUBJECT) for which in (None, level))
    size = float(np.clip(common.normal(1.0, 0.045), 0.9, 1.1))
    severity = common.beta(1.0, 1.7) + _SEVERITY_OFFSET[level] + local.normal(0, 0.16)
    low, high = severities
    severity = float(low + (high - low) * np.clip(severity, 0, 1))
    hydration = 1.1 * common.beta(1.6, 1.4) - 0.3 * severity + local.normal(0, 0.22)
    fat = 10 + 30 * common.beta(1.4, 2.4)
    infiltration = common.uniform(0.05, 0.30)
    width = 150 + fat + common.normal(0, 10)
    groove = common.uniform(0, 10)
    narrowed = StenosisSite(local.choice(list(StenosisSite)[1:], p=(0.6, 0.2, 0.2)))
    turn = common.normal(0, 1.5) + local.normal(0, 1.0)
    shift = common.normal(0, 5, 2) + local.normal(0, 2, 2)
    return Patient(
        level=level,
        size=size,
        severity=severity,
        # Below the threshold nothing presses on the sac, and the sides differ by chance alone.
        site=narrowed if severity >= NARROWED else StenosisSite.NONE,
        hydration=float(np.clip(hydration, 0, 1)),
        fat=fat,
        infiltration=infiltration,
        width=width,
        groove=groove,
        shift=(float(np.clip(shift[0], -15, 15)), float(_DEPTH[level] + np.clip(shift[1], -12, 12))),
        turn=math.radians(float(np.clip(turn, -5, 5))),
    )
