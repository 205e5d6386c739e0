"""Random textures that are defined at every point of the plane, independently of a grid."""

from __future__ import annotations

import numpy as np

from lss_lightning.phantom.shapes import FloatArray

# Must be a power of two.
_LATTICE_SIZE = 64


class Texture:
    """Value noise: random values on a lattice, with smooth interpolation between them.

    Args:
        rng: Random generator for the values on the lattice.
        grain: Distance between lattice points along x and y, mm.
    """

    def __init__(self, rng: np.random.Generator, grain: tuple[float, float]) -> None:
        self._lattice = rng.standard_normal((_LATTICE_SIZE, _LATTICE_SIZE), dtype=np.float32)
        self._grain = grain

    def __call__(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """Return the values at points in mm, with mean 0, standard deviation about 0.7 and a period of 64 grains."""
        left, fx = _locate(x, self._grain[0])
        top, fy = _locate(y, self._grain[1])
        # A bitwise "and" with 63 is the remainder of a division by 64, at a fraction of the cost.
        left, right = left & (_LATTICE_SIZE - 1), (left + 1) & (_LATTICE_SIZE - 1)
        top, bottom = (top & (_LATTICE_SIZE - 1)) * _LATTICE_SIZE, ((top + 1) & (_LATTICE_SIZE - 1)) * _LATTICE_SIZE
        values = self._lattice.ravel()
        upper = values[top + left] * (1 - fx) + values[top + right] * fx
        lower = values[bottom + left] * (1 - fx) + values[bottom + right] * fx
        return upper * (1 - fy) + lower * fy


def _locate(position: FloatArray, grain: float) -> tuple[np.ndarray, FloatArray]:
    """Return the lattice index of each position, and the smoothed fraction of the way to the next lattice point."""
    scaled = position / np.float32(grain)
    floor = np.floor(scaled)
    fraction = scaled - floor
    return floor.astype(np.int32), fraction * fraction * (3 - 2 * fraction)
