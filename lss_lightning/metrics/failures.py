"""What goes wrong with a structure as a whole: missed, invented, split into several parts, or merged into fewer."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lss_lightning.labels import IGNORED, LabelSet
from lss_lightning.metrics.overlap import Counts
from lss_lightning.metrics.plain import by_key

PART_SHARE = 0.1
"""A connected part of a class counts if it holds at least this share of the class's largest part's pixels; what is
smaller is crumbs, which the boundary measures see."""

FAILURES = ("missed", "invented", "split", "merged")
"""What is counted, in the order of :func:`failures`: the label alone holds the class; the prediction alone holds it;
both do, and the prediction in more parts than the label; or in fewer."""


def count_parts(classes: NDArray[np.uint8], kinds: int) -> NDArray[np.int64]:
    """Count the parts of each class in a label map, pixels that touch at a corner being connected.

    Args:
        classes: (H, W), class indices 0 to K - 1, or :data:`~lss_lightning.labels.IGNORED`.
        kinds: K.

    Returns:
        (K,), those of at least :data:`PART_SHARE` of their class's largest; 0 for a class that is not there.
    """
    from skimage.measure import label

    # One pass for all classes; number 0 is what is ignored.
    numbers = label(classes, background=IGNORED, connectivity=2).ravel()
    sizes = np.bincount(numbers)[1:]
    kind = np.zeros(len(sizes) + 1, dtype=np.int64)
    kind[numbers] = classes.ravel()
    kind = kind[1:]
    largest = np.zeros(kinds, dtype=np.int64)
    np.maximum.at(largest, kind, sizes)
    return np.bincount(kind[sizes >= PART_SHARE * largest[kind]], minlength=kinds)


def image_parts(predicted: NDArray[np.uint8], target: NDArray[np.uint8], kinds: int) -> NDArray[np.int64]:
    """Count the parts of each class in an image's label and prediction.

    Args:
        predicted: (H, W), class indices.
        target: (H, W), class indices; pixels that it ignores are ignored in both.
        kinds: K.

    Returns:
        (K, 2): the label's, the prediction's.
    """
    predicted = np.where(target == IGNORED, IGNORED, predicted)
    return np.stack([count_parts(target, kinds), count_parts(predicted, kinds)], axis=1)


def missed(counts: Counts) -> NDArray[np.bool_]:
    """Which classes (..., K) the label alone holds, by confusion counts (..., K, K)."""
    return (counts.sum(axis=-1) > 0) & (counts.sum(axis=-2) == 0)


def invented(counts: Counts) -> NDArray[np.bool_]:
    """Which classes (..., K) the prediction alone holds, by confusion counts (..., K, K)."""
    return (counts.sum(axis=-1) == 0) & (counts.sum(axis=-2) > 0)


def failures(counts: Counts, parts: NDArray[np.int64]) -> dict[str, NDArray[np.bool_]]:
    """Which classes failed in which images.

    Args:
        counts: (N, K, K).
        parts: (N, K, 2), of :func:`image_parts`.

    Returns:
        (N, K) for each of :data:`FAILURES`.
    """
    label, prediction = np.moveaxis(parts, -1, 0)
    both = (label > 0) & (prediction > 0)
    found = (missed(counts), invented(counts), both & (prediction > label), both & (prediction < label))
    return dict(zip(FAILURES, found, strict=True))


def summarise_failures(counts: Counts, parts: NDArray[np.int64], labels: LabelSet) -> dict[str, Any]:
    """Compute the ``failures`` part of ``metrics.json``.

    Args:
        counts: (N, K, K).
        parts: (N, K, 2), of :func:`image_parts`.
        labels: The K classes.

    Returns:
        Plain data: by class the number of images whose label holds it (``labelled``) and of each of :data:`FAILURES`,
        and ``part_share``, the definition of a part.
    """
    images = {"labelled": counts.sum(axis=2) > 0, **failures(counts, parts)}
    numbers = {name: by_key(chosen.sum(axis=0).tolist(), labels) for name, chosen in images.items()}
    return {"part_share": PART_SHARE, **numbers}
