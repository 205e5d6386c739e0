"""Scores of one epoch, accumulated on the device."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from torchmetrics import MeanMetric

from lss_lightning.labels import IGNORE_INDEX, LabelSet
from lss_lightning.metrics import ConfusionMetric, iou, mean_defined

MONITORED_METRIC = "val/mean_iou_anatomy"
"""The metric that selects ``best.ckpt``, controls early stopping and is maximised by sweeps."""


class EpochScores(nn.Module):
    """Confusion counts per image and the mean loss per pixel, accumulated on the device until the epoch ends.

    Args:
        labels: The K classes.
    """

    def __init__(self, labels: LabelSet) -> None:
        super().__init__()
        self.labels = labels
        self.confusion = ConfusionMetric(len(labels))
        self.loss = MeanMetric(nan_strategy="disable")  # checking for NaN would make the host wait for the device

    def update(self, logits: Tensor, target: Tensor, index: Tensor) -> None:
        """Add the confusion counts of a batch.

        Args:
            logits: (B, K, H, W) float.
            target: (B, H, W) uint8 class indices.
            index: (B,) int64, index of each image in the dataset.
        """
        # max is ten times as fast as argmax on a CPU.
        self.confusion.update(logits.detach().max(1).indices, target, index)

    def update_loss(self, loss: Tensor, target: Tensor) -> None:
        """Add the mean loss of a batch, weighted by the number of pixels that are not ignored."""
        self.loss.update(loss.detach(), weight=(target != IGNORE_INDEX).sum())

    def compute_counts(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the indices (N,) and counts (N, K, K) of the images from all devices, and reset the counts."""
        result = self.confusion.compute()
        self.confusion.reset()
        return result

    def compute(self) -> dict[str, float]:
        """Return the loss and the pooled IoUs of the epoch by name, over all devices, and reset the scores."""
        scores = iou(self.compute_counts()[1].sum(axis=0))
        loss = float(self.loss.compute())
        self.loss.reset()
        return {
            "loss": loss,
            "mean_iou": float(mean_defined(scores)),
            "mean_iou_anatomy": float(mean_defined(scores[list(self.labels.anatomical)])),
            **{f"iou/{key}": float(score) for key, score in zip(self.labels.keys, scores, strict=True)},
        }
