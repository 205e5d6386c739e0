"""What an epoch's batches add up to."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from torchmetrics import MeanMetric

from lss_lightning.labels import IGNORED, LabelSet
from lss_lightning.metrics import ImageConfusion, iou, mean_defined


class EpochScores(nn.Module):
    """Confusion counts per image and the mean loss per pixel, gathered on the device until the epoch ends.

    Args:
        labels: The classes.
    """

    def __init__(self, labels: LabelSet) -> None:
        super().__init__()
        self.labels = labels
        self.confusion = ImageConfusion(len(labels))
        self.loss = MeanMetric(nan_strategy="disable")  # looking for NaN would make the host wait for the device

    def update(self, logits: Tensor, target: Tensor, index: Tensor) -> None:
        """Count a batch: logits (B, K, H, W), target (B, H, W) uint8 class indices, index (B,) int64."""
        # max is ten times as fast as argmax on a CPU.
        self.confusion.update(logits.detach().max(1).indices, target, index)

    def update_loss(self, loss: Tensor, target: Tensor) -> None:
        """Add a batch's mean loss, weighted by its pixels that count."""
        self.loss.update(loss.detach(), weight=(target != IGNORED).sum())

    def counts(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The images' indices (N,) and counts (N, K, K) from all devices; starts anew."""
        result = self.confusion.compute()
        self.confusion.reset()
        return result

    def figures(self) -> dict[str, float]:
        """The epoch's loss and pooled IoUs by name, from all devices; starts anew."""
        scores = iou(self.counts()[1].sum(axis=0))
        loss = float(self.loss.compute())
        self.loss.reset()
        return {
            "loss": loss,
            "mean_iou": float(mean_defined(scores)),
            "mean_iou_anatomy": float(mean_defined(scores[list(self.labels.anatomical)])),
            **{f"iou/{key}": float(score) for key, score in zip(self.labels.keys, scores, strict=True)},
        }
