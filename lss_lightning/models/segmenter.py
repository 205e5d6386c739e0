"""The LightningModule: one step for training, validation and test, and the scores of each epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from lss_lightning.errors import UserError
from lss_lightning.labels import LabelSet
from lss_lightning.metrics import ImageRecords, Records
from lss_lightning.models.scores import EpochScores

Optimizers = Callable[[nn.Module], dict[str, Any]]
"""From the network to what ``configure_optimizers`` returns."""

CARD_KEY = "lss_lightning"
"""Where a checkpoint holds the card."""

OBJECTIVE = "val/mean_iou_anatomy"
"""The figure that chooses ``best.ckpt``, stops early, and that sweeps raise."""


class Segmenter(pl.LightningModule):
    """A network that labels every pixel, with its intensity normalisation, loss and optimizer.

    Args:
        network: (B, C, H, W) float images to (B, K, H, W) logits of the same height and width.
        labels: The K classes.
        mean: Mean of each channel over the training images, as a share of 255.
        std: Standard deviation of each channel, likewise, above 0.
        loss: (logits, label map) to a scalar; not needed for testing.
        optimizers: Makes the optimizer; not needed for testing.
        card: Plain data that the checkpoint carries, so that it can be used without its run's folder.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: nn.Module,
        labels: LabelSet,
        mean: Sequence[float],
        std: Sequence[float],
        *,
        loss: nn.Module | None = None,
        optimizers: Optimizers | None = None,
        card: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        # Channels last is what convolutions want on tensor cores and with AMX: two to three times as fast in bf16.
        self.network = network.to(memory_format=torch.channels_last)
        self.labels = labels
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1))
        self.loss = loss
        self.optimizers_for = optimizers
        self.card = dict(card or {})
        self.train_scores, self.val_scores = EpochScores(labels), EpochScores(labels)
        self.test_images = ImageRecords(labels)
        self.records: Records | None = None

    def forward(self, image: Tensor) -> Tensor:
        """Logits (B, K, H, W) float32 of images (B, C, H, W) uint8."""
        scaled = (image.float() / 255 - self.mean) / self.std
        return self.network(scaled.contiguous(memory_format=torch.channels_last)).float()

    def training_step(self, batch: dict[str, Any], batch_index: int) -> Tensor | None:
        """Lightning's hook.

        Raises:
            UserError: the batch is so small that batch norm has a single value per channel.
        """
        try:
            return self._step(batch, self.train_scores)
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            count, _, height, width = batch["image"].shape
            raise UserError(
                f"a training batch of {count} image of {height}x{width} pixels leaves the encoder a single value per "
                "channel, which batch norm cannot normalise: choose data.batch_size so that no single image is left "
                "over, or use larger images"
            ) from error

    def validation_step(self, batch: dict[str, Any], batch_index: int) -> None:
        """Lightning's hook."""
        self._step(batch, self.val_scores)

    def test_step(self, batch: dict[str, Any], batch_index: int) -> None:
        """Lightning's hook."""
        logits = to_label_grid(self(batch["image"]), batch)
        sizes, spacings = batch["label_sizes"], batch["label_spacings"]
        self.test_images.update(logits, batch["label"], batch["index"], sizes, spacings)

    def predict_step(self, batch: dict[str, Any], batch_index: int) -> list[NDArray[np.uint8]]:
        """Label maps of a batch, each (H, W) uint8 class indices on its label's own grid."""
        logits = to_label_grid(self(batch["image"]), batch)
        maps = logits.max(1).indices.to(torch.uint8).cpu().numpy()
        return [classes[:height, :width] for classes, (height, width) in zip(maps, batch["label_sizes"], strict=True)]

    def on_train_epoch_end(self) -> None:
        """Log the epoch's training scores and learning rate."""
        self._log_epoch("train", self.train_scores)
        self.log("lr", self.trainer.optimizers[0].param_groups[0]["lr"], sync_dist=self.trainer.world_size > 1)

    def on_validation_epoch_end(self) -> None:
        """Log the epoch's validation scores."""
        self._log_epoch("val", self.val_scores)

    def on_test_epoch_end(self) -> None:
        """Keep what was found in the test images, from all devices, for the report, in :attr:`records`."""
        self.records = Records(**self.test_images.compute())
        self.test_images.reset()

    def configure_optimizers(self) -> Any:
        """Lightning's hook."""
        assert self.optimizers_for is not None, "a Segmenter without optimizers only tests"
        return self.optimizers_for(self.network)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Let the card travel with the weights."""
        checkpoint[CARD_KEY] = self.card

    def _step(self, batch: dict[str, Any], scores: EpochScores) -> Tensor | None:
        logits = to_label_grid(self(batch["image"]), batch)
        scores.update(logits, batch["label"], batch["index"])
        if self.loss is None:
            return None
        loss: Tensor = self.loss(logits, batch["label"])
        scores.update_loss(loss, batch["label"])
        return loss

    def _log_epoch(self, stage: str, scores: EpochScores) -> None:
        # The scores have gathered all ranks already, so that every rank logs the same figure; Lightning wants the mean.
        several = self.trainer.world_size > 1
        for name, figure in scores.figures().items():
            self.log(f"{stage}/{name}", figure, prog_bar=name == "mean_iou_anatomy", sync_dist=several)


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
