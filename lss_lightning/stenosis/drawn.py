"""From shapes in mm to points in the image, for drawing."""

from __future__ import annotations

from collections.abc import Mapping

from lss_lightning.stenosis.measurements import Caliper, Points
from lss_lightning.stenosis.reading import Reading
from lss_lightning.stenosis.regions import Regions
from lss_lightning.stenosis.view import View

Outlines = dict[str, tuple[Points, ...]]


def calipers_of(readings: Mapping[str, Reading], view: View, spacing: tuple[float, float]) -> dict[str, Caliper]:
    """The calipers of those readings that have one, by measure."""
    calipers = {}
    for name, reading in readings.items():
        if reading.ends is not None:
            (x0, y0), (x1, y1) = _pixels(view.axes.undo(reading.ends), spacing).tolist()
            calipers[name] = Caliper((x0, y0), (x1, y1))
    return calipers


def reading_outlines(readings: Mapping[str, Reading], view: View, spacing: tuple[float, float]) -> Outlines:
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
