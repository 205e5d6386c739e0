"""Quality flags of a slice, and the measurements that each of them undermines."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from lss_lightning.stenosis.chords import ALONG_V, find_crossings, find_edges
from lss_lightning.stenosis.criteria import CRITERIA
from lss_lightning.stenosis.measurements import AAP, DISC, MEASUREMENTS, POSTERIOR, RATIOS, SAC, Flag
from lss_lightning.stenosis.ranges import PLAUSIBLE_RANGES
from lss_lightning.stenosis.regions import Regions
from lss_lightning.stenosis.view import SliceView

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

STRUCTURE_NAMES = {DISC: "disc", POSTERIOR: "posterior element", SAC: "thecal sac", AAP: "AAP"}
"""Printed name of each structure, by class key."""

MAX_SHIFT_MM, MAX_ROTATION_DEG = 15.0, 5.0
"""Largest shift and rotation between T1 and T2 at which their registration is not flagged."""

_MAX_SLICE_ROTATION = 15.0  # degrees
# A further component of the sac is reported if its area is at least the first fraction of that of the largest one. If
# it is at least the second fraction, the sac is ambiguous.
_REPORTED, _AMBIGUOUS = 0.1, 0.5


def flag_regions(regions: Regions) -> Iterator[Flag]:
    """Flag missing classes, structures cut off at the image border, and a second sac."""
    for key in (DISC, POSTERIOR, SAC, AAP):
        if key not in regions.by_key and not (key == AAP and len(regions.aap)):
            yield Flag("class_missing", f"no {STRUCTURE_NAMES[key]} found", measurements_needing(key))
    for key, region in regions.by_key.items():
        if region.at_border:
            # Only the front of the posterior element is measured, which lies well inside the image.
            undermines = () if key == POSTERIOR else measurements_needing(key)
            yield Flag("at_border", f"the {STRUCTURE_NAMES[key]} touches the image's border", undermines)
    sac = regions.by_key.get(SAC)
    if sac and sac.strays and sac.strays[0] >= _REPORTED * sac.counted:
        ambiguous = sac.strays[0] >= _AMBIGUOUS * sac.counted
        sizes = ", ".join(f"{area:.0f}" for area in (sac.counted, *sac.strays) if area >= _REPORTED * sac.counted)
        message = f"more than one thecal sac, of {sizes} mm²" + ("" if ambiguous else "; the largest is measured")
        yield Flag("several_sacs", message, measurements_needing(SAC) if ambiguous else ())


def flag_view(view: SliceView, *, sides_known: bool) -> Iterator[Flag]:
    """Flag a rotated slice, and a sac that is not between the disc and the posterior element."""
    rotation = view.axes.rotation
    if abs(rotation) > _MAX_SLICE_ROTATION:
        # An upside-down image may have been rotated or mirrored, so the patient's left and right are ambiguous.
        unclear = abs(rotation) > 90 and not sides_known
        undermines = ("foramen_left_mm", "foramen_right_mm") if unclear else ()
        message = f"the slice is rotated by {rotation:.0f}°, more than {_MAX_SLICE_ROTATION:.0f}°"
        yield Flag("rotated", message, undermines)
    if view.sac is not None and view.posterior is not None and not _is_between(view.disc, view.sac, view.posterior):
        message = "the thecal sac is not between disc and posterior element"
        yield Flag("sac_misplaced", message, measurements_needing(POSTERIOR, SAC))


def flag_input(*, spacing_known: bool, sides_known: bool) -> Iterator[Flag]:
    """Flag an unknown pixel spacing and an assumed orientation."""
    if not spacing_known:
        in_mm = tuple(name for name in MEASUREMENTS if name not in RATIOS)
        yield Flag("spacing_unknown", "the pixel spacing is unknown, so only ratios are measured", in_mm)
    if not sides_known:
        yield Flag("sides_assumed", "left and right are assumed: the image's left is taken for the patient's right")


def flag_sizes(values: Mapping[str, float]) -> Iterator[Flag]:
    """Flag measurements outside their plausible range, which undermines the ratios based on them as well."""
    for name, value in values.items():
        if name in PLAUSIBLE_RANGES and not PLAUSIBLE_RANGES[name].low <= value <= PLAUSIBLE_RANGES[name].high:
            bounds, unit = PLAUSIBLE_RANGES[name], MEASUREMENTS[name].unit
            ratios = tuple(ratio for ratio, terms in RATIOS.items() if name in terms)
            message = (
                f"{MEASUREMENTS[name].title} of {value:.1f} {unit} is outside {bounds.low:g}-{bounds.high:g} {unit}"
            )
            yield Flag("size_implausible", message, (name, *ratios))


def flag_level(level: str | None) -> Iterator[Flag]:
    """Flag measurements that are unreliable at a level, ``D3``, ``D4`` or ``D5``, without withholding them."""
    for caution in dict.fromkeys(criterion.caution for criterion in CRITERIA if level in criterion.unreliable_at):
        yield Flag("unreliable_here", caution)


def flag_registration(
    shift_mm: float, rotation_deg: float, information_before: float, information_after: float
) -> Iterator[Flag]:
    """Flag a doubtful registration of T2 to T1, which withholds all measurements.

    Args:
        shift_mm: Displacement of T2 in addition to the positions in the headers, mm.
        rotation_deg: Rotation of T2 in degrees; the sign is ignored.
        information_before: Mutual information of the two images at the positions in the headers.
        information_after: Mutual information after registration. If it is lower than before, T2 was left at its header
            position.
    """
    problems = []
    if shift_mm > MAX_SHIFT_MM:
        problems.append(("shift_large", f"T2 was shifted by {shift_mm:.1f} mm, more than {MAX_SHIFT_MM:.0f} mm"))
    if abs(rotation_deg) > MAX_ROTATION_DEG:
        problems.append(
            ("turn_large", f"T2 was rotated by {rotation_deg:.1f}° against T1, more than {MAX_ROTATION_DEG:.0f}°")
        )
    if information_after < information_before:
        message = "T2 could not be registered to T1 (their mutual information fell), so its header position is used"
        problems.append(("information_fell", message))
    for key, message in problems:
        yield Flag(key, message, tuple(MEASUREMENTS))


def measurements_needing(*keys: str) -> tuple[str, ...]:
    """Return the names of the measurements that need all of the given classes."""
    return tuple(name for name, measurement in MEASUREMENTS.items() if set(keys) <= set(measurement.needs))


def _is_between(disc: BaseGeometry, sac: BaseGeometry, posterior: BaseGeometry) -> bool:
    """Return whether the sac's centroid is behind the disc and in front of the posterior element, along v."""
    middle = sac.centroid
    before = find_crossings(find_edges(disc), middle.x, ALONG_V)
    behind = find_crossings(find_edges(posterior), middle.x, ALONG_V)
    first_behind = behind[0] if len(behind) else math.inf
    return len(before) > 0 and before[-1] < middle.y < first_behind
