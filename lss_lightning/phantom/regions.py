"""The four anatomical classes as polygons in mm: what is labelled, and what the truth is measured on.

Conventions, as the data set's labellers drew them: the disc includes the ligaments about it; the posterior element is
one piece from the facet joints to the spinous process, with the flavum and the joints' capsules; the thecal sac leans
on the disc; the AAP is what lies between, from the fat behind the sac out along the disc's hind corners.
"""

from __future__ import annotations

from dataclasses import dataclass

from shapely import LineString, MultiPoint, MultiPolygon, Polygon, unary_union
from shapely.geometry.base import BaseGeometry

from lss_lightning.errors import UserError
from lss_lightning.phantom.arch import ArchSide
from lss_lightning.phantom.shapes import BACK, Blob
from lss_lightning.phantom.spine import Spine

# Corners are rounded, and clefts between bones closed, by this much, mm.
_ROUND, _CLOSE = 0.8, 2.0
# Slivers of the AAP smaller than this belong to what they lie beside, mm².
_SLIVER = 3.0
# What of a sac may be cut off at the canal's wall, mm²: the rounding of the corners.
_TOLERANCE = 1.0


@dataclass(frozen=True)
class TissueRegions:
    """The classes of one slice, disjoint, in the spine's frame, mm.

    Attributes:
        disc: ``intervertebral_disc``.
        posterior: ``posterior_element``.
        sac: ``thecal_sac``.
        aap: ``aap``, in one or more pieces.
    """

    disc: Polygon
    posterior: Polygon
    sac: Polygon
    aap: MultiPolygon

    def items(self) -> list[tuple[str, BaseGeometry]]:
        """Key of the class and region."""
        return [
            ("aap", self.aap),
            ("posterior_element", self.posterior),
            ("intervertebral_disc", self.disc),
            ("thecal_sac", self.sac),
        ]


def class_regions(spine: Spine) -> TissueRegions:
    """The classes that a spine shows.

    Raises:
        UserError: impossible anatomy: a sac larger than the canal that holds it.
    """
    disc = spine.disc.polygon
    arch = unary_union([_side(side, spine) for side in spine.sides] + [stroke.polygon for stroke in spine.spinous])
    posterior = _largest(arch.buffer(_CLOSE).buffer(-_CLOSE).difference(_canal(spine)))
    sac = _largest(spine.sac.polygon.difference(disc))
    lost = sac.intersection(posterior).area
    if lost > _TOLERANCE:
        raise UserError(
            f"impossible anatomy: a thecal sac of {sac.area:.0f} mm² is larger than the canal that holds it, "
            f"{lost:.0f} mm² of it lie within the posterior element; make the sac smaller or the canal wider"
        )
    sac = _largest(sac.difference(posterior))
    between = _between(spine).difference(unary_union([disc, posterior, sac]))
    return TissueRegions(disc, posterior, sac, MultiPolygon([part for part in _parts(between) if part.area > _SLIVER]))


def _side(side: ArchSide, spine: Spine) -> BaseGeometry:
    """Bones, joint and flavum of one side: nothing of it lies before the flavum's face."""
    bones = unary_union([side.superior.polygon, side.inferior.polygon, side.lamina.polygon])
    thick = 0.7 * side.flavum
    behind = side.front[0] + thick * side.wall.normal[0], side.front[1] + thick * side.wall.normal[1]
    band = Polygon([side.front, spine.notch, side.lamina.end, behind])
    whole = bones.union(band).convex_hull.difference(spine.disc.polygon.buffer(side.gap))
    return whole.buffer(-_ROUND).buffer(_ROUND)


def _canal(spine: Spine) -> Polygon:
    """Before both walls, as far as to the disc's middle."""
    left, right = spine.sides
    row = spine.disc.centre[1]
    return Polygon([spine.notch, left.wall.at(row), right.wall.at(row)])


def _between(spine: Spine) -> BaseGeometry:
    """Canal, lateral recesses and foramina, with all that bounds them still in it."""
    reach, width = spine.foramen
    steps = 24
    arcs = []
    for share, radius in ((0.75, width), (1.0, 0.7 * width)):
        angles = [BACK + reach * share * (2 * k / steps - 1) for k in range(steps + 1)]
        arcs.append(LineString([spine.disc.beyond(angle, 0.0) for angle in angles]).buffer(radius))
    processes = [side.superior.centre for side in spine.sides]
    recess = MultiPoint([*processes, *((x, spine.disc.centre[1] / 4) for x, _ in processes)]).convex_hull
    return unary_union([*arcs, recess, _canal(spine).intersection(_behind(spine.disc))])


def _behind(disc: Blob) -> Polygon:
    """Everything from the disc's hind quarter backwards."""
    top = disc.centre[1] + disc.b / 2
    return Polygon([(-60, top), (60, top), (60, 80), (-60, 80)])


def _parts(shape: BaseGeometry) -> list[Polygon]:
    return [part for part in getattr(shape, "geoms", [shape]) if isinstance(part, Polygon)]


def _largest(shape: BaseGeometry) -> Polygon:
    """The largest part, without holes."""
    return Polygon(max(_parts(shape), key=lambda part: part.area).exterior)
