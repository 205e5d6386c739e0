"""The true measurements of a slice, computed from its curves before rasterisation.

The code is independent of :mod:`lss_lightning.stenosis`, because it is used to verify that package. The u axis runs
along the principal axis of the disc, towards the right of the image. The v axis is perpendicular to the u axis and
runs from front to back.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
from shapely import Polygon, box, get_coordinates, get_parts, get_rings, points
from shapely.affinity import affine_transform
from shapely.geometry.base import BaseGeometry

from lss_lightning.phantom.regions import TissueRegions
from lss_lightning.phantom.shapes import FloatArray

# The smallest canal depth is searched for within this distance of the sac's centroid, in steps of this size, mm.
_NEAR_MIDLINE, _STEP = 3.0, 0.1
# Number of equidistant points that sample the disc's outline.
_OUTLINE_POINTS = 720
# Anterior share of the disc's depth to which the ellipse for the bulge is fitted.
_ANTERIOR = 2 / 3

_U, _V = 0, 1

BoundaryEdges: TypeAlias = tuple[FloatArray, FloatArray]
"""Start and end points of the edges of a boundary, each of shape (N, 2)."""


def compute_true_measurements(regions: TissueRegions) -> dict[str, float]:
    """Measure the regions of one slice.

    Left and right are those of the patient: the left of the image shows the patient's right.

    Args:
        regions: The regions of the classes in mm, in a frame that may be rotated relative to the image.

    Returns:
        The measurements by name. A name ends in its unit, except that ratios have none:

        - ``canal_ap_mm``: distance along v through the sac's centroid, from the disc to the posterior element.
        - ``canal_ap_min_mm``: the smallest such distance within 3 mm on either side.
        - ``sac_ap_mm``, ``sac_transverse_mm``: longest chord of the sac along v and along u.
        - ``disc_ap_mm``: longest chord of the disc along v.
        - ``sac_area_mm2``, ``disc_area_mm2``: enclosed areas.
        - ``canal_area_mm2``: area of sac and AAP between the medial edges of the posterior element. On each side, the
          medial edge is the point at which the line along u through the sac's centroid first meets the posterior
          element or, if the posterior element begins further back, its most anterior point.
        - ``sac_disc_area_ratio``, ``sac_disc_ap_ratio``, ``sac_canal_area_ratio``: ratios of the values above.
        - ``foramen_left_mm``, ``foramen_right_mm``: smallest distance from the disc to the posterior element lateral
          to the sac.
        - ``bulge_mm``: largest distance by which the disc's posterior third extends beyond an ellipse fitted to the
          rest of its outline.
    """
    across = compute_principal_axis(regions.disc)
    back = np.array((-across[1], across[0]))
    aligned = {key: affine_transform(region, [*across, *back, 0.0, 0.0]) for key, region in regions.items()}
    disc, posterior, sac, aap = (
        aligned[key] for key in ("intervertebral_disc", "posterior_element", "thecal_sac", "aap")
    )
    middle = sac.centroid.x
    steps = round(_NEAR_MIDLINE / _STEP)
    disc_edges, posterior_edges = get_boundary_edges(disc), get_boundary_edges(posterior)
    depths = [true_canal_depth(disc_edges, posterior_edges, middle + k * _STEP) for k in range(-steps, steps + 1)]
    measurements = {
        "canal_ap_mm": depths[steps],
        "canal_ap_min_mm": min(depths),
        "sac_ap_mm": true_longest_chord(sac, _V),
        "sac_transverse_mm": true_longest_chord(sac, _U),
        "sac_area_mm2": sac.area,
        "canal_area_mm2": true_canal_area(posterior, sac, aap),
        "disc_area_mm2": disc.area,
        "disc_ap_mm": true_longest_chord(disc, _V),
        "foramen_left_mm": true_foramen_width(disc, posterior, sac, 1),
        "foramen_right_mm": true_foramen_width(disc, posterior, sac, -1),
        "bulge_mm": true_bulge(disc),
    }
    for ratio, part, whole in (
        ("sac_disc_area_ratio", "sac_area_mm2", "disc_area_mm2"),
        ("sac_disc_ap_ratio", "sac_ap_mm", "disc_ap_mm"),
        ("sac_canal_area_ratio", "sac_area_mm2", "canal_area_mm2"),
    ):
        measurements[ratio] = measurements[part] / measurements[whole]
    return measurements


def compute_principal_axis(polygon: Polygon) -> FloatArray:
    """Return the unit vector along a polygon's longest principal axis, of shape (2,), pointing to the right.

    The second moments of area are summed over the edges: each edge forms a triangle of signed area A with the
    centroid, and a triangle with corners 0, p, q has the moments A/12 · (p pᵀ + q qᵀ + (p + q)(p + q)ᵀ).
    """
    corners = get_coordinates(polygon.exterior) - get_coordinates(polygon.centroid)
    p, q = corners[:-1], corners[1:]
    area = (p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]) / 2
    terms = [np.einsum("k,ki,kj->ij", area, part, part) for part in (p, q, p + q)]
    moments = sum(terms) / 12 * np.sign(area.sum())
    axis = np.linalg.eigh(moments)[1][:, 1]
    return axis if axis[0] > 0 else -axis


def true_canal_depth(disc: BoundaryEdges, posterior: BoundaryEdges, u: float) -> float:
    """Return the distance along v, at a given u, from the back of the disc to the front of the posterior element."""
    front = find_boundary_crossings(disc, u, _V)[-1]
    walls = find_boundary_crossings(posterior, u, _V)
    return float(walls[walls > front][0] - front)


def get_boundary_edges(shape: BaseGeometry) -> BoundaryEdges:
    """Return the start and end points of all edges of a shape's boundary."""
    rings = [get_coordinates(ring) for ring in get_parts(get_rings(get_parts(shape)))]
    return np.concatenate([ring[:-1] for ring in rings]), np.concatenate([ring[1:] for ring in rings])


