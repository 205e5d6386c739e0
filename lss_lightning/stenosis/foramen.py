"""The axial disc-facet gap: the nerve's way out, between disc and posterior element, on one side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lss_lightning.stenosis.measurements import Points
from lss_lightning.stenosis.reading import Reading

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

RIGHTWARDS, LEFTWARDS = 1, -1
"""Sides of the image, as signs of u."""


def foraminal_gap(
    disc: BaseGeometry, posterior: BaseGeometry, sac: BaseGeometry, aap: Points, side: int
) -> Reading | None:
    """Measure the least distance between disc and posterior element lateral to the sac.

    Args:
        disc: All shapes in (u, v), mm.
        posterior: The posterior element.
        sac: The thecal sac.
        aap: Middles of AAP's pixels, (N, 2).
        side: :data:`RIGHTWARDS` or :data:`LEFTWARDS`.

    Returns:
        The distance, 0 where they touch; None where not all of disc, posterior element and AAP lie lateral to the sac
        on that side.
    """
    import shapely

    first, _, last, _ = sac.bounds
    beyond = aap[:, 0] > last if side == RIGHTWARDS else aap[:, 0] < first
    front, rear = _lateral(disc, sac, side), _lateral(posterior, sac, side)
    if not beyond.any() or front.is_empty or rear.is_empty:
        return None
    ends = shapely.get_coordinates(shapely.shortest_line(front, rear))
    return Reading(float(np.hypot(*(ends[1] - ends[0]))), ends)


def _lateral(shape: BaseGeometry, sac: BaseGeometry, side: int) -> BaseGeometry:
    """The part of a shape beyond the sac's outermost point on a side."""
    import shapely

    left, front, right, rear = shape.bounds
    first, _, last, _ = sac.bounds
    start, end = (last, max(last, right)) if side == RIGHTWARDS else (min(first, left), first)
    return shapely.intersection(shape, shapely.box(start, front, end, rear))
