"""Confusion counts of every image: what all overlap scores are computed from."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lss_lightning.labels import IGNORED
from lss_lightning.metrics.per_image import PerImage


def confusion(predicted: Tensor, target: Tensor, classes: int) -> Tensor:
    """Count each image's pixels by true and predicted class, without waiting for the device.

    Args:
        predicted: (B, H, W), any integer type, class indices 0 to K - 1.
        target: (B, H, W), any integer type, class indices 0 to K - 1, or :data:`~lss_lightning.labels.IGNORED`
            where a pixel counts for nothing.
        classes: K.

    Returns:
        (B, K, K) int64: rows are true classes, columns predicted ones.
    """
    # Scattering into a fixed shape, with one more bin for ignored pixels, needs no size from the device;
    # bincount and boolean masks do, and so would make the host wait.
    ignored = classes**2
    pair = torch.where(target == IGNORED, ignored, target.long() * classes + predicted).flatten(1)
    counts = torch.zeros(len(pair), ignored + 1, dtype=torch.int64, device=pair.device)
    counts.scatter_add_(1, pair, torch.ones_like(pair))
    return counts[:, :ignored].unflatten(1, (classes, classes))


class ImageConfusion(PerImage):
    """One confusion matrix per image.

    Args:
        classes: Number of classes, K.
    """

    counts: list[Tensor]

    def __init__(self, classes: int) -> None:
        super().__init__(counts=((classes, classes), torch.int64))
        self.classes = classes

    def update(self, predicted: Tensor, target: Tensor, index: Tensor) -> None:
        """Count a batch as :func:`confusion` does; ``index`` (B,) int64 is each image's place in the data set."""
        self.add(index, counts=confusion(predicted, target, self.classes))

    def compute(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The images' indices, (N,), strictly ascending, and their counts, (N, K, K), from all devices."""
        indices, arrays = self.gathered()
        return indices, arrays["counts"]
