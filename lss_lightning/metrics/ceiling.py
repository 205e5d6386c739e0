"""How well a segmentation can agree with a label at all.

What moving the label by a pixel costs, and how far labellers' own maps of the same images agree.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import combinations, product

import numpy as np
import torch
from numpy.typing import NDArray

from lss_lightning.metrics.confusion import confusion
from lss_lightning.metrics.overlap import Counts, Scores

DIRECTIONS = 8
"""Directions of a shift: along rows and columns, and half-way between."""


def shift_counts(label: NDArray[np.uint8], classes: int, distances: Sequence[float]) -> Scores:
    """Count a label's pixels against those of the same label, moved.

    The map is taken as what it is, squares of one class each, so that a shift by part of a pixel covers parts of
    pixels: by how much is linear in both coordinates between whole shifts. Beyond its border the map goes on as at its
    border.

    Args:
        label: (H, W), class indices 0 to K - 1.
        classes: K.
        distances: D lengths of the shift in pixels, at least 0.

    Returns:
        (D, K, K), rows classes of the label, columns those of the moved one: areas in pixels, the mean over
        :data:`DIRECTIONS` directions.
    """
    reach = math.ceil(max(distances, default=0))
    whole = list(product(range(-reach, reach + 1), repeat=2))
    height, width = label.shape
    padded = np.pad(label, reach, mode="edge")
    moved = np.stack([padded[reach + y : reach + y + height, reach + x : reach + x + width] for y, x in whole])
    target = torch.from_numpy(label).expand(len(whole), -1, -1)
    counts = confusion(torch.from_numpy(moved), target, classes).numpy()
    grid = counts.reshape(2 * reach + 1, 2 * reach + 1, classes, classes).astype(np.float64)
    angles = 2 * np.pi * np.arange(DIRECTIONS) / DIRECTIONS
    # Rounded, because the sine of a half turn is not quite 0.
    steps = np.round(np.stack((np.sin(angles), np.cos(angles)), axis=1), 12)
    means = [np.mean([_between(grid, reach + distance * step) for step in steps], axis=0) for distance in distances]
    return np.stack(means)


def shift_iou(labels: Iterable[NDArray[np.uint8]], classes: int, distances: Sequence[float]) -> Scores:
    """IoU of each class between labels and the same labels moved: areas pooled over all labels, then divided.

    Args:
        labels: (H, W) each.
        classes: K.
        distances: D lengths of the shift in pixels.

    Returns:
        (D, K); NaN for a class that no label holds.
    """
    total = np.zeros((len(distances), classes, classes))
    for label in labels:
        total += shift_counts(label, classes, distances)
    common = np.diagonal(total, axis1=1, axis2=2)
    union = total.sum(axis=1) + total.sum(axis=2) - common
    return np.divide(common, union, out=np.full(union.shape, np.nan), where=union > 0)


def agreement_counts(maps: Sequence[NDArray[np.uint8]], classes: int) -> Counts:
    """Count the pixels of several maps of one image against one another.

    Args:
        maps: Of one size, (H, W) each, class indices 0 to K - 1.
        classes: K.

    Returns:
        (K, K), summed over all pairs; each pair counts in both orders, since neither map is the truth.
    """
    total = np.zeros((classes, classes), dtype=np.int64)
    for one, other in combinations(maps, 2):
        counts = confusion(torch.from_numpy(one)[None], torch.from_numpy(other)[None], classes)[0].numpy()
        total += counts + counts.T
    return total


def _between(grid: Scores, place: Scores) -> Scores:
    """Linear interpolation at a place (row, column) between the nodes of a grid (R, C, K, K)."""
    low = np.minimum(np.floor(place).astype(int), np.array(grid.shape[:2]) - 1)
    high = np.minimum(low + 1, np.array(grid.shape[:2]) - 1)
    down, right = place - low
    above = (1 - right) * grid[low[0], low[1]] + right * grid[low[0], high[1]]
    below = (1 - right) * grid[high[0], low[1]] + right * grid[high[0], high[1]]
    mixed: Scores = (1 - down) * above + down * below
    return mixed
