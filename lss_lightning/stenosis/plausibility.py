"""Signs that an image is not an axial lumbar slice, computed from the image and the predicted probabilities.

A network segments any image. None of the signs is conclusive, and images unlike those that the signs were tested on
may pass. Implausible images are flagged and not measured, but an unflagged image is not necessarily a lumbar slice.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lss_lightning.labels import LabelSet
from lss_lightning.stenosis.measurements import AAP, DISC, MEASUREMENTS, POSTERIOR, SAC, Flag

_USUAL_WIDTH = 220.0
"""Assumed field of view in mm if the pixel spacing is unknown."""

_SMOOTHING = 4.0
"""Smoothing in mm before computing symmetry and extent, because fine structures differ between the sides."""

_ROUNDING = 1e-9
"""Maximum rounding error of sums of squares, as a fraction of the image's variance."""

_ANATOMY = (DISC, POSTERIOR, SAC, AAP)


@dataclass(frozen=True)
class PlausibilitySign:
    """A statistic that separates axial lumbar slices from other images.

    Attributes:
        limit: The limit between axial lumbar slices and other images.
        above: Whether values above the limit are implausible; otherwise, values below it are.
        message: Interpretation of an implausible value.
    """

    limit: float
    above: bool
    message: str

    def is_implausible(self, value: float) -> bool:
        """Return whether a value is on the wrong side of the limit; NaN always is."""
        return not (value <= self.limit if self.above else value >= self.limit)


PLAUSIBILITY_SIGNS: Mapping[str, PlausibilitySign] = MappingProxyType(
    {
        "grain": PlausibilitySign(0.6, above=True, message="the image is noise"),
        "tail": PlausibilitySign(-0.2, above=False, message="bright where it should be dark, as if inverted"),
        "symmetry": PlausibilitySign(0.6, above=False, message="the image's halves do not mirror each other"),
        "extent": PlausibilitySign(170.0, above=False, message="the body in it is narrower than a trunk"),
        "certainty": PlausibilitySign(0.7, above=False, message="the network is unsure of the structures it finds"),
        "arrangement": PlausibilitySign(
            2.0, above=False, message="disc, sac and posterior element are not one behind the other"
        ),
    }
)
"""Signs by name, in the order of messages, computed by :func:`compute_image_signs` and :func:`compute_label_signs`."""


def flag_plausibility(
    image: NDArray[np.uint8],
    probabilities: NDArray[np.floating],
    labels: LabelSet,
    spacing: tuple[float, float] | None,
) -> Iterator[Flag]:
    """Flag an image that is probably not an axial lumbar slice. The flag withholds all measurements.

    Args:
        image: (C, H, W) uint8, the input of the network.
        probabilities: (K, h, w), the class probabilities, on any grid.
        labels: The K classes.
        spacing: Height and width of an image pixel in mm, or None if unknown.
    """
    values = compute_image_signs(image, spacing) | compute_label_signs(probabilities, labels)
    problems = [
        f"{sign.message} ({name} {values[name]:.2f})" if math.isfinite(values[name]) else "no anatomy is found"
        for name, sign in PLAUSIBILITY_SIGNS.items()
        if sign.is_implausible(values[name])
    ]
    if problems:
        yield Flag("implausible", f"this may not be an axial lumbar slice: {'; '.join(problems)}", tuple(MEASUREMENTS))


def compute_image_signs(image: NDArray[np.uint8], spacing: tuple[float, float] | None) -> dict[str, float]:
    """Compute the signs that depend on the image only, from the mean of its channels.

    Args:
        image: (C, H, W) uint8.
        spacing: Height and width of a pixel in mm, or None if unknown.

    Returns:
        - ``grain``: SD of the differences between neighbouring pixels, divided by √2 times the SD of the pixels; 1 for
          noise.
        - ``tail``: skewness of the grey values; positive if most pixels are dark, like air and muscle.
        - ``symmetry``: correlation of the left half with the mirrored right half, at the best axis near the middle.
        - ``extent``: width of the foreground, mm.
    """
    from scipy.ndimage import gaussian_filter

    grey = image.mean(axis=0, dtype=np.float64)
    centred, spread = grey - grey.mean(), max(float(grey.std()), 1e-9)
    height, width = spacing or (_USUAL_WIDTH / grey.shape[1],) * 2
    smooth = gaussian_filter(grey, (_SMOOTHING / height, _SMOOTHING / width))
    steps = [np.diff(grey, axis=axis) for axis in (0, 1)]
    columns = np.flatnonzero((smooth > 0.1 * smooth.max()).any(axis=0))
    return {
        "grain": float(np.mean([step.std() for step in steps])) / np.sqrt(2) / spread,
        "tail": float((centred * centred * centred).mean()) / spread**3,
        "symmetry": _compute_symmetry(smooth),
        "extent": float(columns[-1] - columns[0] + 1) * width if len(columns) else 0.0,
    }


def compute_label_signs(probabilities: NDArray[Any], labels: LabelSet) -> dict[str, float]:
    """Compute the signs that depend on the class probabilities.

    Args:
        probabilities: (K, H, W).
        labels: The K classes.

    Returns:
        - ``certainty``: mean probability of the predicted class over the predicted anatomy; NaN if there is none.
        - ``arrangement``: how many of disc, posterior element (behind the disc) and sac (between the two, within the
          width of the disc) are present, 0 to 3. One may be missing, because a sac may be compressed flat.
    """
    highest = probabilities.max(axis=0)
    # This is several times as fast as argmax. A pixel with a tie counts as both classes.
    masks = {key: probabilities[labels.keys.index(key)] == highest for key in _ANATOMY}
    anatomy = np.logical_or.reduce(list(masks.values()))
    certainty = float(highest[anatomy].mean()) if anatomy.any() else np.nan
    return {"certainty": certainty, "arrangement": _count_arranged(masks)}


def _count_arranged(masks: Mapping[str, NDArray[np.bool_]]) -> float:
    middle = {key: np.argwhere(mask).mean(axis=0) for key, mask in masks.items() if mask.any()}
    if DISC not in middle:
        return 0.0
    front, columns = middle[DISC][0], np.flatnonzero(masks[DISC].any(axis=0))
    rear = middle[POSTERIOR][0] if POSTERIOR in middle else front
    sac = middle.get(SAC, (front, columns[0]))
    return 1.0 + float(rear > front) + float(front < sac[0] < rear and columns[0] < sac[1] < columns[-1])


def _compute_symmetry(smooth: NDArray[np.float64]) -> float:
    """Return the correlation at the best axis near the middle, or -1 if one half is uniform at every axis."""
    height, width = smooth.shape
    centred = smooth - smooth.mean()
    # For any axis, the products of mirrored columns are on an anti-diagonal.
    products = centred.T @ centred
    sums, squares = (np.concatenate(([0.0], np.cumsum(part))) for part in (centred.sum(axis=0), products.diagonal()))
    uniform = _ROUNDING * squares[-1]
    best = -1.0
    for axis in range(round(0.38 * width), round(0.62 * width) + 1, max(1, width // 80)):
        half = min(axis, width - axis)
        count, offsets = half * height, np.arange(half)
        edges = np.array((axis - half, axis, axis + half))
        left, right = np.diff(sums[edges])
        spreads = np.diff(squares[edges]) - np.array((left, right)) ** 2 / count
        if spreads.min() > uniform:
            shared = products[axis - 1 - offsets, axis + offsets].sum() - left * right / count
            best = max(best, float(shared / np.sqrt(spreads.prod())))
    return best
