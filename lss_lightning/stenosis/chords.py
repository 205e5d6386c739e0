"""Crossings of axis-parallel lines with a boundary, and the longest chord of a shape."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lss_lightning.stenosis.raw_measurement import RawMeasurement

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

ALONG_U, ALONG_V = 0, 1
"""Index of the coordinate that varies along a line."""

EdgeArray: TypeAlias = NDArray[np.float64]
"""Start and end point of each edge of a boundary, (N, 2, 2)."""


def find_edges(shape: BaseGeometry) -> EdgeArray:
    """Return the boundary edges of one or more polygons, (N, 2, 2)."""
    import shapely

    rings = [shapely.get_coordinates(ring) for ring in shapely.get_parts(shapely.get_rings(shapely.get_parts(shape)))]
    return np.concatenate([np.stack((ring[:-1], ring[1:]), axis=1) for ring in rings])


def find_crossings(edges: EdgeArray, position: float, along: int) -> NDArray[np.float64]:
    """Find the points at which an axis-parallel line crosses a boundary.

    Args:
        edges: The boundary.
        position: The coordinate that is constant on the line.
        along: Index of the coordinate that varies along the line.

    Returns:
        The varying coordinate at each crossing, in ascending order. The line is inside the shape from the first
        crossing to the second, from the third to the fourth, and so on.
    """
    across = edges[:, :, 1 - along]
    # Half-open intervals, so that a line through a vertex crosses only one of its two edges.
    crossed = (across[:, 0] <= position) != (across[:, 1] <= position)
    start, end = across[crossed].T
    first, second = edges[crossed, :, along].T
    return np.sort(first + (position - start) / (end - start) * (second - first))


def find_longest_chord(shape: BaseGeometry, along: int) -> RawMeasurement:
    """Find the longest straight segment within a shape along an axis.

    The length of a polygon's chord is linear between vertices, so only lines through vertices are considered.

    Args:
        shape: One or more polygons, in (u, v).
        along: :data:`ALONG_U` or :data:`ALONG_V`.
    """
    edges = find_edges(shape)
    lines = edges[:, 0, 1 - along]
    starts, ends = edges[:, 0], edges[:, 1]
    line, edge = np.nonzero((starts[:, 1 - along] <= lines[:, None]) != (ends[:, 1 - along] <= lines[:, None]))
    fraction = (lines[line] - starts[edge, 1 - along]) / (ends - starts)[edge, 1 - along]
    crossings = starts[edge, along] + fraction * (ends - starts)[edge, along]
    order = np.lexsort((crossings, line))
    # Every line enters the shape as often as it leaves it, so pairs never straddle two lines.
    first, second = order[::2], order[1::2]
    best = int(np.argmax(crossings[second] - crossings[first]))
    chord = np.empty((2, 2))
    chord[:, 1 - along] = lines[line[first[best]]]
    chord[:, along] = crossings[first[best]], crossings[second[best]]
    return RawMeasurement(float(chord[1, along] - chord[0, along]), chord)
