"""Classification of the slices of a group as passing through the disc or through a vertebral body.

The label set has no vertebral body, and a network trained on slices through discs may label one as a disc. In adults
without marrow disease, however, marrow is brighter than the disc on T1 (Castillo et al., AJNR 11:23, 1990), and all
slices of a group show the same region with the same coil. The brightness inside the predicted disc is therefore
compared between the slices of a group. If the brightness hardly differs, the slices cannot be classified.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lss_lightning.stenosis.components import find_bounding_box, find_components

# Our choices, tested on the phantom (docs/predict.md).
_MIN_BRIGHTNESS_RATIO = 1.25  # marrow to disc
_RIM = 4.0  # width in mm of the excluded rim of the disc
_MIN_AREA = 100.0  # mm² within the rim

NO_CONTRAST = "the slices of its group are equally bright on T1 inside the predicted disc"
NO_DISC = "no slice of its group shows a disc"


def find_disc_slices(
    discs: Sequence[NDArray[np.floating[Any]]], t1: Sequence[NDArray[np.uint8]], spacing: tuple[float, float]
) -> tuple[bool, ...] | str:
    """Find the slices of a group that pass through the disc.

    Args:
        discs: Disc probability of each slice, (H, W); all slices have the same size.
        t1: T1 images, (H, W), on the same grid.
        spacing: Height and width of a pixel in mm.

    Returns:
        Whether each slice passes through the disc, or the reason why the slices cannot be classified.
    """
    masks = [_find_interior(disc > 0.5, spacing) for disc in discs]
    with_disc = [index for index, mask in enumerate(masks) if mask is not None]
    if not with_disc:
        return NO_DISC
    brightness = []
    for index, image in enumerate(t1):
        # A slice without a predicted disc is sampled within the disc of its nearest neighbour.
        nearest = min(with_disc, key=lambda candidate: abs(candidate - index))
        brightness.append(math.log1p(float(np.median(image[masks[nearest]]))))
    darkest, brightest = min(brightness), max(brightness)
    if brightest - darkest < math.log(_MIN_BRIGHTNESS_RATIO):
        return NO_CONTRAST
    return tuple(value < (darkest + brightest) / 2 for value in brightness)


def _find_interior(disc: NDArray[np.bool_], spacing: tuple[float, float]) -> NDArray[np.bool_] | None:
    """Return the largest component of the disc without its rim, or None if it is too small."""
    from scipy import ndimage

    components = find_components(disc)
    largest = components.to_mask(components.largest())
    if not largest.any():
        return None
    window, interior = find_bounding_box(largest), np.zeros_like(largest)
    depth = ndimage.distance_transform_edt(np.pad(largest[window], 1), sampling=spacing)[1:-1, 1:-1]
    interior[window] = depth > _RIM
    return interior if interior.sum() * spacing[0] * spacing[1] >= _MIN_AREA else None
