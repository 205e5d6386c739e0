"""What is measured on a slice: the measures' names, and the record that holds their values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Points: TypeAlias = NDArray[np.float64]
"""(N, 2), float64."""

DISC, POSTERIOR, SAC, AAP = "intervertebral_disc", "posterior_element", "thecal_sac", "aap"
"""Keys of the classes that are measured."""


@dataclass(frozen=True)
class Measurement:
    """What a measure is.

    Attributes:
        title: As printed.
        unit: ``mm``, ``mm²``, or nothing for a ratio.
        needs: Keys of the classes without which it is not measured.
    """

    title: str
    unit: str
    needs: tuple[str, ...]


_CANAL = (DISC, POSTERIOR, SAC)
_FORAMEN = (DISC, POSTERIOR, SAC, AAP)

MEASUREMENTS: Mapping[str, Measurement] = MappingProxyType(
    {
        "canal_ap_mm": Measurement("Canal AP diameter", "mm", _CANAL),
        "canal_ap_min_mm": Measurement("Least canal AP near its middle", "mm", _CANAL),
        "sac_ap_mm": Measurement("Thecal sac AP diameter", "mm", (DISC, SAC)),
        "sac_transverse_mm": Measurement("Thecal sac transverse diameter", "mm", (DISC, SAC)),
        "sac_area_mm2": Measurement("Thecal sac area", "mm²", (SAC,)),
        "canal_area_mm2": Measurement("Canal area", "mm²", _FORAMEN),
        "disc_area_mm2": Measurement("Disc area", "mm²", (DISC,)),
        "disc_ap_mm": Measurement("Disc AP diameter", "mm", (DISC,)),
        "sac_disc_area_ratio": Measurement("Sac area / disc area", "", (DISC, SAC)),
        "sac_disc_ap_ratio": Measurement("Sac AP / disc AP", "", (DISC, SAC)),
        "sac_canal_area_ratio": Measurement("Sac area / canal area", "", _FORAMEN),
        "foramen_left_mm": Measurement("Axial disc-facet gap, left", "mm", _FORAMEN),
        "foramen_right_mm": Measurement("Axial disc-facet gap, right", "mm", _FORAMEN),
        "bulge_mm": Measurement("Disc bulge", "mm", (DISC, POSTERIOR)),
    }
)
"""The measures by name, in the order of reports."""

RATIOS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "sac_disc_area_ratio": ("sac_area_mm2", "disc_area_mm2"),
        "sac_disc_ap_ratio": ("sac_ap_mm", "disc_ap_mm"),
        "sac_canal_area_ratio": ("sac_area_mm2", "canal_area_mm2"),
    }
)
"""Numerator and denominator of each ratio."""


@dataclass(frozen=True)
class Caliper:
    """A measured distance as a line to draw, in pixels (x, y); (0, 0) is the middle of the first pixel."""

    start: tuple[float, float]
    end: tuple[float, float]


@dataclass(frozen=True)
class Flag:
    """A doubt about a slice.

    Attributes:
        key: What kind of doubt, e.g. ``class_missing``.
        message: For a reader, without a full stop.
        undermines: Names of the measures that are withheld because of it.
    """

    key: str
    message: str
    undermines: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SliceMeasurements:
    """What was measured on one slice; None where a measure is withheld. Left and right are the patient's.

    Attributes:
        canal_ap_mm: From disc to posterior element, through the sac's centroid.
        canal_ap_min_mm: The least of the same within 3 mm to either side of it.
        sac_ap_mm: Longest chord of the sac from front to back.
        sac_transverse_mm: Longest chord of the sac across.
        sac_area_mm2: Within the sac's sub-pixel outline (dural sac cross-sectional area, DSCA).
        canal_area_mm2: Of sac and AAP between the medial edges of the posterior element.
        disc_area_mm2: Within the disc's sub-pixel outline.
        disc_ap_mm: Longest chord of the disc from front to back.
        sac_disc_area_ratio: Sac area / disc area.
        sac_disc_ap_ratio: Sac AP / disc AP.
        sac_canal_area_ratio: Sac area / canal area.
        foramen_left_mm: Least gap between disc and posterior element lateral to the sac; 0 where they touch. True
            foraminal stenosis is graded on sagittal views, so this is called the axial disc-facet gap.
        foramen_right_mm: The same on the right.
        bulge_mm: How far the disc's rear protrudes beyond the ellipse that fits its anterior two thirds.
        sac_area_counted_mm2: The sac's pixels times a pixel's area, to compare with ``sac_area_mm2``.
        rotation_deg: Turn of the posterior direction from the image's downward one, clockwise in the picture.
        calipers: Distances to draw, by measure; only of those not withheld.
        outlines: Sub-pixel outlines to draw, pixels (x, y), by class key, and by measure what it was taken on: the
            canal's section, and the ellipse from which the bulge is measured.
        withheld: Why a measure is None, by its name.
        flags: All doubts.
    """

    canal_ap_mm: float | None
    canal_ap_min_mm: float | None
    sac_ap_mm: float | None
    sac_transverse_mm: float | None
    sac_area_mm2: float | None
    canal_area_mm2: float | None
    disc_area_mm2: float | None
    disc_ap_mm: float | None
    sac_disc_area_ratio: float | None
    sac_disc_ap_ratio: float | None
    sac_canal_area_ratio: float | None
    foramen_left_mm: float | None
    foramen_right_mm: float | None
    bulge_mm: float | None
    sac_area_counted_mm2: float | None
    rotation_deg: float | None
    calipers: Mapping[str, Caliper]
    outlines: Mapping[str, tuple[Points, ...]]
    withheld: Mapping[str, str]
    flags: tuple[Flag, ...]

    def values(self) -> dict[str, float | None]:
        """The measures by name, in the order of :data:`MEASUREMENTS`."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name in MEASUREMENTS}

    def withhold(self, flags: Sequence[Flag]) -> SliceMeasurements:
        """The same with further doubts, and without the measures that they undermine."""
        reasons = undermined(flags)
        drawn = {name: rings for name, rings in self.outlines.items() if name not in reasons}
        return replace(
            self,
            **dict.fromkeys(reasons),
            sac_area_counted_mm2=None if "sac_area_mm2" in reasons else self.sac_area_counted_mm2,
            calipers={name: caliper for name, caliper in self.calipers.items() if name not in reasons},
            outlines=drawn,
            withheld=reasons | dict(self.withheld),
            flags=(*self.flags, *flags),
        )


def undermined(flags: Iterable[Flag]) -> dict[str, str]:
    """The measures that flags undermine, by name, each with the message of the first flag that does."""
    reasons: dict[str, str] = {}
    for flag in flags:
        reasons = dict.fromkeys(flag.undermines, flag.message) | reasons
    return reasons


@dataclass(frozen=True)
class Reading:
    """A value, and what shows where it was read.

    Attributes:
        value: mm or mm².
        ends: Ends of the caliper, (2, 2), (u, v); None where it is no distance.
        outline: What it is the area of, or is measured from, (N, 2), (u, v); None where the structures show it.
        doubt: What else a reader must know of it.
    """

    value: float
    ends: Points | None = None
    outline: Points | None = None
    doubt: str | None = None
