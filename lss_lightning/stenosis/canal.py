"""Depth and area of the spinal canal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lss_lightning.stenosis.chords import ALONG_U, ALONG_V, EdgeArray, find_crossings, find_edges
from lss_lightning.stenosis.raw_measurement import RawMeasurement

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

_NEAR_MIDLINE = 3.0  # mm to either side of the centroid of the sac
_OPEN = "no posterior element behind the thecal sac: the canal is measured to the rear edge of sac and AAP"
_STEP = 0.2  # mm between rays; the depth changes less than its uncertainty between them


@dataclass(frozen=True)
class _Ray:
    """The part of a line along v inside the canal.

    Attributes:
        front: v coordinate at which the line leaves the disc, mm.
        rear: v coordinate of the posterior wall, mm.
        closed: Whether the posterior wall is bone.
    """

    front: float
    rear: float
    closed: bool


def measure_canal_depth(
    disc: BaseGeometry, posterior: BaseGeometry, sac: BaseGeometry, content: BaseGeometry
) -> tuple[RawMeasurement, RawMeasurement] | None:
    """Measure the AP diameter of the canal through the centroid of the sac, and its minimum nearby.

    All shapes are in (u, v), in mm.

    Args:
        disc: The disc.
        posterior: The posterior element.
        sac: The thecal sac.
        content: Sac ∪ AAP. Its rear edge replaces the posterior element for rays that do not meet the latter.

    Returns:
        The diameter, and its minimum within 3 mm to either side of the centroid; None if the line through the
        centroid of the sac does not meet the disc.
    """
    walls = find_edges(disc), find_edges(posterior), find_edges(content)
    middle = sac.centroid.x
    central = _cast_ray(*walls, middle)
    if central is None:
        return None
    steps = round(_NEAR_MIDLINE / _STEP)
    positions = middle + np.arange(-steps, steps + 1) * _STEP
    rays = [(u, ray) for u in positions if (ray := _cast_ray(*walls, u)) and (ray.closed or not central.closed)]
    shortest = min(rays, key=lambda pair: pair[1].rear - pair[1].front)
    return _to_measurement(middle, central), _to_measurement(*shortest)


def _cast_ray(disc: EdgeArray, posterior: EdgeArray, content: EdgeArray, u: float) -> _Ray | None:
    fronts = find_crossings(disc, u, ALONG_V)
    if not len(fronts):
        return None
    front = float(fronts[-1])
    walls = find_crossings(posterior, u, ALONG_V)
    before = int(np.searchsorted(walls, front))
    if before % 2:  # the posterior element touches the disc
        return _Ray(front, front, closed=True)
    if before < len(walls):
        return _Ray(front, float(walls[before]), closed=True)
    rears = find_crossings(content, u, ALONG_V)
    return _Ray(front, max(front, float(rears[-1])), closed=False) if len(rears) else None


def _to_measurement(u: float, ray: _Ray) -> RawMeasurement:
    ends = np.array(((u, ray.front), (u, ray.rear)))
    return RawMeasurement(ray.rear - ray.front, ends, caveat=None if ray.closed else _OPEN)


def measure_canal_area(posterior: BaseGeometry, sac: BaseGeometry, content: BaseGeometry) -> RawMeasurement | None:
    """Measure the area of the canal's content, excluding the foramina.

    AAP extends into the foramina, so the canal is cut off at the medial edges of the posterior element. On each side,
    the edge is the first point at which the line along u through the centroid of the sac crosses the posterior element.
    If the posterior element begins behind this line, the edge is its most anterior point on that side. The sac always
    belongs to the canal, even if it extends beyond the edges.

    All shapes are in (u, v), in mm.

    Args:
        posterior: The posterior element.
        sac: The thecal sac.
        content: Sac ∪ AAP.

    Returns:
        The area of the part that lies between the medial edges and contains the sac, with its outline; None if the
        posterior element is missing on one side.
    """
    import shapely

    left, right = (_find_medial_edge(posterior, sac, side) for side in (-1, 1))
    if left is None or right is None:
        return None
    first, _, last, _ = sac.bounds
    _, front, _, rear = content.bounds
    strip = shapely.box(min(left, first), front, max(right, last), rear)
    parts = shapely.get_parts(shapely.intersection(content, strip))
    canal = max(parts, key=lambda part: shapely.intersection(part, sac).area)
    return RawMeasurement(canal.area, outline=shapely.get_coordinates(shapely.get_exterior_ring(canal)))


def _find_medial_edge(posterior: BaseGeometry, sac: BaseGeometry, side: int) -> float | None:
    middle = sac.centroid
    edges = find_edges(posterior)
    points = edges[:, 0]
    lateral = points[side * (points[:, 0] - middle.x) > 0]
    if not len(lateral):
        return None
    most_anterior = lateral[lateral[:, 1].argmin()]
    if most_anterior[1] >= middle.y:
        return float(most_anterior[0])
    crossings = find_crossings(edges, middle.y, ALONG_U)
    crossings = crossings[side * (crossings - middle.x) > 0]
    return float(side * (side * crossings).min()) if len(crossings) else None
