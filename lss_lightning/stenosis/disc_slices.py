"""Which slices of a group pass through the disc, and which through a vertebral body.

The classes know no vertebral body, and a network that learned from slices through discs may well draw a disc there. But
marrow is brighter than a disc on T1, in adults without disease of the marrow (Castillo et al., AJNR 11:23, 1990), and
slices of one group show the same place with the same coil. So the brightness where the disc is drawn is compared
between neighbours; where it hardly differs, nothing can be told.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lss_lightning.stenosis.components import find_parts, window_of

# Our choices, tried on the phantom (docs/predict.md): how much brighter marrow must be than the disc; how far from the
# disc's edge the brightness is taken, mm; and what is left to take it from at least, mm².
_BRIGHTER = 1.25
_INSIDE = 4.0
_LEAST_AREA = 100.0

NO_CONTRAST = "the slices of its group are equally bright on T1 where the disc is drawn"
NO_DISC = "no slice of its group shows a disc"


def through_disc(
    discs: Sequence[NDArray[np.floating[Any]]], t1: Sequence[NDArray[np.uint8]], spacing: tuple[float, float]
) -> tuple[bool, ...] | str:
    """Tell the slices of a group that pass through the disc.

    Args:
        discs: Probability of the disc, (H, W), of each slice; all of one size.
        t1: T1 images, (H, W), on the same grids.
        spacing: Height and width of a pixel, mm.

    Returns:
        Of each slice whether it does; or why that cannot be told.
    """
    places = [_inside(disc > 0.5, spacing) for disc in discs]
    drawn = [index for index, place in enumerate(places) if place is not None]
    if not drawn:
        return NO_DISC
    brightness = []
    for index, image in enumerate(t1):
        # A slice without a disc of its own is looked at where its nearest neighbour has one.
        nearest = min(drawn, key=lambda other: abs(other - index))
        brightness.append(math.log1p(float(np.median(image[places[nearest]]))))
    darkest, brightest = min(brightness), max(brightness)
    if brightest - darkest < math.log(_BRIGHTER):
        return NO_CONTRAST
    return tuple(value < (darkest + brightest) / 2 for value in brightness)


def _inside(disc: NDArray[np.bool_], spacing: tuple[float, float]) -> NDArray[np.bool_] | None:
    """The disc's largest part without its rim; None where nothing worth mentioning is left."""
    from scipy import ndimage

    parts = find_parts(disc)
    largest = parts.mask(parts.largest())
    if not largest.any():
        return None
    window, inside = window_of(largest), np.zeros_like(largest)
    depth = ndimage.distance_transform_edt(np.pad(largest[window], 1), sampling=spacing)[1:-1, 1:-1]
    inside[window] = depth > _INSIDE
    return inside if inside.sum() * spacing[0] * spacing[1] >= _LEAST_AREA else None
