"""The true measures of a slice, taken from its curves before anything is rasterised.

Axes: u along the disc's principal axis, towards the image's right; v perpendicular to it, from front to back.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
from shapely import Polygon, box, get_coordinates, get_parts, get_rings, points
from shapely.affinity import affine_transform
from shapely.geometry.base import BaseGeometry

from lss_lightning.phantom.regions import TissueRegions
from lss_lightning.phantom.shapes import Floats

# The canal's least depth is looked for this far to either side of the sac's centroid, in these steps, mm.
_NEAR_MIDLINE, _STEP = 3.0, 0.1
# Points at equal distances that stand for the disc's outline.
_OUTLINE = 720
# The share of the disc's depth that the bulge's ellipse is fitted to.
_ANTERIOR = 2 / 3

_U, _V = 0, 1

Edges: TypeAlias = tuple[Floats, Floats]


def true_measures(regions: TissueRegions) -> dict[str, float]:
    """Measure the class regions of one slice.

    Left and right are the patient's: the image's left shows the patient's right.

    Args:
        regions: The classes as polygons in mm, in a frame that may be rotated against the image.

    Returns:
        By name, each with its unit:

        - ``canal_ap_mm``: along v through the sac's centroid, from disc to posterior element;
          ``canal_ap_min_mm``: the least of the same within 3 mm to either side.
        - ``sac_ap_mm``, ``sac_transverse_mm``: the sac's longest chord along v, along u; ``disc_ap_mm``: the disc's
          along v.
        - ``sac_area_mm2``, ``disc_area_mm2``: enclosed areas.
        - ``canal_area_mm2``: sac and AAP between the medial edges of the posterior element: where the line along u
          through the sac's centroid first meets it or, where it begins further back, its foremost point.
        - ``sac_disc_area_ratio``, ``sac_disc_ap_ratio``, ``sac_canal_area_ratio``.
        - ``foramen_left_mm``, ``foramen_right_mm``: least distance from disc to posterior element, lateral to the sac.
        - ``bulge_mm``: how far the disc's posterior third lies outside an ellipse fitted to the rest of its outline.
    """
    across = principal_axis(regions.disc)
    back = np.array((-across[1], across[0]))
    turned = {key: affine_transform(region, [*across, *back, 0.0, 0.0]) for key, region in regions.items()}
    disc, posterior, sac, aap = (
        turned[key] for key in ("intervertebral_disc", "posterior_element", "thecal_sac", "aap")
    )
    middle = sac.centroid.x
    steps = round(_NEAR_MIDLINE / _STEP)
    fronts, walls = edges_of(disc), edges_of(posterior)
    depths = [canal_depth(fronts, walls, middle + k * _STEP) for k in range(-steps, steps + 1)]
    measures = {
        "canal_ap_mm": depths[steps],
        "canal_ap_min_mm": min(depths),
        "sac_ap_mm": longest_chord(sac, _V),
        "sac_transverse_mm": longest_chord(sac, _U),
        "sac_area_mm2": sac.area,
        "canal_area_mm2": canal_area(posterior, sac, aap),
        "disc_area_mm2": disc.area,
        "disc_ap_mm": longest_chord(disc, _V),
        "foramen_left_mm": foramen_width(disc, posterior, sac, 1),
        "foramen_right_mm": foramen_width(disc, posterior, sac, -1),
        "bulge_mm": bulge(disc),
    }
    for ratio, part, whole in (
        ("sac_disc_area_ratio", "sac_area_mm2", "disc_area_mm2"),
        ("sac_disc_ap_ratio", "sac_ap_mm", "disc_ap_mm"),
        ("sac_canal_area_ratio", "sac_area_mm2", "canal_area_mm2"),
    ):
        measures[ratio] = measures[part] / measures[whole]
    return measures


def principal_axis(polygon: Polygon) -> Floats:
    """Unit vector, shape (2,), pointing to the right, along which a polygon's area extends furthest.

    From the second moments of area: each edge makes a triangle of signed area A with the centroid, and a triangle with
    corners 0, p, q has A/12 · (p pᵀ + q qᵀ + (p + q)(p + q)ᵀ).
    """
    corners = get_coordinates(polygon.exterior) - get_coordinates(polygon.centroid)
    p, q = corners[:-1], corners[1:]
    area = (p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]) / 2
    terms = [np.einsum("k,ki,kj->ij", area, part, part) for part in (p, q, p + q)]
    moments = sum(terms) / 12 * np.sign(area.sum())
    axis = np.linalg.eigh(moments)[1][:, 1]
    return axis if axis[0] > 0 else -axis


def canal_depth(disc: Edges, posterior: Edges, u: float) -> float:
    """From the disc's last point to the posterior element's first one behind it on the line of a u, mm."""
    front = crossings(disc, u, _V)[-1]
    walls = crossings(posterior, u, _V)
    return float(walls[walls > front][0] - front)


def edges_of(shape: BaseGeometry) -> Edges:
    """Starts and ends of all edges of a shape's boundary, each (N, 2)."""
    rings = [get_coordinates(ring) for ring in get_parts(get_rings(get_parts(shape)))]
    return np.concatenate([ring[:-1] for ring in rings]), np.concatenate([ring[1:] for ring in rings])


