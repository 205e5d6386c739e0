"""The anatomical axes of a slice: u from side to side, v from front to back."""

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
class SliceAxes:
    """Two perpendicular unit vectors in image coordinates (x, y).

    Attributes:
        u: Transverse axis, along a principal axis of the disc, towards the right of the image.
        v: Posterior axis, along the other principal axis.
    """

    u: tuple[float, float]
    v: tuple[float, float]

    @property
    def rotation(self) -> float:
        """The angle from the image's downward direction to v in degrees, clockwise in the image, -180 to 180."""
        return math.degrees(math.atan2(-self.v[0], self.v[1]))

    def shape_to_uv(self, shape: BaseGeometry) -> BaseGeometry:
        """Transform a shape from (x, y) to (u, v)."""
        from shapely.affinity import affine_transform

        return affine_transform(shape, [*self.u, *self.v, 0.0, 0.0])

    def points_to_uv(self, points: Points) -> Points:
        """Transform points (N, 2) from (x, y) to (u, v)."""
        return points @ np.array((self.u, self.v)).T

    def points_to_xy(self, points: Points) -> Points:
        """Transform points (N, 2) from (u, v) to (x, y)."""
        return points @ np.array((self.u, self.v))


def find_axes(disc: BaseGeometry, posterior: BaseGeometry | None) -> SliceAxes:
    """Find the axes of a slice from the principal axes of its disc.

    Args:
        disc: The disc, in (x, y).
        posterior: A structure behind the disc. v is the principal axis of the disc closest to the direction of this
            structure. If None, the back of the patient is assumed to be at the bottom of the image.
    """
    backwards = np.array((0.0, 1.0))
    if posterior is not None:
        backwards = np.array((posterior.centroid.x - disc.centroid.x, posterior.centroid.y - disc.centroid.y))
    _, principal = np.linalg.eigh(compute_second_moments(disc))
    # A disc is usually wider than deep, but the structure behind it identifies the posterior axis more reliably.
    alignment = backwards @ principal
    v = principal[:, np.abs(alignment).argmax()] * np.sign(alignment[np.abs(alignment).argmax()])
    u = np.array((v[1], -v[0]))
    u *= 1 if u[0] >= 0 else -1
    return SliceAxes(_to_pair(u), _to_pair(v))


def _to_pair(vector: NDArray[np.float64]) -> tuple[float, float]:
    return float(vector[0]), float(vector[1])


def compute_second_moments(polygon: BaseGeometry) -> NDArray[np.float64]:
    """Compute the second moments of a polygon's area about its centroid.

    The moments are summed over the triangles that the edges form with the centroid (Green's theorem).

    Returns:
        (2, 2) symmetric matrix, in units of length to the fourth power.
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
