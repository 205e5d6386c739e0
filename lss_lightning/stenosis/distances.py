"""Disc bulge and the axial disc-facet gap."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lss_lightning.stenosis.measurements import Points
from lss_lightning.stenosis.raw_measurement import RawMeasurement

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

RIGHTWARDS, LEFTWARDS = 1, -1
"""Sides of the image, as signs of u."""

_SAMPLES = 360
_ANTERIOR = 2 / 3  # fraction of the disc's AP extent


def measure_bulge(disc: BaseGeometry) -> RawMeasurement | None:
    """Measure how far the posterior third of a disc protrudes beyond an ellipse fitted to its anterior two thirds.

    Args:
        disc: The disc, in (u, v), mm.

    Returns:
        The greatest distance outside the ellipse, at least 0, with the ellipse and a caliper from the ellipse to the
        outline of the disc; None if no ellipse can be fitted.
    """
    import shapely
    from skimage.measure import EllipseModel

    outline = _resample_evenly(shapely.get_coordinates(shapely.get_exterior_ring(disc)))
    _, front, _, rear = disc.bounds
    behind = outline[:, 1] > front + _ANTERIOR * (rear - front)
    model = EllipseModel.from_estimate(outline[~behind])
    if not model:
        return None
    ellipse = model.predict_xy(np.linspace(0, 2 * np.pi, _SAMPLES, endpoint=False))
    region = shapely.Polygon(ellipse)
    protrusion = shapely.distance(region, shapely.points(outline[behind]))  # 0 inside
    farthest = shapely.Point(outline[behind][protrusion.argmax()])
    ends = shapely.get_coordinates(shapely.shortest_line(region, farthest))
    return RawMeasurement(float(protrusion.max()), ends, ellipse)


def _resample_evenly(ring: Points) -> Points:
    """Sample a closed ring at equal distances, so that all parts have the same weight in the fit."""
    distance = np.concatenate(([0.0], np.cumsum(np.hypot(*np.diff(ring, axis=0).T))))
    samples = np.linspace(0, distance[-1], _SAMPLES, endpoint=False)
    return np.stack([np.interp(samples, distance, coordinate) for coordinate in ring.T], axis=1)


def measure_foraminal_gap(
    disc: BaseGeometry, posterior: BaseGeometry, sac: BaseGeometry, aap: Points, side: int
) -> RawMeasurement | None:
    """Measure the minimum distance between the disc and the posterior element lateral to the sac.

    All shapes are in (u, v), in mm.

    Args:
        disc: The disc.
        posterior: The posterior element.
        sac: The thecal sac.
        aap: Centres of the AAP pixels, (N, 2).
        side: :data:`RIGHTWARDS` or :data:`LEFTWARDS`.

    Returns:
        The distance, 0 if they touch; None unless disc, posterior element and AAP all extend lateral to the sac on the
        given side.
    """
    import shapely

    first, _, last, _ = sac.bounds
    beyond = aap[:, 0] > last if side == RIGHTWARDS else aap[:, 0] < first
    front, rear = _clip_lateral(disc, sac, side), _clip_lateral(posterior, sac, side)
    if not beyond.any() or front.is_empty or rear.is_empty:
        return None
    ends = shapely.get_coordinates(shapely.shortest_line(front, rear))
    return RawMeasurement(float(np.hypot(*(ends[1] - ends[0]))), ends)


def _clip_lateral(shape: BaseGeometry, sac: BaseGeometry, side: int) -> BaseGeometry:
    """Return the part of a shape beyond the most lateral point of the sac on the given side."""
    import shapely

    left, front, right, rear = shape.bounds
    first, _, last, _ = sac.bounds
    start, end = (last, max(last, right)) if side == RIGHTWARDS else (min(first, left), first)
    return shapely.intersection(shape, shapely.box(start, front, end, rear))
