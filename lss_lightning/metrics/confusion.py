"""Confusion counts of each image, from which all overlap scores are computed."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lss_lightning.labels import IGNORE_INDEX
from lss_lightning.metrics.per_image import PerImageMetric


def count_confusion(predicted: Tensor, target: Tensor, classes: int) -> Tensor:
    """Count the pixels of each image by true and predicted class, without synchronising with the device.

    Args:
        predicted: (B, H, W), any integer type, class indices 0 to K - 1.
        target: (B, H, W), any integer type, class indices 0 to K - 1, or :data:`~lss_lightning.labels.IGNORE_INDEX` for
            ignored pixels.
        classes: Number of classes, K.

    Returns:
        (B, K, K) int64: rows are true classes, columns are predicted ones.
    """
    # Scattering into a fixed shape, with one more bin for ignored pixels, needs no size from the device. bincount and
    # boolean masks need one, and would make the host wait.
    ignored = classes**2
    pair = torch.where(target == IGNORE_INDEX, ignored, target.long() * classes + predicted).flatten(1)
    counts = torch.zeros(len(pair), ignored + 1, dtype=torch.int64, device=pair.device)
    counts.scatter_add_(1, pair, torch.ones_like(pair))
    return counts[:, :ignored].unflatten(1, (classes, classes))


class ConfusionMetric(PerImageMetric):
    """A metric that collects one confusion matrix per image.

    Args:
        classes: Number of classes, K.
    """

    counts: list[Tensor]

    def __init__(self, classes: int) -> None:
        super().__init__(counts=((classes, classes), torch.int64))
        self.classes = classes

    def update(self, predicted: Tensor, target: Tensor, index: Tensor) -> None:
        """Add the confusion counts of a batch.

        Args:
            predicted: (B, H, W), as for :func:`count_confusion`.
            target: (B, H, W), as for :func:`count_confusion`.
            index: (B,) int64, index of each image in the dataset.
        """
        self.add(index, counts=count_confusion(predicted, target, self.classes))

    def compute(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the strictly ascending indices (N,) and the counts (N, K, K) of the images from all devices."""
        indices, arrays = self.gather()
        return indices, arrays["counts"]
