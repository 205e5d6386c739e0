"""The virtual patient: properties shared by all levels, and properties of each level."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum, StrEnum

import numpy as np

from lss_lightning.data.alkafri_layout import ALKAFRI_LEVELS
from lss_lightning.errors import UserError
from lss_lightning.phantom.severity import NARROWED_SEVERITY

FULL_SEVERITY_RANGE = (0.0, 1.0)
"""Range of possible severities."""

# L4/L5 is narrowed most often, followed by L5/S1 and L3/L4.
_SEVERITY_OFFSET = {"D3": -0.04, "D4": 0.08, "D5": -0.02}
# L5/S1 lies deepest in the lordosis, so it is nearest to the centre of a slice.
_DEPTH = {"D3": 20.0, "D4": 18.0, "D5": 10.0}


class StenosisSite(StrEnum):
    """The site at which a level is narrowest. Left and right are those of the patient, so the image mirrors them."""

    NONE = "none"
    CENTRAL = "central"
    LEFT = "left"
    RIGHT = "right"

    @property
    def image_side(self) -> int:
        """-1 for the image's left, 1 for the image's right, 0 for neither."""
        return {StenosisSite.LEFT: 1, StenosisSite.RIGHT: -1}.get(self, 0)


@dataclass(frozen=True)
class Patient:
    """A patient at one level.

    Attributes:
        level: ``D3``, ``D4`` or ``D5``.
        size: Linear size relative to the average adult.
        severity: Severity of the stenosis, 0 (none) to 1 (severe).
        site: Site at which the stenosis is worst.
        hydration: Hydration of the disc's nucleus, 0 (desiccated) to 1 (normal).
        fat_thickness: Thickness of the fat behind the muscles, mm.
        infiltration: Fat content of the muscles, 0 to 1.
        half_width: Half the width of the trunk, mm.
        groove_depth: Depth of the midline groove of the skin, mm.
        shift: Position of the midpoint of the disc's posterior margin relative to the image centre, in mm (right,
            down).
        rotation: Rotation of the body in the slice, radians.
    """

    level: str
    size: float
    severity: float
    site: StenosisSite
    hydration: float
    fat_thickness: float
    infiltration: float
    half_width: float
    groove_depth: float
    shift: tuple[float, float]
    rotation: float

    def __post_init__(self) -> None:
        check_severities((self.severity, self.severity))


class RandomStream(IntEnum):
    """The independent random streams. Each purpose has its own stream, so no draw affects another purpose."""

    PATIENT = 1
    ANATOMY = 2
    TEXTURE = 3
    ACQUISITION = 4
    T1 = 5
    T2 = 6
    STUDY = 7
    RANDOMISATION = 8
    MOTION = 9


def make_generator(seed: int, patient_id: int, level: str | None, stream: RandomStream) -> np.random.Generator:
    """Return the random generator of a stream at one level, or for the whole patient if the level is None."""
    return np.random.default_rng([seed, patient_id, 0 if level is None else ALKAFRI_LEVELS.index(level) + 1, stream])


def check_severities(severities: tuple[float, float]) -> None:
    """Check a range of severities.

    Raises:
        UserError: If the range is descending or not within 0 to 1.
    """
    low, high = severities
    if not 0 <= low <= high <= 1:
        text = f"{low:g}" if low == high else f"{low:g} to {high:g}"
        raise UserError(
            f"impossible anatomy: phantom severity is {text}; give the lowest and the highest severity, each from 0 "
            "(no stenosis) to 1 (severe)"
        )


def sample_patient(
    seed: int, patient_id: int, level: str, severities: tuple[float, float] = FULL_SEVERITY_RANGE
) -> Patient:
    """Sample a patient's body at a level. The three levels of a patient share everything that is not level-specific.

    Args:
        seed: Seed of the data set.
        patient_id: Number of the patient.
        level: ``D3``, ``D4`` or ``D5``.
        severities: Range to which severities from 0 to 1 are mapped linearly.

    Raises:
        UserError: If the range of severities is descending or not within 0 to 1.
    """
    check_severities(severities)
    common, local = (make_generator(seed, patient_id, scope, RandomStream.PATIENT) for scope in (None, level))
    size = float(np.clip(common.normal(1.0, 0.045), 0.9, 1.1))
    severity = common.beta(1.0, 1.7) + _SEVERITY_OFFSET[level] + local.normal(0, 0.16)
    low, high = severities
    severity = float(low + (high - low) * np.clip(severity, 0, 1))
    hydration = 1.1 * common.beta(1.6, 1.4) - 0.3 * severity + local.normal(0, 0.22)
    fat_thickness = 10 + 30 * common.beta(1.4, 2.4)
    infiltration = common.uniform(0.05, 0.30)
    half_width = 150 + fat_thickness + common.normal(0, 10)
    groove_depth = common.uniform(0, 10)
    site_if_narrowed = StenosisSite(local.choice(list(StenosisSite)[1:], p=(0.6, 0.2, 0.2)))
    rotation = common.normal(0, 1.5) + local.normal(0, 1.0)
    shift = common.normal(0, 5, 2) + local.normal(0, 2, 2)
    return Patient(
        level=level,
        size=size,
        severity=severity,
        # Below the threshold nothing compresses the sac, and the sides differ only by chance.
        site=site_if_narrowed if severity >= NARROWED_SEVERITY else StenosisSite.NONE,
        hydration=float(np.clip(hydration, 0, 1)),
        fat_thickness=fat_thickness,
        infiltration=infiltration,
        half_width=half_width,
        groove_depth=groove_depth,
        shift=(float(np.clip(shift[0], -15, 15)), float(_DEPTH[level] + np.clip(shift[1], -12, 12))),
        rotation=math.radians(float(np.clip(rotation, -5, 5))),
    )
