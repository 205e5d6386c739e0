"""Where lines along an axis cross a shape."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lss_lightning.stenosis.measurements import Reading

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

ALONG_U, ALONG_V = 0, 1
"""Which coordinate runs along a line."""

Edges: TypeAlias = NDArray[np.float64]
"""Start and end of each edge of a boundary, (N, 2, 2)."""


def edges_of(shape: BaseGeometry) -> Edges:
    """The edges of a polygon's, or of several polygons', boundary."""
    import shapely

    rings = [shapely.get_coordinates(ring) for ring in shapely.get_parts(shapely.get_rings(shapely.get_parts(shape)))]
    return np.concatenate([np.stack((ring[:-1], ring[1:]), axis=1) for ring in rings])


def crossings(edges: Edges, at: float, along: int) -> NDArray[np.float64]:
    """Where a line crosses a boundary.

    Args:
        edges: The boundary.
        at: The coordinate that is constant on the line.
        along: Index of the other one.

    Returns:
        That coordinate at each crossing, ascending; the first to the second lies inside, and so on.
    """
    across = edges[:, :, 1 - along]
    # Half open, so that a line through a vertex crosses one of its two edges.
    hit = (across[:, 0] <= at) != (across[:, 1] <= at)
    start, end = across[hit].T
    first, second = edges[hit, :, along].T
    return np.sort(first + (at - start) / (end - start) * (second - first))


def longest_chord(shape: BaseGeometry, along: int) -> Reading:
    """Find the longest straight piece within a shape along an axis.

    A polygon's chord grows or shrinks linearly between vertices, so only lines through vertices need trying.

    Args:
        shape: Polygon or polygons, (u, v).
        along: :data:`ALONG_U` or :data:`ALONG_V`.
    """
    edges = edges_of(shape)
    lines = edges[:, 0, 1 - along]
    starts, ends = edges[:, 0], edges[:, 1]
    line, edge = np.nonzero((starts[:, 1 - along] <= lines[:, None]) != (ends[:, 1 - along] <= lines[:, None]))
    share = (lines[line] - starts[edge, 1 - along]) / (ends - starts)[edge, 1 - along]
    places = starts[edge, along] + share * (ends - starts)[edge, along]
    order = np.lexsort((places, line))
    # Every line enters as often as it leaves, so pairs never run over to the next line.
    first, second = order[::2], order[1::2]
    best = int(np.argmax(places[second] - places[first]))
    chord = np.empty((2, 2))
    chord[:, 1 - along] = lines[line[first[best]]]
    chord[:, along] = places[first[best]], places[second[best]]
    return Reading(float(chord[1, along] - chord[0, along]), chord)
