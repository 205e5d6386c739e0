"""Statistics of a set of slices that are required for training: intensities and class sizes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lss_lightning.data.loading import LoadedSlice


def compute_intensity_moments(slices: Sequence[LoadedSlice]) -> tuple[list[float], list[float]]:
    """Compute the mean and standard deviation of each channel over all pixels, with grey values scaled to 0-1.

    The standard deviation of a constant channel is returned as 1, since inputs are divided by it.
    """
    channels = slices[0].image.shape[0]
    histograms = np.zeros((channels, 256), dtype=np.int64)
    for slice_ in slices:
        for channel, plane in enumerate(slice_.image):
            histograms[channel] += np.bincount(plane.ravel(), minlength=256)
    levels = np.arange(256) / 255
    shares = histograms / histograms.sum(axis=1, keepdims=True)
    mean = shares @ levels
    std = np.sqrt((shares * (levels - mean[:, None]) ** 2).sum(axis=1))
    return mean.tolist(), np.where(std > 0, std, 1.0).tolist()


def count_class_pixels(slices: Sequence[LoadedSlice], classes: int) -> NDArray[np.int64]:
    """Count the pixels of each class, as a (K,) int64 array."""
    counts = [np.bincount(slice_.label.ravel(), minlength=classes) for slice_ in slices]
    return np.sum(counts, axis=0, dtype=np.int64)
