"""The measurements of a single slice, from a label map or class probabilities."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, TypeAlias

from numpy.typing import NDArray

from lss_lightning.labels import LabelSet
from lss_lightning.stenosis.canal import measure_canal_area, measure_canal_depth
from lss_lightning.stenosis.chords import ALONG_U, ALONG_V, find_longest_chord
from lss_lightning.stenosis.distances import LEFTWARDS, RIGHTWARDS, measure_bulge, measure_foraminal_gap
from lss_lightning.stenosis.flags import flag_input, flag_regions, flag_sizes, flag_view
from lss_lightning.stenosis.measurements import MEASUREMENTS, RATIOS, SAC, Flag, SliceMeasurements, find_withheld
from lss_lightning.stenosis.raw_measurement import RawMeasurement
from lss_lightning.stenosis.regions import find_regions
from lss_lightning.stenosis.view import (
    SliceView,
    make_calipers,
    make_measurement_outlines,
    make_region_outlines,
    make_view,
)

Side: TypeAlias = Literal["left", "right"]
"""A side of the patient."""


def measure_slice(
    classes: NDArray[Any],
    labels: LabelSet,
    spacing: tuple[float, float] | None,
    *,
    image_left: Side | None = None,
) -> SliceMeasurements:
    """Measure one axial slice.

    Args:
        classes: Class indices (H, W), integer, or class probabilities (C, H, W), floating, on the grid of the image.
        labels: The classes, in index order; they must include those of the paper.
        spacing: Height and width of a pixel in mm. If None, pixels are assumed to be square and only ratios are
            measured.
        image_left: The patient's side at the left of the image: ``right`` in radiological orientation. If None,
            radiological orientation is assumed and flagged.

    Returns:
        The measurements, each with a value or the reason why it is withheld, and their calipers and outlines.

    Raises:
        UserError: If the label set lacks a measured class, or the spacing is not positive.
        ValueError: If the shape or dtype of the array is not supported.
    """
    regions = find_regions(classes, labels, spacing)
    view = make_view(regions)
    sides_known = image_left is not None
    results: dict[str, RawMeasurement | str] = {}
    if SAC in regions.by_key:
        results["sac_area_mm2"] = RawMeasurement(regions.by_key[SAC].shape.area)
    flags = [*flag_input(spacing_known=spacing is not None, sides_known=sides_known), *flag_regions(regions)]
    if view:
        results |= _measure_view(view, mirrored=image_left == "left")
        flags += flag_view(view, sides_known=sides_known)
    measured = {name: result for name, result in results.items() if isinstance(result, RawMeasurement)}
    values = _add_ratios({name: raw.value for name, raw in measured.items()})
    flags += [Flag("open_canal", caveat) for caveat in {raw.caveat for raw in measured.values()} if caveat]
    if spacing is not None:
        flags += flag_sizes(values)
    withheld = _collect_reasons(results, flags)
    reported = {name: raw for name, raw in measured.items() if name not in withheld}
    return SliceMeasurements(
        **{name: None if name in withheld else values[name] for name in MEASUREMENTS},
        sac_area_counted_mm2=None if "sac_area_mm2" in withheld else regions.by_key[SAC].counted,
        rotation_deg=view.axes.rotation if view else None,
        calipers=make_calipers(reported, view, regions.spacing) if view else {},
        outlines=make_region_outlines(regions)
        | (make_measurement_outlines(reported, view, regions.spacing) if view else {}),
        withheld=withheld,
        flags=tuple(flags),
    )


def _measure_view(view: SliceView, *, mirrored: bool) -> Iterator[tuple[str, RawMeasurement | str]]:
    """Measure everything that the visible structures permit, except ratios.

    Args:
        view: The structures in the axes of the slice.
        mirrored: Whether the left of the image is the patient's left.

    Yields:
        The name of a measurement, with its value or the reason why there is none.
    """
    yield "disc_area_mm2", RawMeasurement(view.disc.area)
    yield "disc_ap_mm", find_longest_chord(view.disc, ALONG_V)
    if view.sac is not None:
        yield "sac_ap_mm", find_longest_chord(view.sac, ALONG_V)
        yield "sac_transverse_mm", find_longest_chord(view.sac, ALONG_U)
    if view.posterior is None:
        return
    yield "bulge_mm", measure_bulge(view.disc) or "no ellipse fits the disc's anterior two thirds"
    if view.sac is None or view.content is None:
        return
    depths = measure_canal_depth(view.disc, view.posterior, view.sac, view.content) or (None, None)
    for name, depth in zip(("canal_ap_mm", "canal_ap_min_mm"), depths, strict=True):
        yield name, depth or "no disc in front of the thecal sac"
    area = measure_canal_area(view.posterior, view.sac, view.content)
    yield "canal_area_mm2", area or "the posterior element is missing on one side of the thecal sac"
    for name, side in (("foramen_left_mm", RIGHTWARDS), ("foramen_right_mm", LEFTWARDS)):
        gap = measure_foraminal_gap(view.disc, view.posterior, view.sac, view.aap, -side if mirrored else side)
        yield name, gap or "no AAP between disc and posterior element on this side"


def _add_ratios(values: dict[str, float]) -> dict[str, float]:
    """Add all ratios whose numerator and denominator were measured."""
    possible = {ratio: terms for ratio, terms in RATIOS.items() if values.keys() >= set(terms)}
    return values | {
        ratio: values[numerator] / values[denominator] for ratio, (numerator, denominator) in possible.items()
    }


def _collect_reasons(results: dict[str, RawMeasurement | str], flags: list[Flag]) -> dict[str, str]:
    """Return the reason for each withheld measurement: the first flag that undermines it, or why it has no value."""
    failed = {name: result for name, result in results.items() if isinstance(result, str)}
    failed |= {ratio: failed[term] for ratio, terms in RATIOS.items() for term in terms if term in failed}
    return failed | find_withheld(flags)
