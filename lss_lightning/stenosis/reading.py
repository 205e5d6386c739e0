"""One value read off a slice's shapes."""

from __future__ import annotations

from dataclasses import dataclass

from lss_lightning.stenosis.measurements import Points


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
