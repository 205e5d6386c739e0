"""Random textures that are defined everywhere in the plane, whatever grid they are looked at on."""

from __future__ import annotations

import numpy as np

from lss_lightning.phantom.shapes import Floats

# A power of two.
_LATTICE = 64


class Texture:
    """Value noise: random values on a lattice, interpolated between.

    Args:
        rng: Source of the lattice's values.
        grain: Distance between lattice points in mm, along x and y.
    """

    def __init__(self, rng: np.random.Generator, grain: tuple[float, float]) -> None:
        self._lattice = rng.standard_normal((_LATTICE, _LATTICE), dtype=np.float32)
        self._grain = grain

    def __call__(self, x: Floats, y: Floats) -> Floats:
        """Values at points in mm: mean 0, standard deviation about 0.7, repeating after 64 grains."""
        left, fx = _cell(x, self._grain[0])
        top, fy = _cell(y, self._grain[1])
        # A bitwise "and" with 63 is the remainder by 64, at a fraction of its cost.
        left, right = left & (_LATTICE - 1), (left + 1) & (_LATTICE - 1)
        top, bottom = (top & (_LATTICE - 1)) * _LATTICE, ((top + 1) & (_LATTICE - 1)) * _LATTICE
        values = self._lattice.ravel()
        upper = values[top + left] * (1 - fx) + values[top + right] * fx
        lower = values[bottom + left] * (1 - fx) + values[bottom + right] * fx
        return upper * (1 - fy) + lower * fy


def _cell(position: Floats, grain: float) -> tuple[np.ndarray, Floats]:
    """Lattice index of each position, and how far it lies into the cell, smoothed so that no crease shows."""
    scaled = position / np.float32(grain)
    floor = np.floor(scaled)
    fraction = scaled - floor
    return floor.astype(np.int32), fraction * fraction * (3 - 2 * fraction)
