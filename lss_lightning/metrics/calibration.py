"""Calibration of the predicted probabilities near the anatomical structures.

Far from any structure, every network is confident and correct, and the many pixels there would mask all errors.
Therefore, only the pixels in the labelled foreground and in a band around it are counted.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lss_lightning.labels import IGNORE_INDEX, LabelSet
from lss_lightning.metrics.overlap import Scores, mean_defined
from lss_lightning.metrics.plain import by_key, to_plain

BAND_MM = 5.0
"""Width in mm of the band around the anatomical classes, which are themselves part of the band."""

BAND_PX = 7.0
"""Width of the band in pixels if the pixel spacing is unknown."""

RELIABILITY_BINS = 15
"""Number of equal bins of probability, as in Guo et al., *On calibration of modern neural networks*, 2017."""


def foreground_band(target: NDArray[np.uint8], anatomical: tuple[int, ...], spacing: float | None) -> NDArray[np.bool_]:
    """Return a mask of the pixels in and around the labelled structures.

    Args:
        target: (H, W), class indices; :data:`~lss_lightning.labels.IGNORE_INDEX` pixels are never in the band.
        anatomical: Indices of the anatomical classes.
        spacing: Pixel spacing in mm, or None if unknown.

    Returns:
        (H, W); empty if there is no anatomical pixel.
    """
    from scipy.ndimage import distance_transform_edt

    foreground = np.isin(target, anatomical)
    if not foreground.any():
        return foreground
    reach = BAND_PX if spacing is None else BAND_MM / spacing
    return (distance_transform_edt(~foreground) <= reach) & (target != IGNORE_INDEX)


def reliability_bins(probabilities: NDArray[np.float32], classes: NDArray[np.uint8]) -> Scores:
    """Bin pixels by the probability of each class.

    Args:
        probabilities: (K, n), class probabilities of n pixels, 0 to 1.
        classes: (n,), true class indices.

    Returns:
        (K, RELIABILITY_BINS, 3) float64: for each bin the number of pixels, the sum of their probabilities, and the
        number of pixels of the class.
    """
    kinds, size = len(probabilities), RELIABILITY_BINS
    bins = np.minimum((probabilities * size).astype(np.int64), size - 1) + size * np.arange(kinds)[:, None]
    hits = classes == np.arange(kinds)[:, None]
    sums = [
        np.bincount(bins.ravel(), weights, minlength=kinds * size)
        for weights in (None, probabilities.ravel(), hits.ravel())
    ]
    return np.stack(sums, axis=-1).reshape(kinds, size, 3).astype(np.float64)


def calibration_error(bins: Scores) -> Scores:
    """Compute the expected calibration error of each class, one class against the rest.

    The error is the mean over pixels of |observed frequency - mean probability| of the pixel's bin. Its mean over the
    classes is the static calibration error of Nixon et al., *Measuring calibration in deep learning*, 2019.

    Args:
        bins: (K, RELIABILITY_BINS, 3), as returned by :func:`reliability_bins`, summed over images.

    Returns:
        (K,), 0 to 1; NaN for a class without a labelled pixel.
    """
    pixels, probability, hits = np.moveaxis(bins, -1, 0)
    error = np.abs(hits - probability).sum(axis=-1)
    return np.divide(error, pixels.sum(axis=-1), out=np.full(len(bins), np.nan), where=hits.sum(axis=-1) > 0)


def summarise_calibration(bins: Scores, labels: LabelSet) -> dict[str, Any]:
    """Compute the ``calibration`` part of ``metrics.json``.

    Args:
        bins: (N, K, RELIABILITY_BINS, 3), as returned by :func:`reliability_bins`; N may be 0.
        labels: The K classes.

    Returns:
        Plain data: the definition (``band_mm``, ``band_px`` for unknown spacings, ``bins``), the number of ``pixels``
        in the band, ``ece`` by class, and ``mean_ece`` and ``mean_ece_anatomy`` over the classes with a defined error.
    """
    pooled = bins.sum(axis=0)
    error = calibration_error(pooled)
    return {
        "band_mm": BAND_MM,
        "band_px": BAND_PX,
        "bins": RELIABILITY_BINS,
        "pixels": int(pooled[0, :, 0].sum()),
        "ece": by_key(to_plain(error), labels),
        "mean_ece": to_plain(mean_defined(error)),
        "mean_ece_anatomy": to_plain(mean_defined(error[list(labels.anatomical)])),
    }


def reliability_diagrams(bins: Scores, labels: LabelSet) -> dict[str, dict[str, list[float | None]]]:
    """Compute the reliability diagram of each class.

    Args:
        bins: (N, K, RELIABILITY_BINS, 3), as returned by :func:`reliability_bins`.
        labels: The K classes.

    Returns:
        By class key: the number of ``pixels``, mean ``probability`` and observed ``frequency`` of each bin.
    """
    diagrams = {}
    for key, pooled in zip(labels.keys, bins.sum(axis=0), strict=True):
        pixels, probability, hits = pooled.T
        empty = np.full(RELIABILITY_BINS, np.nan)
        diagrams[key] = {
            "pixels": pixels.astype(int).tolist(),
            "probability": to_plain(np.divide(probability, pixels, out=empty.copy(), where=pixels > 0)),
            "frequency": to_plain(np.divide(hits, pixels, out=empty.copy(), where=pixels > 0)),
        }
    return diagrams
