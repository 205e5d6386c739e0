"""Doubts about a slice, and which measures each of them undermines."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from lss_lightning.stenosis.chords import ALONG_V, crossings, edges_of
from lss_lightning.stenosis.criteria import CRITERIA, RANGES
from lss_lightning.stenosis.measurements import AAP, DISC, MEASUREMENTS, POSTERIOR, RATIOS, SAC, Flag
from lss_lightning.stenosis.regions import Regions
from lss_lightning.stenosis.view import SliceView

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

NAMES = {DISC: "disc", POSTERIOR: "posterior element", SAC: "thecal sac", AAP: "AAP"}
"""The structures in words."""

MOST_SHIFT_MM, MOST_TURN_DEG = 15.0, 5.0
"""How far a patient may have moved between T1 and T2 before their registration is doubted."""

_MOST_ROTATION = 15.0  # degrees
# Another part of the sac's class is told from this share of the largest; from the second on, either may be the sac.
_TOLD, _AMBIGUOUS = 0.1, 0.5


def region_flags(regions: Regions) -> Iterator[Flag]:
    """What the regions alone give rise to: missing classes, structures cut off at the border, a second sac."""
    for key in (DISC, POSTERIOR, SAC, AAP):
        if key not in regions.found and not (key == AAP and len(regions.aap)):
            yield Flag("class_missing", f"no {NAMES[key]} found", needing(key))
    for key, region in regions.found.items():
        if region.at_border:
            # Of the posterior element only the front counts, which lies in the middle of the anatomy.
            undermined = () if key == POSTERIOR else needing(key)
            yield Flag("at_border", f"the {NAMES[key]} touches the image's border", undermined)
    sac = regions.found.get(SAC)
    if sac and sac.strays and sac.strays[0] >= _TOLD * sac.counted:
        ambiguous = sac.strays[0] >= _AMBIGUOUS * sac.counted
        sizes = ", ".join(f"{area:.0f}" for area in (sac.counted, *sac.strays) if area >= _TOLD * sac.counted)
        message = f"more than one thecal sac, of {sizes} mm²" + ("" if ambiguous else "; the largest is measured")
        yield Flag("several_sacs", message, needing(SAC) if ambiguous else ())


def view_flags(view: SliceView, *, sides_known: bool) -> Iterator[Flag]:
    """What the arrangement gives rise to: a turned slice, a sac that is not between disc and posterior element."""
    rotation = view.axes.rotation
    if abs(rotation) > _MOST_ROTATION:
        # Upside down, the picture may have been turned or mirrored: the patient's left is then anybody's guess.
        unclear = abs(rotation) > 90 and not sides_known
        undermined = ("foramen_left_mm", "foramen_right_mm") if unclear else ()
        yield Flag("rotated", f"the slice is rotated by {rotation:.0f}°, more than {_MOST_ROTATION:.0f}°", undermined)
    if view.sac is not None and view.posterior is not None and not _between(view.disc, view.sac, view.posterior):
        message = "the thecal sac does not lie between disc and posterior element"
        yield Flag("sac_misplaced", message, needing(POSTERIOR, SAC))


def input_flags(*, spacing_known: bool, sides_known: bool) -> Iterator[Flag]:
    """What is not known about the picture: its scale, and which side is which."""
    if not spacing_known:
        in_mm = tuple(name for name in MEASUREMENTS if name not in RATIOS)
        yield Flag("spacing_unknown", "the pixel spacing is unknown, so only ratios are measured", in_mm)
    if not sides_known:
        yield Flag("sides_assumed", "left and right are assumed: the image's left is taken for the patient's right")


def size_flags(values: Mapping[str, float]) -> Iterator[Flag]:
    """Measures outside what an adult can have; the ratios made of them fall with them."""
    for name, value in values.items():
        if name in RANGES and not RANGES[name].least <= value <= RANGES[name].most:
            bounds, unit = RANGES[name], MEASUREMENTS[name].unit
            ratios = tuple(ratio for ratio, parts in RATIOS.items() if name in parts)
            message = (
                f"{MEASUREMENTS[name].title} of {value:.1f} {unit} is outside {bounds.least:g}-{bounds.most:g} {unit}"
            )
            yield Flag("size_implausible", message, (name, *ratios))


def level_flags(level: str | None) -> Iterator[Flag]:
    """Measures that are an unreliable sign at a level, ``D3``, ``D4`` or ``D5``; none is withheld."""
    for caution in dict.fromkeys(criterion.caution for criterion in CRITERIA if level in criterion.unreliable_at):
        yield Flag("unreliable_here", caution)


def registration_flags(shift_mm: float, rotation_deg: float, before: float, after: float) -> Iterator[Flag]:
    """What registering T2 to T1 gives rise to: where the two may not lie upon each other, nothing is measured.

    Args:
        shift_mm: How far T2 was moved beyond what the headers say.
        rotation_deg: How far it was turned, either way.
        before: Mutual information of the pair as the headers place it.
        after: The same for the place found; where it is less, T2 was left where the headers place it.
    """
    doubts = []
    if shift_mm > MOST_SHIFT_MM:
        doubts.append(("shift_large", f"T2 lay {shift_mm:.1f} mm off T1, more than {MOST_SHIFT_MM:.0f} mm"))
    if abs(rotation_deg) > MOST_TURN_DEG:
        doubts.append(
            ("turn_large", f"T2 was turned by {rotation_deg:.1f}° against T1, more than {MOST_TURN_DEG:.0f}°")
        )
    if after < before:
        message = "T2 could not be registered to T1 (their mutual information fell) and lies where its header says"
        doubts.append(("information_fell", message))
    for key, message in doubts:
        yield Flag(key, message, tuple(MEASUREMENTS))


def needing(*keys: str) -> tuple[str, ...]:
    """The measures that cannot do without all of these classes."""
    return tuple(name for name, measure in MEASUREMENTS.items() if set(keys) <= set(measure.needs))


def _between(disc: BaseGeometry, sac: BaseGeometry, posterior: BaseGeometry) -> bool:
    """Whether, on the line along v through the sac's centroid, the disc ends before and the arch begins behind it."""
    middle = sac.centroid
    before = crossings(edges_of(disc), middle.x, ALONG_V)
    behind = crossings(edges_of(posterior), middle.x, ALONG_V)
    first_behind = behind[0] if len(behind) else math.inf
    return len(before) > 0 and before[-1] < middle.y < first_behind
