"""How far the disc's rear protrudes beyond the form that its front suggests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lss_lightning.stenosis.measurements import Points, Reading

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry


_SAMPLES = 360
_ANTERIOR = 2 / 3  # of the disc's extent from front to back


def disc_bulge(disc: BaseGeometry) -> Reading | None:
    """Measure the greatest distance of the disc's posterior third outside an ellipse fitted to its anterior two thirds.

    Args:
        disc: (u, v), mm.

    Returns:
        The bulge, at least 0, with its caliper from the ellipse to the disc's outline and the ellipse; None where no
        ellipse fits.
    """
    import shapely
    from skimage.measure import EllipseModel

    outline = _evenly(shapely.get_coordinates(shapely.get_exterior_ring(disc)))
    _, front, _, rear = disc.bounds
    behind = outline[:, 1] > front + _ANTERIOR * (rear - front)
    model = EllipseModel.from_estimate(outline[~behind])
    if not model:
        return None
    ellipse = model.predict_xy(np.linspace(0, 2 * np.pi, _SAMPLES, endpoint=False))
    region = shapely.Polygon(ellipse)
    outwards = shapely.distance(region, shapely.points(outline[behind]))  # 0 inside
    farthest = shapely.Point(outline[behind][outwards.argmax()])
    ends = shapely.get_coordinates(shapely.shortest_line(region, farthest))
    return Reading(float(outwards.max()), ends, ellipse)


def _evenly(ring: Points) -> Points:
    """Points at equal distances along a closed ring, so that none of it weighs more than the rest."""
    along = np.concatenate(([0.0], np.cumsum(np.hypot(*np.diff(ring, axis=0).T))))
    places = np.linspace(0, along[-1], _SAMPLES, endpoint=False)
    return np.stack([np.interp(places, along, coordinate) for coordinate in ring.T], axis=1)


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
