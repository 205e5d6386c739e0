"""The slice's own axes: u across the patient, v from front to back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lss_lightning.stenosis.measurements import Points

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry


@dataclass(frozen=True)
class Axes:
    """Perpendicular unit vectors in the image, (x, y).

    Attributes:
        u: Across, along a principal axis of the disc, towards the image's right.
        v: Backwards, along the other one.
    """

    u: tuple[float, float]
    v: tuple[float, float]

    @property
    def rotation(self) -> float:
        """Degrees from the image's downward direction to v, clockwise in the picture, -180 to 180."""
        return math.degrees(math.atan2(-self.v[0], self.v[1]))

    def apply(self, shape: BaseGeometry) -> BaseGeometry:
        """A shape in (x, y) as one in (u, v)."""
        from shapely.affinity import affine_transform

        return affine_transform(shape, [*self.u, *self.v, 0.0, 0.0])

    def coordinates(self, points: Points) -> Points:
        """Points (x, y) as (u, v)."""
        return points @ np.array((self.u, self.v)).T

    def undo(self, points: Points) -> Points:
        """Points (u, v) as (x, y)."""
        return points @ np.array((self.u, self.v))


def find_axes(disc: BaseGeometry, behind: BaseGeometry | None) -> Axes:
    """Find the axes.

    Args:
        disc: The disc, (x, y).
        behind: What lies behind it; of the disc's principal axes, v is the one nearer its direction. None: the back is
            taken to lie below.
    """
    towards = np.array((0.0, 1.0))
    if behind is not None:
        towards = np.array((behind.centroid.x - disc.centroid.x, behind.centroid.y - disc.centroid.y))
    _, principal = np.linalg.eigh(second_moments(disc))
    # A disc is wider than deep; but which of its axes runs backwards, the posterior element tells more surely.
    alignment = towards @ principal
    back = principal[:, np.abs(alignment).argmax()] * np.sign(alignment[np.abs(alignment).argmax()])
    across = np.array((back[1], -back[0]))
    across *= 1 if across[0] >= 0 else -1
    return Axes(_pair(across), _pair(back))


def _pair(vector: NDArray[np.float64]) -> tuple[float, float]:
    return float(vector[0]), float(vector[1])


def second_moments(polygon: BaseGeometry) -> NDArray[np.float64]:
    """Second moments of a polygon's area about its centroid, (2, 2), in units of length to the fourth.

    The sum over the triangles that the edges make with the centroid (Green's theorem).
    """
    import shapely

    ring = shapely.get_coordinates(shapely.get_exterior_ring(polygon))
    points = ring - (polygon.centroid.x, polygon.centroid.y)
    a, b = points[:-1], points[1:]
    twice_area = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
    total = a + b
    products = np.einsum("ei,ej->eij", a, a) + np.einsum("ei,ej->eij", b, b) + np.einsum("ei,ej->eij", total, total)
    moments: NDArray[np.float64] = np.einsum("e,eij->ij", twice_area, products) / 24
    return moments * np.sign(twice_area.sum())
