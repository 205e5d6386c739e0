"""The measurements of a slice: their definitions, and the record that holds their values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Points: TypeAlias = NDArray[np.float64]
"""Coordinates of N points, (N, 2), float64."""

DISC, POSTERIOR, SAC, AAP = "intervertebral_disc", "posterior_element", "thecal_sac", "aap"
"""Keys of the measured classes."""


@dataclass(frozen=True)
class Measurement:
    """Definition of a measurement.

    Attributes:
        title: The printed name.
        unit: ``mm``, ``mm²``, or an empty string for a ratio.
        needs: Keys of the classes that the measurement requires.
        decimals: Number of reported decimals. Rasterisation alone changes lengths by 0.1 to 0.3 mm and areas
            by 1 to 4 mm² (:data:`~lss_lightning.stenosis.uncertainty.RASTERISATION_SD`).
    """

    title: str
    unit: str
    needs: tuple[str, ...]
    decimals: int = 1

    def round(self, value: float) -> float:
        """Round a value to the reported decimals. Thresholds are compared with the rounded value."""
        return round(value, self.decimals)

    def format(self, value: float, *, unit: bool = True) -> str:
        """Format a value with the reported decimals.

        Args:
            value: The value.
            unit: Whether to append the unit.
        """
        return f"{value:.{self.decimals}f} {self.unit if unit else ''}".strip()

    def format_range(self, low: float, high: float, *, unit: bool = True) -> str:
        """Format two bounds with the reported decimals, as :meth:`format` does."""
        return f"{self.format(low, unit=False)} to {self.format(high, unit=unit)}"


_CANAL = (DISC, POSTERIOR, SAC)
_FORAMEN = (DISC, POSTERIOR, SAC, AAP)

MEASUREMENTS: Mapping[str, Measurement] = MappingProxyType(
    {
        "canal_ap_mm": Measurement("Canal AP diameter", "mm", _CANAL),
        "canal_ap_min_mm": Measurement("Minimum canal AP near midline", "mm", _CANAL),
        "sac_ap_mm": Measurement("Thecal sac AP diameter", "mm", (DISC, SAC)),
        "sac_transverse_mm": Measurement("Thecal sac transverse diameter", "mm", (DISC, SAC)),
        "sac_area_mm2": Measurement("Thecal sac area", "mm²", (SAC,), 0),
        "canal_area_mm2": Measurement("Canal area", "mm²", _FORAMEN, 0),
        "disc_area_mm2": Measurement("Disc area", "mm²", (DISC,), 0),
        "disc_ap_mm": Measurement("Disc AP diameter", "mm", (DISC,)),
        "sac_disc_area_ratio": Measurement("Sac area / disc area", "", (DISC, SAC), 3),
        "sac_disc_ap_ratio": Measurement("Sac AP / disc AP", "", (DISC, SAC), 2),
        "sac_canal_area_ratio": Measurement("Sac area / canal area", "", _FORAMEN, 2),
        "foramen_left_mm": Measurement("Axial disc-facet gap, left", "mm", _FORAMEN),
        "foramen_right_mm": Measurement("Axial disc-facet gap, right", "mm", _FORAMEN),
        "bulge_mm": Measurement("Disc bulge", "mm", (DISC, POSTERIOR)),
    }
)
"""All measurements by name, in the order of reports."""

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
    """A measured distance as a line to draw.

    Attributes:
        start: Start point (x, y) in pixels; (0, 0) is the centre of the first pixel.
        end: End point (x, y) in pixels.
    """

    start: tuple[float, float]
    end: tuple[float, float]


@dataclass(frozen=True)
class Flag:
    """A quality flag of a slice.

    Attributes:
        key: Kind of flag, e.g. ``class_missing``.
        message: Explanation for readers, without a full stop.
        undermines: Names of the measurements that are withheld because of the flag.
    """

    key: str
    message: str
    undermines: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SliceMeasurements:
    """The measurements of one slice; a withheld measurement is None. Left and right are the patient's.

    Attributes:
        canal_ap_mm: Distance from disc to posterior element, through the centroid of the sac.
        canal_ap_min_mm: Minimum of the same distance within 3 mm to either side of the centroid.
        sac_ap_mm: Longest anteroposterior chord of the sac.
        sac_transverse_mm: Longest transverse chord of the sac.
        sac_area_mm2: Area within the sub-pixel outline of the sac (dural sac cross-sectional area, DSCA).
        canal_area_mm2: Area of sac and AAP between the medial edges of the posterior element.
        disc_area_mm2: Area within the sub-pixel outline of the disc.
        disc_ap_mm: Longest anteroposterior chord of the disc.
        sac_disc_area_ratio: Sac area / disc area.
        sac_disc_ap_ratio: Sac AP / disc AP.
        sac_canal_area_ratio: Sac area / canal area.
        foramen_left_mm: Minimum gap between disc and posterior element lateral to the sac, on the left; 0 if they
            touch. True foraminal stenosis is graded on sagittal views, so this is called the axial disc-facet gap.
        foramen_right_mm: The axial disc-facet gap on the right.
        bulge_mm: Greatest protrusion of the posterior disc margin beyond the ellipse fitted to the anterior two
            thirds of the disc.
        sac_area_counted_mm2: Number of sac pixels times the area of a pixel, for comparison with ``sac_area_mm2``.
        rotation_deg: Angle from the image's downward direction to the posterior direction, clockwise in the image.
        calipers: Distances to draw, by measurement; withheld measurements have none.
        outlines: Sub-pixel outlines to draw, in pixels (x, y). Keys are class keys, and the names of measurements
            that have a separate outline: the canal section, and the ellipse from which the bulge is measured.
        withheld: Reason for withholding, by measurement.
        flags: All quality flags.
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
        """Return the measurements by name, in the order of :data:`MEASUREMENTS`."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name in MEASUREMENTS}

    def withhold(self, flags: Sequence[Flag]) -> SliceMeasurements:
        """Return a copy with additional flags, and without the measurements that they undermine."""
        reasons = find_withheld(flags)
        return replace(
            self,
            **dict.fromkeys(reasons),
            sac_area_counted_mm2=None if "sac_area_mm2" in reasons else self.sac_area_counted_mm2,
            calipers={name: caliper for name, caliper in self.calipers.items() if name not in reasons},
            outlines={name: rings for name, rings in self.outlines.items() if name not in reasons},
            withheld=reasons | dict(self.withheld),
            flags=(*self.flags, *flags),
        )


def find_withheld(flags: Iterable[Flag]) -> dict[str, str]:
    """Return the measurements that flags make unreliable, each with the message of the first such flag."""
    reasons: dict[str, str] = {}
    for flag in flags:
        reasons = dict.fromkeys(flag.undermines, flag.message) | reasons
    return reasons
