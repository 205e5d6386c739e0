"""From a label map or class probabilities to the measurements of one slice."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from numpy.typing import NDArray

from lss_lightning.labels import LabelSet
from lss_lightning.stenosis.flags import input_flags, region_flags, size_flags, view_flags
from lss_lightning.stenosis.measurements import MEASUREMENTS, RATIOS, SAC, Flag, Reading, SliceMeasurements, undermined
from lss_lightning.stenosis.readings import take_readings
from lss_lightning.stenosis.regions import find_regions
from lss_lightning.stenosis.view import calipers_of, reading_outlines, region_outlines, view_of

Side: TypeAlias = Literal["left", "right"]
"""Of the patient."""


def measure_slice(
    classes: NDArray[Any],
    labels: LabelSet,
    spacing: tuple[float, float] | None,
    *,
    image_left: Side | None = None,
) -> SliceMeasurements:
    """Measure one axial slice.

    Args:
        classes: Class indices (H, W), integer, or class probabilities (C, H, W), floating, on the image's own grid.
        labels: The classes, in index order; those of the paper must be among them.
        spacing: Height and width of a pixel, mm; None where unknown: only ratios are measured then, pixels being
            taken for square.
        image_left: The patient's side that the image's left shows: ``right`` in radiological orientation. None where
            it is not known: then radiological orientation is assumed, and flagged.

    Returns:
        The measures, each as a value or withheld with a reason, and what is needed to draw them.

    Raises:
        UserError: the label set lacks a class that is measured, or the spacing is not positive.
        ValueError: an array of another shape or type.
    """
    regions = find_regions(classes, labels, spacing)
    view = view_of(regions)
    sides_known = image_left is not None
    taken: dict[str, Reading | str] = {}
    if SAC in regions.found:
        taken["sac_area_mm2"] = Reading(regions.found[SAC].shape.area)
    flags = [*input_flags(spacing_known=spacing is not None, sides_known=sides_known), *region_flags(regions)]
    if view:
        taken |= take_readings(view, mirrored=image_left == "left")
        flags += view_flags(view, sides_known=sides_known)
    readings = {name: reading for name, reading in taken.items() if isinstance(reading, Reading)}
    values = _with_ratios({name: reading.value for name, reading in readings.items()})
    flags += [Flag("open_canal", doubt) for doubt in {reading.doubt for reading in readings.values()} if doubt]
    if spacing is not None:
        flags += size_flags(values)
    withheld = _reasons(taken, flags)
    shown = {name: reading for name, reading in readings.items() if name not in withheld}
    return SliceMeasurements(
        **{name: None if name in withheld else values[name] for name in MEASUREMENTS},
        sac_area_counted_mm2=None if "sac_area_mm2" in withheld else regions.found[SAC].counted,
        rotation_deg=view.axes.rotation if view else None,
        calipers=calipers_of(shown, view, regions.spacing) if view else {},
        outlines=region_outlines(regions) | (reading_outlines(shown, view, regions.spacing) if view else {}),
        withheld=withheld,
        flags=tuple(flags),
    )


def _with_ratios(values: dict[str, float]) -> dict[str, float]:
    """Add the ratios of which both parts were measured."""
    possible = {ratio: parts for ratio, parts in RATIOS.items() if values.keys() >= set(parts)}
    return values | {ratio: values[over] / values[under] for ratio, (over, under) in possible.items()}


def _reasons(taken: dict[str, Reading | str], flags: list[Flag]) -> dict[str, str]:
    """Why measures are withheld: the first flag that undermines each, or else why it could not be read."""
    unread = {name: reading for name, reading in taken.items() if isinstance(reading, str)}
    unread |= {ratio: unread[part] for ratio, parts in RATIOS.items() for part in parts if part in unread}
    return unread | undermined(flags)
