"""Is this an axial lumbar slice at all? Signs in the image, and in what the network makes of it.

A network labels whatever it is shown. None of the signs is proof, and images unlike those they were tried on may pass:
what fails is flagged and not measured, what passes is not thereby a lumbar slice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lss_lightning.labels import LabelSet
from lss_lightning.stenosis.measurements import AAP, DISC, MEASUREMENTS, POSTERIOR, SAC, Flag

_USUAL_WIDTH = 220.0
"""Field of view where no pixel size is known, mm."""

_SMOOTH = 4.0
"""Of what symmetry and extent are looked for in, mm: finer structures differ from side to side."""

_ROUNDING = 1e-9
"""Share of an image's variance that sums of its squares are wrong by at most."""

_ANATOMY = (DISC, POSTERIOR, SAC, AAP)


@dataclass(frozen=True)
class Sign:
    """A figure that tells axial lumbar slices from other images.

    Attributes:
        limit: What separates them.
        above: Whether it is too much (or too little) that is a doubt.
        doubt: What it means.
    """

    limit: float
    above: bool
    doubt: str

    def doubts(self, value: float) -> bool:
        """Whether a value lies on the wrong side; NaN does."""
        return not (value <= self.limit if self.above else value >= self.limit)


SIGNS: Mapping[str, Sign] = MappingProxyType(
    {
        "grain": Sign(0.6, above=True, doubt="the image is noise"),
        "tail": Sign(-0.2, above=False, doubt="bright where it should be dark, as if inverted"),
        "symmetry": Sign(0.6, above=False, doubt="the image's halves do not mirror each other"),
        "extent": Sign(170.0, above=False, doubt="the body in it is narrower than a trunk"),
        "certainty": Sign(0.7, above=False, doubt="the network is unsure of the structures it finds"),
        "arrangement": Sign(2.0, above=False, doubt="disc, sac and posterior element do not lie one behind the other"),
    }
)
"""By name, in the order in which they are told; values by :func:`image_signs` and :func:`label_signs`."""


def plausibility_flags(
    image: NDArray[np.uint8],
    probabilities: NDArray[np.floating],
    labels: LabelSet,
    spacing: tuple[float, float] | None,
) -> Iterator[Flag]:
    """Flag what is probably no axial lumbar slice; nothing is measured there.

    Args:
        image: (C, H, W) uint8, what the network was shown.
        probabilities: (K, H, W), what it made of it, on the same grid or another.
        labels: The K classes.
        spacing: Height and width of the image's pixel, mm; None where unknown.
    """
    values = image_signs(image, spacing) | label_signs(probabilities, labels)
    doubts = [f"{sign.doubt} ({name} {values[name]:.2f})" for name, sign in SIGNS.items() if sign.doubts(values[name])]
    if doubts:
        yield Flag("implausible", f"this may be no axial lumbar slice: {'; '.join(doubts)}", tuple(MEASUREMENTS))


def image_signs(image: NDArray[np.uint8], spacing: tuple[float, float] | None) -> dict[str, float]:
    """Signs in the image alone, the mean of its channels, (C, H, W).

    Returns:
        - ``grain``: SD of the difference of neighbouring pixels over √2 times that of the pixels: 1 in noise.
        - ``tail``: skewness of the grey values: positive where most is dark, as air and muscle are.
        - ``symmetry``: correlation of the left half with the mirrored right one, at the best axis near the middle.
        - ``extent``: width of what is not background, mm.
    """
    from scipy.ndimage import gaussian_filter

    grey = image.mean(axis=0, dtype=np.float64)
    apart, spread = grey - grey.mean(), max(float(grey.std()), 1e-9)
    height, width = spacing or (_USUAL_WIDTH / grey.shape[1],) * 2
    smooth = gaussian_filter(grey, (_SMOOTH / height, _SMOOTH / width))
    steps = [np.diff(grey, axis=axis) for axis in (0, 1)]
    seen = (smooth > 0.1 * smooth.max()).any(axis=0)
    columns = np.flatnonzero(seen)
    return {
        "grain": float(np.mean([step.std() for step in steps])) / np.sqrt(2) / spread,
        "tail": float((apart * apart * apart).mean()) / spread**3,
        "symmetry": _symmetry(smooth),
        "extent": float(columns[-1] - columns[0] + 1) * width if len(columns) else 0.0,
    }


def label_signs(probabilities: NDArray[Any], labels: LabelSet) -> dict[str, float]:
    """Signs in class probabilities, (K, H, W).

    Returns:
        - ``certainty``: mean probability of the class found, over the pixels of the anatomy found; NaN without any.
        - ``arrangement``: how many of disc, posterior element (behind the disc) and sac (between the two, within the
          disc's width) are there, 0 to 3. One may be missing: a sac may be pressed flat.
    """
    highest = probabilities.max(axis=0)
    # Several times as fast as argmax; a pixel between two classes counts as both.
    masks = {key: probabilities[labels.keys.index(key)] == highest for key in _ANATOMY}
    anatomy = np.logical_or.reduce(list(masks.values()))
    certainty = float(highest[anatomy].mean()) if anatomy.any() else np.nan
    return {"certainty": certainty, "arrangement": _arrangement(masks)}


def _arrangement(masks: Mapping[str, NDArray[np.bool_]]) -> float:
    middle = {key: np.argwhere(mask).mean(axis=0) for key, mask in masks.items() if mask.any()}
    if DISC not in middle:
        return 0.0
    front, columns = middle[DISC][0], np.flatnonzero(masks[DISC].any(axis=0))
    rear = middle[POSTERIOR][0] if POSTERIOR in middle else front
    sac = middle.get(SAC, (front, columns[0]))
    return 1.0 + float(rear > front) + float(front < sac[0] < rear and columns[0] < sac[1] < columns[-1])


def _symmetry(smooth: NDArray[np.float64]) -> float:
    """The correlation at the best axis near the middle; -1 where either half is uniform at every one."""
    height, width = smooth.shape
    centred = smooth - smooth.mean()
    # About whichever axis, the products of mirrored columns lie on an anti-diagonal.
    products = centred.T @ centred
    sums, squares = (np.concatenate(([0.0], np.cumsum(part))) for part in (centred.sum(axis=0), products.diagonal()))
    uniform = _ROUNDING * squares[-1]
    best = -1.0
    for axis in range(round(0.38 * width), round(0.62 * width) + 1, max(1, width // 80)):
        half = min(axis, width - axis)
        count, aside = half * height, np.arange(half)
        edges = np.array((axis - half, axis, axis + half))
        left, right = np.diff(sums[edges])
        spreads = np.diff(squares[edges]) - np.array((left, right)) ** 2 / count
        if spreads.min() > uniform:
            shared = products[axis - 1 - aside, axis + aside].sum() - left * right / count
            best = max(best, float(shared / np.sqrt(spreads.prod())))
    return best
