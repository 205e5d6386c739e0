"""The 48 orders in which the axes of a volume can be stored, and volumes in each of them."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import SimpleITK

ORDERS = [(axes, flips) for axes in permutations(range(3)) for flips in product((False, True), repeat=3)]

STRAIGHT = np.eye(3)
_TURN, _TILT = np.radians(20), np.radians(35)
OBLIQUE = np.array([[1, 0, 0], [0, np.cos(_TILT), -np.sin(_TILT)], [0, np.sin(_TILT), np.cos(_TILT)]]) @ np.array(
    [[np.cos(_TURN), -np.sin(_TURN), 0], [np.sin(_TURN), np.cos(_TURN), 0], [0, 0, 1]]
)
"""Axial slices tilted like the disc L5/S1 and turned in their plane."""


def make_axial_volume(
    pixels: np.ndarray, spacing: tuple[float, float, float], directions: np.ndarray = STRAIGHT
) -> SimpleITK.Image:
    """Return slices (N, H, W) or (N, H, W, 3), from feet to head, as a volume."""
    volume = SimpleITK.GetImageFromArray(pixels, isVector=pixels.ndim == 4)
    volume.SetSpacing(spacing)
    volume.SetOrigin((-20.0, 7.0, 100.0))
    volume.SetDirection(directions.ravel().tolist())
    return volume


def store(volume: SimpleITK.Image, order: tuple[tuple[int, ...], tuple[bool, ...]]) -> SimpleITK.Image:
    """Return the same voxels at the same positions in the patient, in another order of storage."""
    axes, flips = order
    return SimpleITK.Flip(SimpleITK.PermuteAxes(volume, axes), flips, False)
