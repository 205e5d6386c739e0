"""Conversion between the orientation of a file and the upright orientation in which its images are used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Directions of columns and rows on a screen: to the patient's left (x), back (y) and feet (-z).
_ON_SCREEN = (1, 1, -1)
# Letters of the directions to the patient's left, back and head, and of the opposite directions.
_AHEAD, _BACK = "LPS", "RAI"
# If a voxel's longest side exceeds the others by this factor, the slices were acquired perpendicular to that side.
MAX_ANISOTROPY = 1.5
# Difference up to which sums of direction cosines count as equal, since files round them.
_ROUNDING = 1e-5


@dataclass(frozen=True)
class Turn:
    """A transposition followed by flips, which moves the pixels of an array without changing their values.

    Attributes:
        order: The old axis that becomes each new axis.
        flips: The new axes that are flipped, in increasing order.
    """

    order: tuple[int, ...]
    flips: tuple[int, ...] = ()

    @property
    def changes_nothing(self) -> bool:
        """Whether the turn leaves an array unchanged, because it is already upright."""
        return self.order == tuple(range(len(self.order))) and not self.flips

    @property
    def inverse(self) -> Turn:
        """The turn that undoes this one."""
        order = tuple(self.order.index(axis) for axis in range(len(self.order)))
        return Turn(order, tuple(sorted(self.order[axis] for axis in self.flips)))

    def apply(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Return a turned view of an array; axes beyond those of the turn, such as colour channels, are unchanged."""
        others = range(len(self.order), pixels.ndim)
        return np.flip(pixels.transpose(*self.order, *others), self.flips)

    def move_points(self, points: NDArray[np.float64], shape: Sequence[int]) -> NDArray[np.float64]:
        """Return the coordinates of an array's points after the turn.

        Args:
            points: (…, 2) coordinates in pixels, x (the column) before y (the row).
            shape: Number of rows and columns before the turn.
        """
        moved = points[..., ::-1][..., list(self.order)]
        for axis in self.flips:
            moved[..., axis] = shape[self.order[axis]] - 1 - moved[..., axis]
        return np.ascontiguousarray(moved[..., ::-1])


def find_main_axis(direction: NDArray[np.float64]) -> int:
    """Return the patient axis (x, y, z) nearest to a direction, or the last of several equally near ones."""
    lengths = np.abs(direction)
    return int(np.flatnonzero(lengths > lengths.max() - _ROUNDING)[-1])


def find_plane_turn(across: NDArray[np.float64], down: NDArray[np.float64]) -> Turn:
    """Find the turn that brings an image into the orientation in which it is displayed.

    Axial images are displayed with columns running to the patient's left and rows to the back, coronal images with
    columns to the left and rows to the feet, and sagittal images with columns to the back and rows to the feet. An
    oblique image is turned to the nearest of the eight orientations of its pixel grid; nothing is resampled. If two are
    equally near, the columns follow the diagonal that runs to the left and back in axial images, to the left and feet
    in coronal images, and to the back and feet in sagittal images.

    Args:
        across: Unit vector along a row, towards higher columns, in patient coordinates (left, back, head).
        down: Unit vector along a column, towards higher rows.

    Returns:
        The turn of an array with axes (rows, columns).
    """
    through = find_main_axis(np.cross(across, down))
    horizontal, vertical = (axis for axis in range(3) if axis != through)
    as_stored = abs(across[horizontal]) + abs(down[vertical])
    transposed = abs(down[horizontal]) + abs(across[vertical])
    is_transposed = transposed > as_stored
    if abs(transposed - as_stored) < _ROUNDING:
        is_transposed = across[horizontal] * across[vertical] * _ON_SCREEN[vertical] < 0
    order, directions = ((1, 0), (across, down)) if is_transposed else ((0, 1), (down, across))
    ahead = [
        direction[axis] * _ON_SCREEN[axis] for direction, axis in zip(directions, (vertical, horizontal), strict=True)
    ]
    return Turn(order, tuple(axis for axis, component in enumerate(ahead) if component < 0))


def find_volume_turn(directions: ArrayLike, spacing: ArrayLike, size: ArrayLike, *, upwards: bool = False) -> Turn:
    """Find the turn that converts a volume to a series of upright images.

    The images are perpendicular to the slice axis of the volume: its only axis of one voxel; else the axis of the
    longest voxel side, if that side is more than 1.5 times as long as the other two; else the axis nearest to the
    patient's long axis. A volume of cubic voxels therefore consists of axial images.

    Args:
        directions: (3, 3) array whose columns are the directions of the volume's axes in patient coordinates.
        spacing: Voxel sides in mm.
        size: Number of voxels along each axis.
        upwards: Whether to order axial images from feet to head. If False, they keep the order of the file.

    Returns:
        The turn of the axes (x, y, z), which become (column, row, image).
    """
    axes = np.asarray(directions, dtype=np.float64).reshape(3, 3).T
    through = _find_slice_axis(axes, np.asarray(spacing), np.asarray(size))
    across, down = (axis for axis in range(3) if axis != through)
    plane = find_plane_turn(axes[across], axes[down])
    order = (down, across, through) if plane.order == (1, 0) else (across, down, through)
    flips = {1 - axis for axis in plane.flips}
    if upwards and axes[through][2] < 0:
        flips.add(2)
    return Turn(order, tuple(sorted(flips)))


def _find_slice_axis(axes: NDArray[np.float64], spacing: NDArray[np.float64], size: NDArray[np.int64]) -> int:
    single = np.flatnonzero(size == 1).tolist()
    if len(single) == 1:
        return int(single[0])
    shorter, longest = np.argsort(spacing, kind="stable")[1:].tolist()
    if spacing[longest] > MAX_ANISOTROPY * spacing[shorter]:
        return int(longest)
    heights = np.abs(axes[:, 2])
    tied = np.flatnonzero(heights > heights.max() - _ROUNDING).tolist()
    # Any choice that does not depend on the order of storage would do.
    return int(max(tied, key=lambda axis: float((axes[axis, 0] + axes[axis, 1]) * axes[axis, 2])))


def turn_volume(image: Any, turn: Turn) -> Any:
    """Turn a SimpleITK volume. Every voxel keeps its position in the patient."""
    import SimpleITK

    if turn.order != (0, 1, 2):
        image = SimpleITK.PermuteAxes(image, turn.order)
    if turn.flips:
        image = SimpleITK.Flip(image, [axis in turn.flips for axis in range(3)], False)
    return image


def name_stored_axes(turn: Turn) -> str:
    """Return a file's orientation, e.g. ``RAS``, from the turn that converts it to axial images from feet to head."""
    stored = turn.inverse
    return "".join((_BACK if axis in stored.flips else _AHEAD)[new] for axis, new in enumerate(stored.order))


def find_turn_to(orientation: str) -> Turn:
    """Return the turn from axial images, ordered from feet to head, to the orientation of a file, e.g. ``RAS``."""
    order = tuple((_AHEAD if letter in _AHEAD else _BACK).index(letter) for letter in orientation)
    return Turn(order, tuple(axis for axis, letter in enumerate(orientation) if letter in _BACK))
