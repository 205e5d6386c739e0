"""What a trained network and an ensemble of them share: label maps on each label's own grid, and what a test keeps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from lss_lightning.labels import LabelSet
from lss_lightning.metrics import ImageRecords, Records


class Labeller(pl.LightningModule):
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
