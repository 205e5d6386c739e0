"""Whether predicted probabilities are the frequencies they claim to be, near the structures.

Far from any structure every network is rightly sure, and those pixels would drown the others; so only pixels in a band
around the labelled foreground count.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lss_lightning.labels import IGNORED, LabelSet
from lss_lightning.metrics.overlap import Scores, mean_defined
from lss_lightning.metrics.plain import by_key, plain

BAND_MM = 5.0
"""A pixel counts that is of an anatomical class, or lies within so many mm of one."""

BAND_PX = 7.0
"""The same in pixels, where their size is unknown."""

BINS = 15
"""Equal intervals of probability: as many as Guo et al., *On calibration of modern neural networks*, 2017."""


def foreground_band(target: NDArray[np.uint8], anatomical: tuple[int, ...], spacing: float | None) -> NDArray[np.bool_]:
    """The pixels in and around the labelled structures.

    Args:
        target: (H, W), class indices; :data:`~lss_lightning.labels.IGNORED` pixels are never in the band.
        anatomical: Indices of the anatomical classes.
        spacing: Pixel size in mm, or None where unknown.

    Returns:
        (H, W); nowhere true without an anatomical pixel.
    """
    from scipy.ndimage import distance_transform_edt

    foreground = np.isin(target, anatomical)
    if not foreground.any():
        return foreground
    reach = BAND_PX if spacing is None else BAND_MM / spacing
    return (distance_transform_edt(~foreground) <= reach) & (target != IGNORED)


def reliability_bins(probabilities: NDArray[np.float32], classes: NDArray[np.uint8]) -> Scores:
    """Sort pixels by each class's probability.

    Args:
        probabilities: (K, n), each pixel's, 0 to 1.
        classes: (n,), true class indices.

    Returns:
        (K, BINS, 3) float64: each bin's pixels, sum of probabilities, and pixels that are of the class.
    """
    kinds = len(probabilities)
    place = np.minimum((probabilities * BINS).astype(np.int64), BINS - 1) + BINS * np.arange(kinds)[:, None]
    hits = classes == np.arange(kinds)[:, None]
    sums = [
        np.bincount(place.ravel(), weights, minlength=kinds * BINS)
        for weights in (None, probabilities.ravel(), hits.ravel())
    ]
    return np.stack(sums, axis=-1).reshape(kinds, BINS, 3).astype(np.float64)


def calibration_error(bins: Scores) -> Scores:
    """Expected calibration error of each class, one class against the rest.

    The mean over pixels of |observed frequency - mean probability| of their bin: Nixon et al., *Measuring calibration
    in deep learning*, 2019, whose static calibration error is the mean of these over the classes.

    Args:
        bins: (K, BINS, 3), of :func:`reliability_bins`, summed over images.

    Returns:
        (K,), 0 to 1; NaN for a class that labels no pixel.
    """
    pixels, probability, hits = np.moveaxis(bins, -1, 0)
    error = np.abs(hits - probability).sum(axis=-1)
    return np.divide(error, pixels.sum(axis=-1), out=np.full(len(bins), np.nan), where=hits.sum(axis=-1) > 0)


def summarise_calibration(bins: Scores, labels: LabelSet) -> dict[str, Any]:
    """Compute the ``calibration`` part of ``metrics.json``.

    Args:
        bins: (N, K, BINS, 3), of :func:`reliability_bins`; N may be 0.
        labels: The K classes.

    Returns:
        Plain data: the definition (``band_mm``, ``band_px`` where the pixel's size is unknown, ``bins``), the
        ``pixels`` in the band, ``ece`` by class with ``mean_ece`` and ``mean_ece_anatomy`` over the classes that have
        one.
    """
    pooled = bins.sum(axis=0)
    error = calibration_error(pooled)
    return {
        "band_mm": BAND_MM,
        "band_px": BAND_PX,
        "bins": BINS,
        "pixels": int(pooled[0, :, 0].sum()),
        "ece": by_key(plain(error), labels),
        "mean_ece": plain(mean_defined(error)),
        "mean_ece_anatomy": plain(mean_defined(error[list(labels.anatomical)])),
    }


def reliability(bins: Scores, labels: LabelSet) -> dict[str, dict[str, list[float | None]]]:
    """The reliability diagram of each class: ``pixels``, mean ``probability`` and observed ``frequency`` of each bin.

    Args:
        bins: (N, K, BINS, 3), of :func:`reliability_bins`.
        labels: The K classes.
    """
    diagrams = {}
    for key, pooled in zip(labels.keys, bins.sum(axis=0), strict=True):
        pixels, probability, hits = pooled.T
        empty = np.full(BINS, np.nan)
        diagrams[key] = {
            "pixels": pixels.astype(int).tolist(),
            "probability": plain(np.divide(probability, pixels, out=empty.copy(), where=pixels > 0)),
            "frequency": plain(np.divide(hits, pixels, out=empty.copy(), where=pixels > 0)),
        }
    return diagrams
