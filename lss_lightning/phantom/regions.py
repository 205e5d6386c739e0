"""The four anatomical classes as polygons in mm, from which labels and ground-truth measurements are derived.

The classes follow the conventions of the data set's annotators. The disc includes the ligaments around it. The
posterior element extends as one region from the facet joints to the spinous process, and includes the flavum and the
joint capsules. The thecal sac touches the disc. The AAP is the area in between, from the fat behind the sac to the
posterior corners of the disc.
"""

from __future__ import annotations

from dataclasses import dataclass

from shapely import LineString, MultiPoint, MultiPolygon, Polygon, unary_union
from shapely.geometry.base import BaseGeometry

from lss_lightning.errors import UserError
from lss_lightning.phantom.arch import ArchSide
from lss_lightning.phantom.shapes import BACK, Blob
from lss_lightning.phantom.spine import Spine

# Radius by which corners are rounded, and by which gaps between bones are closed, mm.
_ROUNDING, _CLOSING = 0.8, 2.0
# Parts of the AAP smaller than this are dropped, mm².
_MIN_AAP_AREA = 3.0
# Largest area of the sac that may overlap the posterior element because of rounded corners, mm².
_MAX_OVERLAP = 1.0


@dataclass(frozen=True)
class TissueRegions:
    """The disjoint regions of the anatomical classes of a slice in the spine's frame, mm.

    Attributes:
        disc: Region of ``intervertebral_disc``.
        posterior: Region of ``posterior_element``.
        sac: Region of ``thecal_sac``.
        aap: Region of ``aap``, in one or more parts.
    """

    disc: Polygon
    posterior: Polygon
    sac: Polygon
    aap: MultiPolygon

    def items(self) -> list[tuple[str, BaseGeometry]]:
        """Return the key and the region of each class."""
        return [
            ("aap", self.aap),
            ("posterior_element", self.posterior),
            ("intervertebral_disc", self.disc),
            ("thecal_sac", self.sac),
        ]


def build_regions(spine: Spine) -> TissueRegions:
    """Build the regions of the classes from the shapes of a spine.

    Raises:
        UserError: If the anatomy is impossible because the sac is larger than the canal.
    """
    disc = spine.disc.polygon
    arch = unary_union(
        [_build_side(side, spine) for side in spine.sides] + [stroke.polygon for stroke in spine.spinous]
    )
    posterior = _get_largest_part(arch.buffer(_CLOSING).buffer(-_CLOSING).difference(_build_canal(spine)))
    sac = _get_largest_part(spine.sac.polygon.difference(disc))
    overlap = sac.intersection(posterior).area
    if overlap > _MAX_OVERLAP:
        raise UserError(
            f"impossible anatomy: a thecal sac of {sac.area:.0f} mm² is larger than the canal, {overlap:.0f} mm² of it "
            "overlap the posterior element; make the sac smaller or the canal wider"
        )
    sac = _get_largest_part(sac.difference(posterior))
    between = _build_aap_outline(spine).difference(unary_union([disc, posterior, sac]))
    aap = MultiPolygon([part for part in _get_polygons(between) if part.area > _MIN_AAP_AREA])
    return TissueRegions(disc, posterior, sac, aap)


def _build_side(side: ArchSide, spine: Spine) -> BaseGeometry:
    """Return the region of the bones, joint and flavum of one side. Its anterior boundary is the flavum's face."""
    bones = unary_union([side.superior.polygon, side.inferior.polygon, side.lamina.polygon])
    thickness = 0.7 * side.flavum
    behind = side.front[0] + thickness * side.wall.normal[0], side.front[1] + thickness * side.wall.normal[1]
    band = Polygon([side.front, spine.notch, side.lamina.end, behind])
    whole = bones.union(band).convex_hull.difference(spine.disc.polygon.buffer(side.gap))
    return whole.buffer(-_ROUNDING).buffer(_ROUNDING)


def _build_canal(spine: Spine) -> Polygon:
    """Return the area in front of both walls, up to the middle of the disc."""
    left, right = spine.sides
    row = spine.disc.centre[1]
    return Polygon([spine.notch, left.wall.point_at(row), right.wall.point_at(row)])


def _build_aap_outline(spine: Spine) -> BaseGeometry:
    """Return the area of the canal, lateral recesses and foramina, including the structures that bound them."""
    angle_range, width = spine.foramen
    steps = 24
    arcs = []
    for share, radius in ((0.75, width), (1.0, 0.7 * width)):
        angles = [BACK + angle_range * share * (2 * k / steps - 1) for k in range(steps + 1)]
        arcs.append(LineString([spine.disc.point_outside(angle, 0.0) for angle in angles]).buffer(radius))
    processes = [side.superior.centre for side in spine.sides]
    recess = MultiPoint([*processes, *((x, spine.disc.centre[1] / 4) for x, _ in processes)]).convex_hull
    return unary_union([*arcs, recess, _build_canal(spine).intersection(_half_plane_behind(spine.disc))])


def _half_plane_behind(disc: Blob) -> Polygon:
    """Return the area that starts at the disc's posterior quarter and extends backwards."""
    top = disc.centre[1] + disc.b / 2
    return Polygon([(-60, top), (60, top), (60, 80), (-60, 80)])


def _get_polygons(shape: BaseGeometry) -> list[Polygon]:
    return [part for part in getattr(shape, "geoms", [shape]) if isinstance(part, Polygon)]


def _get_largest_part(shape: BaseGeometry) -> Polygon:
    """Return the largest part of a shape, without its holes."""
    return Polygon(max(_get_polygons(shape), key=lambda part: part.area).exterior)
