"""Figures of a set of slices that training needs: intensities and class sizes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lss_lightning.data.loading import LoadedSlice


def intensity_moments(slices: Sequence[LoadedSlice]) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel over all pixels, as shares of 255.

    A constant channel gets a standard deviation of 1, since it is divided by.
    """
    channels = slices[0].image.shape[0]
    histograms = np.zeros((channels, 256), dtype=np.int64)
    for piece in slices:
        for channel, plane in enumerate(piece.image):
            histograms[channel] += np.bincount(plane.ravel(), minlength=256)
    levels = np.arange(256) / 255
    shares = histograms / histograms.sum(axis=1, keepdims=True)
    mean = shares @ levels
    std = np.sqrt((shares * (levels - mean[:, None]) ** 2).sum(axis=1))
    return mean.tolist(), np.where(std > 0, std, 1.0).tolist()


def class_pixels(slices: Sequence[LoadedSlice], classes: int) -> NDArray[np.int64]:
    """How many pixels each class has, (K,)."""
    return np.sum([np.bincount(piece.label.ravel(), minlength=classes) for piece in slices], axis=0, dtype=np.int64)
