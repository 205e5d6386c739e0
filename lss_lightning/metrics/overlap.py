"""Overlap scores computed from confusion counts.

Counts are (..., K, K) integers, with true classes in rows and predicted classes in columns; scores are (..., K) floats.
An undefined score, such as the IoU of a class in neither label nor prediction, is NaN here and null in
``metrics.json``. Undefined scores are never replaced with 0 or 1, and are ignored in means.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lss_lightning.labels import LabelSet

Counts = NDArray[np.int64]
"""Confusion counts, (..., K, K), int64."""

Scores = NDArray[np.float64]
"""Scores of any shape, float64; NaN if undefined."""


def iou(counts: Counts) -> Scores:
    """Compute the intersection over union of each class; NaN if the class is in neither label nor prediction."""
    hits, true, predicted = _marginals(counts)
    return _ratio(hits, true + predicted - hits)


def dice(counts: Counts) -> Scores:
    """Compute the Dice coefficient of each class; NaN if the class is in neither label nor prediction."""
    hits, true, predicted = _marginals(counts)
    return _ratio(2 * hits, true + predicted)


def precision(counts: Counts) -> Scores:
    """Compute the fraction of predicted pixels of each class that are correct; NaN if the class is never predicted."""
    hits, _, predicted = _marginals(counts)
    return _ratio(hits, predicted)


def recall(counts: Counts) -> Scores:
    """Compute the fraction of labelled pixels of each class that are predicted; NaN if the class is not labelled."""
    hits, true, _ = _marginals(counts)
    return _ratio(hits, true)


def mean_defined(scores: Scores, axis: int = -1) -> Scores:
    """Average the defined scores along an axis; NaN if none is defined."""
    return _ratio(np.nansum(scores, axis=axis), np.sum(~np.isnan(scores), axis=axis))


def pool_patients(counts: Counts, patients: Sequence[str]) -> Counts:
    """Sum the counts of the images of each patient.

    Args:
        counts: (N, K, K), counts of N images.
        patients: Patient of each image.

    Returns:
        (P, K, K), in ascending order of the patient ids.

    Raises:
        ValueError: If the numbers of images and patients differ.
    """
    if len(counts) != len(patients):
        raise ValueError(f"{len(counts)} images but {len(patients)} patient ids")
    names, rows = np.unique(np.asarray(patients, dtype=np.str_), return_inverse=True)
    pooled = np.zeros((len(names), *counts.shape[1:]), dtype=np.int64)
    np.add.at(pooled, rows, counts)
    return pooled


def overlap_scores(counts: Counts, labels: LabelSet) -> dict[str, Scores]:
    """Compute the IoU and Dice of each class, and their means.

    Args:
        counts: (..., K, K).
        labels: The K classes.

    Returns:
        By key of ``metrics.json``: ``iou`` and ``dice`` (..., K); ``mean_iou`` and ``mean_dice`` (...) over the classes
        with a defined score; ``mean_iou_anatomy`` and ``mean_dice_anatomy`` over the anatomical classes among these;
        and ``mean_iou_without`` (..., A), the mean over all other classes for each of the A non-anatomical ones.
    """
    summary = {}
    for name, scores in (("iou", iou(counts)), ("dice", dice(counts))):
        summary[name] = scores
        summary[f"mean_{name}"] = mean_defined(scores)
        summary[f"mean_{name}_anatomy"] = mean_defined(scores[..., list(labels.anatomical)])
    kept = ~np.eye(len(labels), dtype=bool)[non_anatomical(labels)]
    summary["mean_iou_without"] = mean_defined(np.where(kept, summary["iou"][..., None, :], np.nan))
    return summary


def iou_and_means(counts: Counts, labels: LabelSet) -> Scores:
    """Compute the IoU of each class, its mean over all classes, and its mean over the anatomical classes.

    Args:
        counts: (..., K, K).
        labels: The K classes.

    Returns:
        (..., K + 2).
    """
    return _append_means(iou(counts), labels)


def difference_of_iou_and_means(first: Counts, second: Counts, labels: LabelSet) -> Scores:
    """Compute the difference of :func:`iou_and_means` for tests whose images may contain different classes.

    A class with a defined score in only one of the tests has no difference and is ignored in both means. Otherwise, a
    rare class missing from one test could change the difference of the means by up to a sixth.

    Args:
        first: (..., K, K).
        second: (..., K, K).
        labels: The K classes.

    Returns:
        (..., K + 2), first minus second.
    """
    return _append_means(iou(first) - iou(second), labels)


def _append_means(scores: Scores, labels: LabelSet) -> Scores:
    """Return the scores of the classes, their mean, and the mean of the anatomical ones, (..., K + 2)."""
    means = [mean_defined(subset)[..., None] for subset in (scores, scores[..., list(labels.anatomical)])]
    return np.concatenate([scores, *means], axis=-1)


def non_anatomical(labels: LabelSet) -> list[int]:
    """Return the indices of the non-anatomical classes."""
    return [index for index, label in enumerate(labels) if not label.anatomical]


def _marginals(counts: Counts) -> tuple[Counts, Counts, Counts]:
    return np.diagonal(counts, axis1=-2, axis2=-1), counts.sum(axis=-1), counts.sum(axis=-2)


def _ratio(numerator: NDArray[Any], denominator: NDArray[Any]) -> Scores:
    undefined = np.full(np.shape(denominator), np.nan)
    return np.divide(numerator, denominator, out=undefined, where=denominator > 0)
