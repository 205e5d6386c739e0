"""Smooth shapes of a spine in (u, v), mm, without pixels."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import shapely

from tests.stenosis.anatomy import ellipse

T = TypeVar("T")

DISC = ellipse(0, -18, 25, 18)
SAC = ellipse(0, 7, 8, 5)
ARCH = shapely.Polygon([(0, 20), (15, 5), (15, 40), (-15, 40), (-15, 5)])  # walls at 45 degrees
AAP = np.array([(-12.0, 3.0), (12.0, 3.0)])


def defined(value: T | None) -> T:
    """Return a value that must not be None."""
    assert value is not None
    return value
