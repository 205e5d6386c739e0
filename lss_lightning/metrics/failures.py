"""Failures that concern a whole structure: missed, invented, split into more components, or merged into fewer."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lss_lightning.labels import IGNORE_INDEX, LabelSet
from lss_lightning.metrics.overlap import Counts
from lss_lightning.metrics.plain import by_key

PART_SHARE = 0.1
"""Minimum size of a connected component as a fraction of the largest component of its class.

Smaller components are not counted; boundary metrics account for them.
"""

FAILURES = ("missed", "invented", "split", "merged")
"""Kinds of failure, in the order of :func:`find_failures`.

- ``missed``: only the label contains the class.
- ``invented``: only the prediction contains the class.
- ``split``: both contain the class, and the prediction has more components than the label.
- ``merged``: both contain the class, and the prediction has fewer components than the label.
"""


def count_parts(classes: NDArray[np.uint8], kinds: int) -> NDArray[np.int64]:
    """Count the 8-connected components of each class in a label map.

    Args:
        classes: (H, W), class indices 0 to K - 1, or :data:`~lss_lightning.labels.IGNORE_INDEX`.
        kinds: Number of classes, K.

    Returns:
        (K,), number of components with at least :data:`PART_SHARE` of the size of the largest one; 0 for an absent
        class.
    """
    from skimage.measure import label

    # All classes are labelled in one pass. Number 0 is the ignored region.
    numbers = label(classes, background=IGNORE_INDEX, connectivity=2).ravel()
    sizes = np.bincount(numbers)[1:]
    kind = np.zeros(len(sizes) + 1, dtype=np.int64)
    kind[numbers] = classes.ravel()
    kind = kind[1:]
    largest = np.zeros(kinds, dtype=np.int64)
    np.maximum.at(largest, kind, sizes)
    return np.bincount(kind[sizes >= PART_SHARE * largest[kind]], minlength=kinds)


def count_image_parts(predicted: NDArray[np.uint8], target: NDArray[np.uint8], kinds: int) -> NDArray[np.int64]:
    """Count the components of each class in the label and in the prediction of an image.

    Args:
        predicted: (H, W), class indices.
        target: (H, W), class indices; its ignored pixels are ignored in both maps.
        kinds: Number of classes, K.

    Returns:
        (K, 2): components in the label and in the prediction.
    """
    predicted = np.where(target == IGNORE_INDEX, IGNORE_INDEX, predicted)
    return np.stack([count_parts(target, kinds), count_parts(predicted, kinds)], axis=1)


def is_missed(counts: Counts) -> NDArray[np.bool_]:
    """Return whether only the label contains each class, (..., K), from confusion counts (..., K, K)."""
    return (counts.sum(axis=-1) > 0) & (counts.sum(axis=-2) == 0)


def is_invented(counts: Counts) -> NDArray[np.bool_]:
    """Return whether only the prediction contains each class, (..., K), from confusion counts (..., K, K)."""
    return (counts.sum(axis=-1) == 0) & (counts.sum(axis=-2) > 0)


def find_failures(counts: Counts, parts: NDArray[np.int64]) -> dict[str, NDArray[np.bool_]]:
    """Find the failures of each class in each image.

    Args:
        counts: (N, K, K), confusion counts.
        parts: (N, K, 2), as returned by :func:`count_image_parts`.

    Returns:
        For each kind of failure in :data:`FAILURES`, (N, K).
    """
    label, prediction = np.moveaxis(parts, -1, 0)
    both = (label > 0) & (prediction > 0)
    masks = (is_missed(counts), is_invented(counts), both & (prediction > label), both & (prediction < label))
    return dict(zip(FAILURES, masks, strict=True))


def summarise_failures(counts: Counts, parts: NDArray[np.int64], labels: LabelSet) -> dict[str, Any]:
    """Compute the ``failures`` part of ``metrics.json``.

    Args:
        counts: (N, K, K), confusion counts.
        parts: (N, K, 2), as returned by :func:`count_image_parts`.
        labels: The K classes.

    Returns:
        Plain data: by class, the number of images whose label contains the class (``labelled``), and the number with
        each kind of failure in :data:`FAILURES`; and ``part_share``, the minimum size of a component.
    """
    images = {"labelled": counts.sum(axis=2) > 0, **find_failures(counts, parts)}
    numbers = {name: by_key(mask.sum(axis=0).tolist(), labels) for name, mask in images.items()}
    return {"part_share": PART_SHARE, **numbers}
