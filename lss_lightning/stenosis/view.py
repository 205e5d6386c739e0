"""The structures of a slice in its anatomical axes, and the conversion of calipers and outlines to image pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from lss_lightning.stenosis.axes import SliceAxes, find_axes
from lss_lightning.stenosis.measurements import DISC, POSTERIOR, SAC, Caliper, Points
from lss_lightning.stenosis.raw_measurement import RawMeasurement
from lss_lightning.stenosis.regions import Regions

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

Outlines: TypeAlias = dict[str, tuple[Points, ...]]
"""Rings in pixels (x, y), by class key or measurement."""


@dataclass(frozen=True)
class SliceView:
    """The structures of a slice in (u, v), mm; None for a structure that was not found.

    Attributes:
        axes: The axes (u, v) in image coordinates.
        disc: The disc.
        posterior: The posterior element, in one or more parts.
        sac: The thecal sac.
        content: The components of sac ∪ AAP that overlap the sac.
        aap: Centres of the AAP pixels, (N, 2).
    """

    axes: SliceAxes
    disc: BaseGeometry
    posterior: BaseGeometry | None
    sac: BaseGeometry | None
    content: BaseGeometry | None
    aap: Points


def make_view(regions: Regions) -> SliceView | None:
    """Transform the regions to the axes of the slice. Return None without a disc, which defines the axes."""
    shapes = {key: region.shape for key, region in regions.by_key.items()}
    if DISC not in shapes:
        return None
    axes = find_axes(shapes[DISC], shapes.get(POSTERIOR, shapes.get(SAC)))
    posterior, sac = shapes.get(POSTERIOR), shapes.get(SAC)
    content = regions.content.shape if regions.content else None
    if sac is not None and content is not None:
        # The two are outlined separately, so the sac may protrude by a fraction of a pixel.
        content = content.union(sac)
    return SliceView(
        axes,
        disc=axes.shape_to_uv(shapes[DISC]),
        posterior=None if posterior is None else axes.shape_to_uv(posterior),
        sac=None if sac is None else axes.shape_to_uv(sac),
        content=None if content is None else axes.shape_to_uv(content),
        aap=axes.points_to_uv(regions.aap),
    )


def make_calipers(
    measured: Mapping[str, RawMeasurement], view: SliceView, spacing: tuple[float, float]
) -> dict[str, Caliper]:
    """Return the calipers of all measured distances, by measurement."""
    calipers = {}
    for name, raw in measured.items():
        if raw.ends is not None:
            (x0, y0), (x1, y1) = _to_pixels(view.axes.points_to_xy(raw.ends), spacing).tolist()
            calipers[name] = Caliper((x0, y0), (x1, y1))
    return calipers


def make_measurement_outlines(
    measured: Mapping[str, RawMeasurement], view: SliceView, spacing: tuple[float, float]
) -> Outlines:
    """Return the outlines of the measurements that have one, by measurement."""
    outlines = {name: raw.outline for name, raw in measured.items() if raw.outline is not None}
    return {name: (_to_pixels(view.axes.points_to_xy(outline), spacing),) for name, outline in outlines.items()}


def make_region_outlines(regions: Regions) -> Outlines:
    """Return the outlines of the structures, by class key; a posterior element may have several."""
    import shapely

    outlines = {}
    for key, region in regions.by_key.items():
        rings = shapely.get_parts(shapely.get_rings(shapely.get_parts(region.shape)))
        outlines[key] = tuple(_to_pixels(shapely.get_coordinates(ring), regions.spacing) for ring in rings)
    return outlines


def _to_pixels(points: Points, spacing: tuple[float, float]) -> Points:
    return points / spacing[::-1]
