"""A slice's structures in its own axes: what the measures are taken on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lss_lightning.stenosis.axes import Axes, find_axes
from lss_lightning.stenosis.measurements import DISC, POSTERIOR, SAC, Caliper, Points, Reading
from lss_lightning.stenosis.regions import Regions

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry


@dataclass(frozen=True)
class SliceView:
    """Shapes in (u, v), mm; None where a structure was not found.

    Attributes:
        axes: How (u, v) lies in the image.
        disc: The disc.
        posterior: The posterior element, one part or several.
        sac: The thecal sac.
        content: The parts of sac ∪ AAP that the sac lies in.
        aap: Middles of AAP's pixels, (N, 2).
    """

    axes: Axes
    disc: BaseGeometry
    posterior: BaseGeometry | None
    sac: BaseGeometry | None
    content: BaseGeometry | None
    aap: Points


def view_of(regions: Regions) -> SliceView | None:
    """Turn the regions into their own axes; None without a disc, which the axes come from."""
    shapes = {key: region.shape for key, region in regions.found.items()}
    if DISC not in shapes:
        return None
    axes = find_axes(shapes[DISC], shapes.get(POSTERIOR, shapes.get(SAC)))
    posterior, sac = shapes.get(POSTERIOR), shapes.get(SAC)
    content = regions.content.shape if regions.content else None
    if sac is not None and content is not None:
        # Outlined apart, the sac may stick out by a hair.
        content = content.union(sac)
    return SliceView(
        axes,
        disc=axes.apply(shapes[DISC]),
        posterior=None if posterior is None else axes.apply(posterior),
        sac=None if sac is None else axes.apply(sac),
        content=None if content is None else axes.apply(content),
        aap=axes.coordinates(regions.aap),
    )


Outlines = dict[str, tuple[Points, ...]]


def calipers_of(readings: Mapping[str, Reading], view: SliceView, spacing: tuple[float, float]) -> dict[str, Caliper]:
    """The calipers of those readings that have one, by measure."""
    calipers = {}
    for name, reading in readings.items():
        if reading.ends is not None:
            (x0, y0), (x1, y1) = _pixels(view.axes.undo(reading.ends), spacing).tolist()
            calipers[name] = Caliper((x0, y0), (x1, y1))
    return calipers


def reading_outlines(readings: Mapping[str, Reading], view: SliceView, spacing: tuple[float, float]) -> Outlines:
    """The outlines of those readings that have one, by measure."""
    drawn = {name: reading.outline for name, reading in readings.items() if reading.outline is not None}
    return {name: (_pixels(view.axes.undo(outline), spacing),) for name, outline in drawn.items()}


def region_outlines(regions: Regions) -> Outlines:
    """The outlines of the structures found, by class key; a posterior element may have several."""
    import shapely

    outlines = {}
    for key, region in regions.found.items():
        rings = shapely.get_parts(shapely.get_rings(shapely.get_parts(region.shape)))
        outlines[key] = tuple(_pixels(shapely.get_coordinates(ring), regions.spacing) for ring in rings)
    return outlines


def _pixels(points: Points, spacing: tuple[float, float]) -> Points:
    return points / spacing[::-1]
