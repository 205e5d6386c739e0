"""Image planes in patient coordinates: orientation, matching of parallel slices, and mapping between planes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from lss_lightning.data.orientation import Turn, find_main_axis, find_plane_turn

Vector: TypeAlias = NDArray[np.float64]
"""A point or direction in patient coordinates, of shape (3,), or in an image plane, of shape (2,)."""

MAX_TILT = 10.0
"""Largest angle in degrees between the rows or columns of parallel planes."""

FALLBACK_SLICE_SPACING = 4.4
"""Slice spacing in mm, as in the Al-Kafri data, that is assumed if the files do not state it. Images are paired if they
are at most half the slice spacing apart."""

_PARALLEL = math.cos(math.radians(MAX_TILT))


@dataclass(frozen=True)
class Plane:
    """An image's pixel grid in patient coordinates: x to the left, y to the back, z to the head, in mm.

    Attributes:
        corner: Centre of the first pixel.
        across: Unit vector along a row, towards higher columns.
        down: Unit vector along a column, towards higher rows.
        spacing: Pixel height and width, in mm.
        shape: Number of rows and columns.
    """

    corner: Vector
    across: Vector
    down: Vector
    spacing: tuple[float, float]
    shape: tuple[int, int]

    @property
    def normal(self) -> Vector:
        """Unit vector perpendicular to the image."""
        return np.cross(self.across, self.down)

    @property
    def centre(self) -> Vector:
        """Centre of the image, in mm."""
        half_width = (self.shape[1] - 1) / 2 * self.spacing[1]
        half_height = (self.shape[0] - 1) / 2 * self.spacing[0]
        return self.corner + half_width * self.across + half_height * self.down

    @property
    def is_axial(self) -> bool:
        """Whether the normal's largest component points to the head or the feet."""
        return find_main_axis(self.normal) == 2

    def height_of(self, other: Plane) -> float:
        """Return the signed distance of another image's centre from this plane, along this plane's normal, in mm."""
        return float(self.normal @ (other.centre - self.centre))

    def is_parallel_to(self, other: Plane) -> bool:
        """Return whether the rows and columns of two planes point in the same directions, within 10 degrees."""
        return bool(self.across @ other.across > _PARALLEL and self.down @ other.down > _PARALLEL)

    def angle_to(self, other: Plane) -> float:
        """Return the larger of the angles between the rows and between the columns of two planes, in degrees."""
        cosine = min(float(self.across @ other.across), float(self.down @ other.down))
        return math.degrees(math.acos(max(-1.0, min(1.0, cosine))))

    def upright(self) -> tuple[Plane, Turn]:
        """Return the plane as axial slices are displayed: columns run to the patient's left and rows to the back.

        Returns:
            The plane, and the turn that brings an array of the image's pixels onto the grid of that plane.
        """
        turn = find_plane_turn(self.across, self.down)
        first, second = turn.order
        corner, directions = self.corner, [(self.down, self.across)[axis] for axis in turn.order]
        shape, spacing = (self.shape[first], self.shape[second]), (self.spacing[first], self.spacing[second])
        for axis in turn.flips:
            corner = corner + (shape[axis] - 1) * spacing[axis] * directions[axis]
            directions[axis] = -directions[axis]
        return Plane(corner, directions[1], directions[0], spacing, shape), turn

    def map_to(self, other: Plane) -> tuple[Vector, Vector]:
        """Return the affine map that projects points of this plane perpendicularly onto another plane.

        Points are given as (right, down) in mm from the centre of their image.

        Returns:
            Matrix of shape (2, 2) and shift of shape (2,), to be applied as ``matrix @ point + shift``.
        """
        here = np.stack((self.across, self.down), axis=1)
        there = np.stack((other.across, other.down))
        return there @ here, there @ (self.centre - other.centre)


def find_facing_plane(plane: Plane, others: Sequence[Plane], max_distance: float) -> int | None:
    """Find the plane that shows the same slice: the nearest parallel plane along the normal.

    Args:
        plane: The slice.
        others: The candidates.
        max_distance: Greatest distance along the normal, in mm. Half the slice spacing makes the match unambiguous.

    Returns:
        Index into ``others``, or None if no candidate is parallel and close enough.
    """
    near = [
        (abs(plane.height_of(other)), index)
        for index, other in enumerate(others)
        if plane.is_parallel_to(other) and abs(plane.height_of(other)) <= max_distance
    ]
    return min(near)[1] if near else None
