"""Scores from confusion counts.

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


def summarise(counts: Counts, patients: Sequence[str], labels: LabelSet) -> dict[str, Any]:
    """Compute the overlap part of ``metrics.json``.

    Args:
        counts: (N, K, K), one matrix per image; N may be 0.
        patients: Each image's patient, N of them.
        labels: The K classes.

    Returns:
        Plain data. ``iou``, ``dice``, ``precision`` and ``recall`` by class key are pooled: summed over all images,
        then divided. ``mean_iou`` averages ``iou`` over the classes present, ``mean_iou_anatomy`` over the anatomical
        ones present. ``per_image`` and ``per_patient`` average, class by class, the IoU of single images or of
        patients (a patient's images pooled) over those where it is defined; their ``mean_iou`` averages these class
        figures.

    Raises:
        ValueError: the numbers of images and patients differ.
    """
    pooled = counts.sum(axis=0)
    pooled_iou = iou(pooled)
    return {
        "iou": _by_key(pooled_iou, labels),
        "dice": _by_key(dice(pooled), labels),
        "precision": _by_key(precision(pooled), labels),
        "recall": _by_key(recall(pooled), labels),
        "mean_iou": _plain(mean_defined(pooled_iou)),
        "mean_iou_anatomy": _plain(mean_defined(pooled_iou[list(labels.anatomical)])),
        "per_image": _averaged(iou(counts), labels),
        "per_patient": _averaged(iou(pool_patients(counts, patients)), labels),
    }


def _averaged(scores: Scores, labels: LabelSet) -> dict[str, Any]:
    means = mean_defined(scores, axis=0)
    return {"iou": _by_key(means, labels), "mean_iou": _plain(mean_defined(means))}


def _by_key(scores: Scores, labels: LabelSet) -> dict[str, float | None]:
    return {key: _plain(score) for key, score in zip(labels.keys, scores, strict=True)}


def _plain(score: Scores | np.float64) -> float | None:
    return None if np.isnan(score) else float(score)


def _marginals(counts: Counts) -> tuple[Counts, Counts, Counts]:
    return np.diagonal(counts, axis1=-2, axis2=-1), counts.sum(axis=-1), counts.sum(axis=-2)


def _ratio(numerator: NDArray[Any], denominator: NDArray[Any]) -> Scores:
    undefined = np.full(np.shape(denominator), np.nan)
    return np.divide(numerator, denominator, out=undefined, where=denominator > 0)