def find_boundary_crossings(edges: BoundaryEdges, at: float, along: int) -> FloatArray:
    """Return the positions at which a line parallel to an axis crosses a boundary.

    Args:
        edges: The edges of the boundary.
        at: Position of the line on the other axis, mm.
        along: Index of the axis, 0 for u or 1 for v.

    Returns:
        Positions along the axis in ascending order, mm.
    """
    starts, ends = edges
    other = 1 - along
    hit = (starts[:, other] <= at) != (ends[:, other] <= at)
    starts, ends = starts[hit], ends[hit]
    share = (at - starts[:, other]) / (ends[:, other] - starts[:, other])
    return np.sort(starts[:, along] + share * (ends[:, along] - starts[:, along]))


def true_longest_chord(shape: BaseGeometry, along: int) -> float:
    """Return the length of the longest chord of a shape along an axis, mm.

    The longest chord of a polygon passes through one of its corners.
    """
    edges, lengths = get_boundary_edges(shape), []
    for at in np.unique(edges[0][:, 1 - along]):
        crossings = find_boundary_crossings(edges, float(at), along)
        lengths += list(crossings[1::2] - crossings[::2])
    return float(max(lengths))


def true_canal_area(posterior: BaseGeometry, sac: BaseGeometry, aap: BaseGeometry) -> float:
    """Return the area of sac and AAP between the medial edges of the posterior element, mm².

    The whole sac is included, even where it extends beyond the edges.
    """
    content = sac.union(aap)
    first, _, last, _ = sac.bounds
    left, right = (_find_medial_edge(posterior, sac, side) for side in (-1, 1))
    _, front, _, rear = content.bounds
    parts = get_parts(content.intersection(box(min(left, first), front, max(right, last), rear)))
    return float(max(parts, key=lambda part: part.intersection(sac).area).area)


def true_foramen_width(disc: BaseGeometry, posterior: BaseGeometry, sac: BaseGeometry, side: int) -> float:
    """Return the smallest distance between disc and posterior element lateral to the sac, mm.

    Args:
        disc: Region of the disc.
        posterior: Region of the posterior element.
        sac: Region of the thecal sac.
        side: -1 for the image's left, 1 for the image's right.
    """
    first, _, last, _ = sac.bounds
    lateral = box(last, -1e3, 1e3, 1e3) if side > 0 else box(-1e3, -1e3, first, 1e3)
    return float(disc.intersection(lateral).distance(posterior.intersection(lateral)))


def true_bulge(disc: BaseGeometry) -> float:
    """Return the largest extension of the disc's posterior third beyond an ellipse fitted to the rest, mm."""
    from skimage.measure import EllipseModel

    ring = disc.boundary
    outline = get_coordinates(ring.interpolate(np.arange(_OUTLINE_POINTS) * ring.length / _OUTLINE_POINTS))
    _, front, _, rear = disc.bounds
    is_posterior = outline[:, 1] > front + _ANTERIOR * (rear - front)
    model = EllipseModel.from_estimate(outline[~is_posterior])
    ellipse = Polygon(model.predict_xy(np.linspace(0, 2 * math.pi, _OUTLINE_POINTS, endpoint=False)))
    return float(np.max(ellipse.distance(points(outline[is_posterior]))))


def _find_medial_edge(posterior: BaseGeometry, sac: BaseGeometry, side: int) -> float:
    middle, edges = sac.centroid, get_boundary_edges(posterior)
    corners = edges[0]
    lateral = corners[side * (corners[:, 0] - middle.x) > 0]
    foremost = lateral[lateral[:, 1].argmin()]
    if foremost[1] >= middle.y:
        return float(foremost[0])
    beside = side * (find_boundary_crossings(edges, middle.y, _U) - middle.x)
    return float(middle.x + side * beside[beside > 0].min())
