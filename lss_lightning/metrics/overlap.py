"""Overlap scores from confusion counts.

Counts are (..., K, K) integers, rows true classes, columns predicted ones, and scores (..., K) floats. A score that is
not defined, such as the IoU of a class that neither label nor prediction holds, is NaN here and null in
``metrics.json``: it is never 0 or 1, and no mean counts it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lss_lightning.labels import LabelSet

Counts = NDArray[np.int64]
Scores = NDArray[np.float64]


def iou(counts: Counts) -> Scores:
    """Intersection over union (Jaccard index) of each class; NaN where the class is in neither label nor prediction."""
    hits, true, predicted = _marginals(counts)
    return _ratio(hits, true + predicted - hits)


def dice(counts: Counts) -> Scores:
    """Dice coefficient (F1 score) of each class; NaN where the class is in neither label nor prediction."""
    hits, true, predicted = _marginals(counts)
    return _ratio(2 * hits, true + predicted)


def precision(counts: Counts) -> Scores:
    """Share of the pixels predicted as a class that are of it; NaN where the class is never predicted."""
    hits, _, predicted = _marginals(counts)
    return _ratio(hits, predicted)


def recall(counts: Counts) -> Scores:
    """Share of the pixels of a class that are predicted as it; NaN where the class is not in the label."""
    hits, true, _ = _marginals(counts)
    return _ratio(hits, true)


def mean_defined(scores: Scores, axis: int = -1) -> Scores:
    """Mean along an axis over the scores that are defined; NaN where none is."""
    return _ratio(np.nansum(scores, axis=axis), np.sum(~np.isnan(scores), axis=axis))


def pool_patients(counts: Counts, patients: Sequence[str]) -> Counts:
    """Sum the counts of each patient's images.

    Args:
        counts: (N, K, K).
        patients: Each image's patient, N of them.

    Returns:
        (P, K, K), patients in ascending order of their ids.

    Raises:
        ValueError: the numbers of images and patients differ.
    """
    if len(counts) != len(patients):
        raise ValueError(f"{len(counts)} images but {len(patients)} patient ids")
    names, places = np.unique(np.asarray(patients, dtype=np.str_), return_inverse=True)
    pooled = np.zeros((len(names), *counts.shape[1:]), dtype=np.int64)
    np.add.at(pooled, places, counts)
    return pooled


def overlap(counts: Counts, labels: LabelSet) -> dict[str, Scores]:
    """IoU and Dice of each class, and their means.

    Args:
        counts: (..., K, K).
        labels: The K classes.

    Returns:
        By key of ``metrics.json``: ``iou`` and ``dice`` (..., K); ``mean_iou`` and ``mean_dice`` (...) over the classes
        where they are defined; ``mean_iou_anatomy`` and ``mean_dice_anatomy`` over the anatomical ones of these;
        ``mean_iou_without`` (..., A): for each of the A classes that are not anatomical, over all but that one.
    """
    figures = {}
    for name, scores in (("iou", iou(counts)), ("dice", dice(counts))):
        figures[name] = scores
        figures[f"mean_{name}"] = mean_defined(scores)
        figures[f"mean_{name}_anatomy"] = mean_defined(scores[..., list(labels.anatomical)])
    kept = ~np.eye(len(labels), dtype=bool)[not_anatomical(labels)]
    figures["mean_iou_without"] = mean_defined(np.where(kept, figures["iou"][..., None, :], np.nan))
    return figures


def iou_and_means(counts: Counts, labels: LabelSet) -> Scores:
    """IoU of each class, then its mean over all classes and its mean over the anatomical ones.

    Args:
        counts: (..., K, K).
        labels: The K classes.

    Returns:
        (..., K + 2).
    """
    return _with_means(iou(counts), labels)


def iou_and_means_less(first: Counts, second: Counts, labels: LabelSet) -> Scores:
    """Difference of the figures of :func:`iou_and_means`, for tests whose images may hold different classes.

    A class that only one of the two defines has no difference and counts in neither mean: otherwise a rare class that
    one test happens to lack would move the difference of the means by a sixth.

    Args:
        first: (..., K, K).
        second: (..., K, K).
        labels: The K classes.

    Returns:
        (..., K + 2), first minus second.
    """
    return _with_means(iou(first) - iou(second), labels)


def _with_means(scores: Scores, labels: LabelSet) -> Scores:
    """(..., K + 2): scores of the classes, their mean, and the mean of the anatomical ones."""
    means = [mean_defined(chosen)[..., None] for chosen in (scores, scores[..., list(labels.anatomical)])]
    return np.concatenate([scores, *means], axis=-1)


def not_anatomical(labels: LabelSet) -> list[int]:
    """Indices of the classes that are no structure of the body."""
    return [index for index, label in enumerate(labels) if not label.anatomical]


def _marginals(counts: Counts) -> tuple[Counts, Counts, Counts]:
    return np.diagonal(counts, axis1=-2, axis2=-1), counts.sum(axis=-1), counts.sum(axis=-2)


def _ratio(numerator: NDArray[Any], denominator: NDArray[Any]) -> Scores:
    undefined = np.full(np.shape(denominator), np.nan)
    return np.divide(numerator, denominator, out=undefined, where=denominator > 0)