def crossings(edges: Edges, at: float, along: int) -> Floats:
    """Where the line on which the other coordinate is ``at`` crosses a boundary, ascending."""
    starts, ends = edges
    other = 1 - along
    hit = (starts[:, other] <= at) != (ends[:, other] <= at)
    starts, ends = starts[hit], ends[hit]
    share = (at - starts[:, other]) / (ends[:, other] - starts[:, other])
    return np.sort(starts[:, along] + share * (ends[:, along] - starts[:, along]))


def longest_chord(shape: BaseGeometry, along: int) -> float:
    """Length of the longest straight piece within a shape along an axis, mm: it runs through a corner."""
    edges, lengths = edges_of(shape), []
    for at in np.unique(edges[0][:, 1 - along]):
        places = crossings(edges, float(at), along)
        lengths += list(places[1::2] - places[::2])
    return float(max(lengths))


def canal_area(posterior: BaseGeometry, sac: BaseGeometry, aap: BaseGeometry) -> float:
    """Area of sac and AAP between the posterior element's medial edges, mm²; the sac is never cut."""
    content = sac.union(aap)
    first, _, last, _ = sac.bounds
    left, right = (_medial_edge(posterior, sac, side) for side in (-1, 1))
    _, front, _, rear = content.bounds
    pieces = get_parts(content.intersection(box(min(left, first), front, max(right, last), rear)))
    return float(max(pieces, key=lambda piece: piece.intersection(sac).area).area)


def foramen_width(disc: BaseGeometry, posterior: BaseGeometry, sac: BaseGeometry, side: int) -> float:
    """Least distance between disc and posterior element lateral to the sac, mm; side -1 is the image's left."""
    first, _, last, _ = sac.bounds
    beyond = box(last, -1e3, 1e3, 1e3) if side > 0 else box(-1e3, -1e3, first, 1e3)
    return float(disc.intersection(beyond).distance(posterior.intersection(beyond)))


def bulge(disc: BaseGeometry) -> float:
    """Greatest distance of the disc's posterior third outside the ellipse that fits the rest of its outline, mm."""
    from skimage.measure import EllipseModel

    ring = disc.boundary
    outline = get_coordinates(ring.interpolate(np.arange(_OUTLINE) * ring.length / _OUTLINE))
    _, front, _, rear = disc.bounds
    posterior = outline[:, 1] > front + _ANTERIOR * (rear - front)
    fitted = EllipseModel.from_estimate(outline[~posterior])
    ellipse = Polygon(fitted.predict_xy(np.linspace(0, 2 * math.pi, _OUTLINE, endpoint=False)))
    return float(np.max(ellipse.distance(points(outline[posterior]))))


def _medial_edge(posterior: BaseGeometry, sac: BaseGeometry, side: int) -> float:
    middle, edges = sac.centroid, edges_of(posterior)
    corners = edges[0]
    lateral = corners[side * (corners[:, 0] - middle.x) > 0]
    foremost = lateral[lateral[:, 1].argmin()]
    if foremost[1] >= middle.y:
        return float(foremost[0])
    beside = side * (crossings(edges, middle.y, _U) - middle.x)
    return float(middle.x + side * beside[beside > 0].min())
