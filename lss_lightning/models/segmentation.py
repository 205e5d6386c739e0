"""The LightningModule that trains: one step for training and validation, and the scores of each epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lss_lightning.errors import UserError
from lss_lightning.labels import LabelSet
from lss_lightning.models.base import BaseSegmentationModule, EpochScores, to_label_grid

Optimizers = Callable[[nn.Module], dict[str, Any]]
"""From the network to what ``configure_optimizers`` returns."""

METADATA_KEY = "lss_lightning"
"""Where a checkpoint holds the card."""

OBJECTIVE = "val/mean_iou_anatomy"
"""The figure that chooses ``best.ckpt``, stops early, and that sweeps raise."""


class SegmentationModule(BaseSegmentationModule):
    """A network that labels every pixel, with its intensity normalisation, loss and optimizer.

    Args:
        network: (B, C, H, W) float images to (B, K, H, W) logits of the same height and width.
        labels: The K classes.
        mean: Mean of each channel over the training images, as a share of 255.
        std: Standard deviation of each channel, likewise, above 0.
        loss: (logits, label map) to a scalar; not needed for testing.
        optimizers: Makes the optimizer; not needed for testing.
        metadata: Plain data that the checkpoint carries, so that it can be used without its run's folder.
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
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(labels)
        # Channels last is what convolutions want on tensor cores and with AMX: two to three times as fast in bf16.
        self.network = network.to(memory_format=torch.channels_last)
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1))
        self.loss = loss
        self.optimizers_for = optimizers
        self.metadata = dict(metadata or {})
        self.train_scores, self.val_scores = EpochScores(labels), EpochScores(labels)

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

    def on_train_epoch_end(self) -> None:
        """Log the epoch's training scores and learning rate."""
        self._log_epoch("train", self.train_scores)
        self.log("lr", self.trainer.optimizers[0].param_groups[0]["lr"], sync_dist=self.trainer.world_size > 1)

    def on_validation_epoch_end(self) -> None:
        """Log the epoch's validation scores."""
        self._log_epoch("val", self.val_scores)

    def configure_optimizers(self) -> Any:
        """Lightning's hook."""
        assert self.optimizers_for is not None, "a Segmenter without optimizers only tests"
        return self.optimizers_for(self.network)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Let the card travel with the weights."""
        checkpoint[METADATA_KEY] = self.metadata

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
