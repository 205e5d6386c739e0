"""Confusion counts of every image: what all overlap scores are computed from."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from lss_lightning.labels import IGNORED


class ImageConfusion(Metric):
    """One confusion matrix per image, kept apart so that images can later be pooled, averaged or drawn again.

    Several devices are gathered by :meth:`compute`; a device that saw no image takes part like any other.

    Args:
        classes: Number of classes, K.
    """

    full_state_update = False
    indices: list[Tensor]
    counts: list[Tensor]

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.add_state("indices", [], dist_reduce_fx="cat")
        self.add_state("counts", [], dist_reduce_fx="cat")
        self.reset()

    def reset(self) -> None:
        """Forget all images."""
        super().reset()
        # torchmetrics gathers an empty list as a float vector, which does not match the int64 states of other ranks.
        self.indices.append(torch.zeros(0, dtype=torch.int64, device=self.device))
        self.counts.append(torch.zeros(0, self.classes, self.classes, dtype=torch.int64, device=self.device))

    def update(self, predicted: Tensor, target: Tensor, index: Tensor) -> None:
        """Count a batch without waiting for the device.

        Args:
            predicted: (B, H, W), any integer type, class indices 0 to K - 1.
            target: (B, H, W), any integer type, class indices 0 to K - 1, or :data:`~lss_lightning.labels.IGNORED`
                where a pixel counts for nothing.
            index: (B,), int64, each image's place in the data set, on the same device.
        """
        # Scattering into a fixed shape, with one more bin for ignored pixels, needs no size from the device;
        # bincount and boolean masks do, and so would make the host wait.
        ignored = self.classes**2
        pair = torch.where(target == IGNORED, ignored, target.long() * self.classes + predicted).flatten(1)
        counts = torch.zeros(len(pair), ignored + 1, dtype=torch.int64, device=pair.device)
        counts.scatter_add_(1, pair, torch.ones_like(pair))
        self.counts.append(counts[:, :ignored].unflatten(1, (self.classes, self.classes)))
        self.indices.append(index)

    def compute(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Gather all images, in the order of the data set.

        Returns:
            The images' indices, (N,), strictly ascending, and their counts, (N, K, K): rows are true classes, columns
            predicted ones. An image counted more than once, as when a sampler pads its last batch, appears once.
        """
        # As arrays, because torchmetrics squeezes returned tensors of one element, and one image is a valid set.
        indices, first = np.unique(dim_zero_cat(self.indices).cpu().numpy(), return_index=True)
        return indices, dim_zero_cat(self.counts).cpu().numpy()[first]
