"""The base class of all LightningModules: label maps on the grid of each label, and the records of a test."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from lss_lightning.labels import LabelSet
from lss_lightning.metrics import Records, RecordsMetric

if TYPE_CHECKING:
    from lss_lightning.data.batches import Batch


class BaseSegmentationModule(pl.LightningModule):
    """A module whose ``forward`` maps images (B, C, H, W) uint8 to logits (B, K, H, W) float32.

    Args:
        labels: The K classes.

    Attributes:
        records: Records of all images of the last test, or None before the first test.
        epoch_metrics: Names of the metrics that :meth:`log_epoch` has logged.
    """

    def __init__(self, labels: LabelSet) -> None:
        super().__init__()
        self.labels = labels
        self.test_metric = RecordsMetric(labels)
        self.records: Records | None = None
        self.epoch_metrics: dict[str, None] = {}

    def log_epoch(self, name: str, value: float, *, prog_bar: bool = False) -> None:
        """Log a metric of the epoch whose value is the same on all ranks.

        Loggers receive the metric in one row with the other metrics of the epoch and with the epoch as the x-axis.
        Lightning's ``log`` would pass the metric on separately, with the number of batches as the x-axis.

        Args:
            name: Name of the metric.
            value: Value of the metric.
            prog_bar: Whether the progress bar shows it.
        """
        self.epoch_metrics[name] = None
        # All ranks log the same value, but Lightning still requires sync_dist.
        self.log(name, value, prog_bar=prog_bar, logger=False, sync_dist=self.trainer.world_size > 1)

    def test_step(self, batch: Batch, batch_index: int) -> Tensor:
        """Add a batch to the records, and return its logits on the grid of the labels for callbacks."""
        logits = to_label_grid(self(batch["image"]), batch)
        sizes, spacings = batch["label_sizes"], batch["label_spacings"]
        self.test_metric.update(logits, batch["label"], batch["index"], sizes, spacings)
        return logits

    def predict_step(self, batch: Batch, batch_index: int) -> list[NDArray[np.uint8]]:
        """Return the label map of each image, (H, W) uint8 class indices on the grid of its label."""
        logits = to_label_grid(self(batch["image"]), batch)
        maps = logits.max(1).indices.to(torch.uint8).cpu().numpy()
        return [classes[:height, :width] for classes, (height, width) in zip(maps, batch["label_sizes"], strict=True)]

    def on_test_epoch_end(self) -> None:
        """Store the records of all test images, from all devices, in :attr:`records`."""
        self.records = Records(**self.test_metric.compute())
        self.test_metric.reset()


def to_label_grid(logits: Tensor, batch: Mapping[str, Any]) -> Tensor:
    """Resample logits, rather than class indices, from the working grid to the grid of each label.

    Args:
        logits: (B, K, h, w) float on the working grid, padded.
        batch: A batch with ``image_sizes``, ``label_sizes`` and ``label`` (B, H, W).

    Returns:
        (B, K, H, W), padded with 0 like the labels; the same tensor if the grids are equal.
    """
    image_sizes, label_sizes = batch["image_sizes"], batch["label_sizes"]
    if image_sizes == label_sizes:
        return logits
    resampled = logits.new_zeros(*logits.shape[:2], *batch["label"].shape[1:])
    for target, source, (h, w), (height, width) in zip(resampled, logits, image_sizes, label_sizes, strict=True):
        # Both grids cover the same area up to the edges of the image, so scaling the whole image keeps points in place.
        unpadded = source[None, :, :h, :w]
        target[:, :height, :width] = F.interpolate(unpadded, (height, width), mode="bilinear", antialias=True)[0]
    return resampled
