"""The spinal canal: how deep it is, and what area it has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lss_lightning.stenosis.chords import ALONG_U, ALONG_V, Edges, crossings, edges_of
from lss_lightning.stenosis.measurements import Reading

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

_NEAR_MIDLINE = 3.0  # mm to either side of the sac's centroid
_OPEN = "no posterior element lies behind the thecal sac: the canal is measured to the rear edge of sac and AAP"
_STEP = 0.2  # mm between rays; between them the depth changes less than it is uncertain


@dataclass(frozen=True)
class _Ray:
    """Where a line along v leaves the disc and meets the canal's rear wall, and whether that wall is bone."""

    front: float
    rear: float
    closed: bool


def canal_depth(
    disc: BaseGeometry, posterior: BaseGeometry, sac: BaseGeometry, content: BaseGeometry
) -> tuple[Reading, Reading] | None:
    """Measure the canal's AP diameter through the sac's centroid, and the least one near it.

    Args:
        disc: All shapes in (u, v), mm.
        posterior: The posterior element.
        sac: The thecal sac.
        content: Sac ∪ AAP; its rear edge stands in where no posterior element lies behind.

    Returns:
        The diameter, and the least one within 3 mm to either side. None where the line through the sac's centroid meets
        no disc.
    """
    walls = edges_of(disc), edges_of(posterior), edges_of(content)
    middle = sac.centroid.x
    central = _cast(*walls, middle)
    if central is None:
        return None
    steps = round(_NEAR_MIDLINE / _STEP)
    places = middle + np.arange(-steps, steps + 1) * _STEP
    rays = [(at, ray) for at in places if (ray := _cast(*walls, at)) and (ray.closed or not central.closed)]
    least = min(rays, key=lambda placed: placed[1].rear - placed[1].front)
    return _reading(middle, central), _reading(*least)


def _cast(disc: Edges, posterior: Edges, content: Edges, at: float) -> _Ray | None:
    fronts = crossings(disc, at, ALONG_V)
    if not len(fronts):
        return None
    front = float(fronts[-1])
    walls = crossings(posterior, at, ALONG_V)
    before = int(np.searchsorted(walls, front))
    if before % 2:  # the posterior element touches the disc
        return _Ray(front, front, closed=True)
    if before < len(walls):
        return _Ray(front, float(walls[before]), closed=True)
    rears = crossings(content, at, ALONG_V)
    return _Ray(front, max(front, float(rears[-1])), closed=False) if len(rears) else None


def _reading(at: float, ray: _Ray) -> Reading:
    ends = np.array(((at, ray.front), (at, ray.rear)))
    return Reading(ray.rear - ray.front, ends, doubt=None if ray.closed else _OPEN)


def canal_area(posterior: BaseGeometry, sac: BaseGeometry, content: BaseGeometry) -> Reading | None:
    """Measure the area of the canal's content without the foramina's.

    AAP runs out into the foramina. The canal ends at the medial edges of the posterior element: where the line along u
    through the sac's centroid first meets it to either side or, if it begins only behind that line, at its frontmost
    point on that side. The sac belongs to the canal even where it is wider.

    Args:
        posterior: The posterior element, (u, v), mm.
        sac: The thecal sac.
        content: Sac ∪ AAP.

    Returns:
        The area of the piece between those edges that holds the sac, with its outline; None where no posterior element
        lies on a side.
    """
    import shapely

    left, right = (_medial_edge(posterior, sac, side) for side in (-1, 1))
    if left is None or right is None:
        return None
    first, _, last, _ = sac.bounds
    _, front, _, rear = content.bounds
    strip = shapely.box(min(left, first), front, max(right, last), rear)
    pieces = shapely.get_parts(shapely.intersection(content, strip))
    canal = max(pieces, key=lambda piece: shapely.intersection(piece, sac).area)
    return Reading(canal.area, outline=shapely.get_coordinates(shapely.get_exterior_ring(canal)))


def _medial_edge(posterior: BaseGeometry, sac: BaseGeometry, side: int) -> float | None:
    middle = sac.centroid
    edges = edges_of(posterior)
    points = edges[:, 0]
    lateral = points[side * (points[:, 0] - middle.x) > 0]
    if not len(lateral):
        return None
    frontmost = lateral[lateral[:, 1].argmin()]
    if frontmost[1] >= middle.y:
        return float(frontmost[0])
    beside = crossings(edges, middle.y, ALONG_U)
    beside = beside[side * (beside - middle.x) > 0]
    return float(side * (side * beside).min()) if len(beside) else None
