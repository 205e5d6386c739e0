"""What a trained network and an ensemble of them share: label maps on each label's own grid, and what a test keeps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torchmetrics import MeanMetric

from lss_lightning.labels import IGNORED, LabelSet
from lss_lightning.metrics import ImageConfusion, ImageRecords, Records, iou, mean_defined


class BaseSegmentationModule(pl.LightningModule):
    """A module whose ``forward`` turns images (B, C, H, W) uint8 into logits (B, K, H, W) float32.

    Args:
        labels: The K classes.

    Attributes:
        records: What the last test found in all images; None before the first.
    """

    def __init__(self, labels: LabelSet) -> None:
        super().__init__()
        self.labels = labels
        self.test_images = ImageRecords(labels)
        self.records: Records | None = None

    def test_step(self, batch: dict[str, Any], batch_index: int) -> Tensor:
        """Lightning's hook; the logits on the labels' grid are what its callbacks see."""
        logits = to_label_grid(self(batch["image"]), batch)
        sizes, spacings = batch["label_sizes"], batch["label_spacings"]
        self.test_images.update(logits, batch["label"], batch["index"], sizes, spacings)
        return logits

    def predict_step(self, batch: dict[str, Any], batch_index: int) -> list[NDArray[np.uint8]]:
        """Label maps of a batch, each (H, W) uint8 class indices on its label's own grid."""
        logits = to_label_grid(self(batch["image"]), batch)
        maps = logits.max(1).indices.to(torch.uint8).cpu().numpy()
        return [classes[:height, :width] for classes, (height, width) in zip(maps, batch["label_sizes"], strict=True)]

    def on_test_epoch_end(self) -> None:
        """Keep what was found in the test images, from all devices, for the report, in :attr:`records`."""
        self.records = Records(**self.test_images.compute())
        self.test_images.reset()


def to_label_grid(logits: Tensor, batch: Mapping[str, Any]) -> Tensor:
    """Bring logits from the working grid to each label's own, before any class is taken.

    Args:
        logits: (B, K, h, w) float on the working grid, padded.
        batch: With ``image_sizes`` and ``label_sizes``, and ``label`` (B, H, W).

    Returns:
        (B, K, H, W), padded with 0 where the label is padded; the logits themselves where the grids are the same.
    """
    image_sizes, label_sizes = batch["image_sizes"], batch["label_sizes"]
    if image_sizes == label_sizes:
        return logits
    resampled = logits.new_zeros(*logits.shape[:2], *batch["label"].shape[1:])
    for place, single, (h, w), (height, width) in zip(resampled, logits, image_sizes, label_sizes, strict=True):
        # Pixels of both grids share the image's edges, so scaling the whole keeps every point where it is.
        whole = single[None, :, :h, :w]
        place[:, :height, :width] = F.interpolate(whole, (height, width), mode="bilinear", antialias=True)[0]
    return resampled


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
