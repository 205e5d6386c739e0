"""The 48 orders in which the axes of a volume can be stored, and volumes in each of them."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import SimpleITK

ORDERS = [(axes, flips) for axes in permutations(range(3)) for flips in product((False, True), repeat=3)]

STRAIGHT = np.eye(3)


def rotate(tilt: float, turn: float) -> np.ndarray:
    """Return the directions of axial slices that are tilted and turned in their plane, by angles in degrees."""
    a, b = np.radians((tilt, turn))
    tilted = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    turned = np.array([[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]])
    return tilted @ turned


OBLIQUE = rotate(35, 20)
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
