"""Random textures that are defined everywhere in the plane, whatever grid they are looked at on."""

from __future__ import annotations

import numpy as np

from lss_lightning.data.phantom.shapes import Floats

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
        right, bottom = (left + 1) % _LATTICE, (top + 1) % _LATTICE
        upper = self._lattice[top, left] * (1 - fx) + self._lattice[top, right] * fx
        lower = self._lattice[bottom, left] * (1 - fx) + self._lattice[bottom, right] * fx
        return upper * (1 - fy) + lower * fy


def _cell(position: Floats, grain: float) -> tuple[np.ndarray, Floats]:
    """Lattice index of each position, and how far it lies into the cell, smoothed so that no crease shows."""
    scaled = position / grain
    floor = np.floor(scaled)
    fraction = scaled - floor
    return floor.astype(np.int32) % _LATTICE, fraction * fraction * (3 - 2 * fraction)
