"""Upper bounds for the agreement of a segmentation with its label.

These bounds are the overlap of a label with itself after a small shift, and the agreement of several annotators on
the same image.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import combinations, product

import numpy as np
import torch
from numpy.typing import NDArray

from lss_lightning.metrics.confusion import count_confusion
from lss_lightning.metrics.overlap import Counts, Scores

DIRECTIONS = 8
"""Number of shift directions: along rows, columns and diagonals."""


def shift_counts(label: NDArray[np.uint8], classes: int, distances: Sequence[float]) -> Scores:
    """Compute the confusion counts between a label and the same label shifted.

    Pixels are treated as squares, so a fractional shift covers parts of pixels. Between integer shifts the covered area
    is linear in both coordinates. Beyond its border, the map is padded with its edge values.

    Args:
        label: (H, W), class indices 0 to K - 1.
        classes: Number of classes, K.
        distances: D shift lengths in pixels, at least 0.

    Returns:
        (D, K, K), areas in pixels, averaged over :data:`DIRECTIONS` directions. Rows are classes of the label, columns
        are classes of the shifted label.
    """
    reach = math.ceil(max(distances, default=0))
    offsets = list(product(range(-reach, reach + 1), repeat=2))
    height, width = label.shape
    padded = np.pad(label, reach, mode="edge")
    shifted = np.stack([padded[reach + y : reach + y + height, reach + x : reach + x + width] for y, x in offsets])
    target = torch.from_numpy(label).expand(len(offsets), -1, -1)
    counts = count_confusion(torch.from_numpy(shifted), target, classes).numpy()
    grid = counts.reshape(2 * reach + 1, 2 * reach + 1, classes, classes).astype(np.float64)
    angles = 2 * np.pi * np.arange(DIRECTIONS) / DIRECTIONS
    # Rounded, because the computed sine of π is not exactly 0.
    steps = np.round(np.stack((np.sin(angles), np.cos(angles)), axis=1), 12)
    means = [np.mean([_interpolate(grid, reach + distance * step) for step in steps], axis=0) for distance in distances]
    return np.stack(means)


def shift_iou(labels: Iterable[NDArray[np.uint8]], classes: int, distances: Sequence[float]) -> Scores:
    """Compute the IoU of each class between labels and the same labels shifted.

    Areas are pooled over all labels before they are divided.

    Args:
        labels: Label maps, (H, W) each.
        classes: Number of classes, K.
        distances: D shift lengths in pixels.

    Returns:
        (D, K); NaN for a class that no label contains.
    """
    total = np.zeros((len(distances), classes, classes))
    for label in labels:
        total += shift_counts(label, classes, distances)
    common = np.diagonal(total, axis1=1, axis2=2)
    union = total.sum(axis=1) + total.sum(axis=2) - common
    return np.divide(common, union, out=np.full(union.shape, np.nan), where=union > 0)


def agreement_counts(maps: Sequence[NDArray[np.uint8]], classes: int) -> Counts:
    """Compute the confusion counts between several label maps of one image.

    Args:
        maps: Label maps of the same size, (H, W) each, class indices 0 to K - 1.
        classes: Number of classes, K.

    Returns:
        (K, K), summed over all pairs. Each pair is counted in both orders, since neither map is the ground truth.
    """
    total = np.zeros((classes, classes), dtype=np.int64)
    for first, second in combinations(maps, 2):
        counts = count_confusion(torch.from_numpy(first)[None], torch.from_numpy(second)[None], classes)[0].numpy()
        total += counts + counts.T
    return total


def _interpolate(grid: Scores, position: Scores) -> Scores:
    """Interpolate linearly at a position (row, column) between the nodes of a grid (R, C, K, K)."""
    low = np.minimum(np.floor(position).astype(int), np.array(grid.shape[:2]) - 1)
    high = np.minimum(low + 1, np.array(grid.shape[:2]) - 1)
    down, right = position - low
    above = (1 - right) * grid[low[0], low[1]] + right * grid[low[0], high[1]]
    below = (1 - right) * grid[high[0], low[1]] + right * grid[high[0], high[1]]
    interpolated: Scores = (1 - down) * above + down * below
    return interpolated
