"""Where an image lies in the patient: planes, what faces what, and the way from one plane to another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Vector: TypeAlias = NDArray[np.float64]

_PARALLEL = math.cos(math.radians(10))


@dataclass(frozen=True)
class Plane:
    """An image's grid in the patient's coordinates: x to the left, y to the back, z to the head, mm.

    Attributes:
        corner: Middle of the first pixel.
        across: Unit vector along a row, towards higher columns.
        down: Unit vector along a column, towards higher rows.
        spacing: Pixel's height and width, mm.
        shape: Rows and columns.
    """

    corner: Vector
    across: Vector
    down: Vector
    spacing: tuple[float, float]
    shape: tuple[int, int]

    @property
    def normal(self) -> Vector:
        """Unit vector across the image."""
        return np.cross(self.across, self.down)

    @property
    def centre(self) -> Vector:
        """Middle of the image, mm."""
        half_width = (self.shape[1] - 1) / 2 * self.spacing[1]
        half_height = (self.shape[0] - 1) / 2 * self.spacing[0]
        return self.corner + half_width * self.across + half_height * self.down

    @property
    def is_axial(self) -> bool:
        """Whether the normal points to head or feet more than anywhere else."""
        return bool(np.argmax(np.abs(self.normal)) == 2)

    def height_of(self, other: Plane) -> float:
        """How far another image's middle lies from this plane, along this plane's normal, mm."""
        return float(self.normal @ (other.centre - self.centre))

    def is_parallel_to(self, other: Plane) -> bool:
        """Whether rows and columns point the same way, to within 10 degrees."""
        return bool(self.across @ other.across > _PARALLEL and self.down @ other.down > _PARALLEL)

    def upright(self) -> tuple[Plane, tuple[int, ...]]:
        """The same pixels as axial slices are shown: columns run to the patient's left, rows to the back.

        Returns:
            The plane, and the axes of its array, 0 and 1, that were flipped: none of most images.
        """
        flipped = tuple(axis for axis, ahead in enumerate((self.down[1], self.across[0])) if ahead < 0)
        corner, directions = self.corner, [self.down, self.across]
        for axis in flipped:
            corner = corner + (self.shape[axis] - 1) * self.spacing[axis] * directions[axis]
            directions[axis] = -directions[axis]
        return Plane(corner, directions[1], directions[0], self.spacing, self.shape), flipped

    def to(self, other: Plane) -> tuple[Vector, Vector]:
        """The affine map from points of this plane to their feet on another one.

        Points are (right, down) in mm from the middle of each image.

        Returns:
            Matrix (2, 2) and shift (2,): ``matrix @ point + shift``.
        """
        here = np.stack((self.across, self.down), axis=1)
        there = np.stack((other.across, other.down))
        return there @ here, there @ (self.centre - other.centre)


def facing(plane: Plane, others: Sequence[Plane], within: float) -> int | None:
    """Which of several planes shows the same slice: parallel, and nearest along the normal.

    Args:
        plane: The slice.
        others: Where to look.
        within: Greatest distance along the normal, mm; half the slice spacing leaves no doubt.

    Returns:
        Index into ``others``, or None where nothing lies that near.
    """
    near = [
        (abs(plane.height_of(other)), index)
        for index, other in enumerate(others)
        if plane.is_parallel_to(other) and abs(plane.height_of(other)) <= within
    ]
    return min(near)[1] if near else None
