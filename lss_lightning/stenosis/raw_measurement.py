"""A single measured value and the geometry from which it was determined."""

from __future__ import annotations

from dataclasses import dataclass

from lss_lightning.stenosis.measurements import Points


@dataclass(frozen=True)
class RawMeasurement:
    """One value measured on the shapes of a slice, before any flag can withhold it.

    Attributes:
        value: The value in mm or mm².
        ends: Ends of the caliper, (2, 2), (u, v) in mm; None if the value is not a distance.
        outline: Outline whose area is measured, or from which a distance is measured, (N, 2), (u, v) in mm; None if
            it is already among the outlines of the structures.
        caveat: A remark that readers need to interpret the value, or None.
    """

    value: float
    ends: Points | None = None
    outline: Points | None = None
    caveat: str | None = None
