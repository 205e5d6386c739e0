"""The LightningModule for training: a common step for training and validation, and the scores of each epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from lss_lightning.errors import UserError
from lss_lightning.labels import LabelSet
from lss_lightning.models.base import BaseSegmentationModule, to_label_grid
from lss_lightning.models.epoch_scores import EpochScores

if TYPE_CHECKING:
    from lss_lightning.data.batches import Batch

OptimizerFactory = Callable[[nn.Module], dict[str, Any]]
"""Function from the network to the return value of ``configure_optimizers``."""

METADATA_KEY = "lss_lightning"
"""Key of the metadata in a checkpoint."""


class SegmentationModule(BaseSegmentationModule):
    """A segmentation network with its intensity normalisation, loss and optimizer.

    Args:
        network: The network, from (B, C, H, W) float images to (B, K, H, W) logits of the same height and width.
        labels: The K classes.
        mean: Mean of each channel over the training images, as a fraction of 255.
        std: Standard deviation of each channel, as a fraction of 255, above 0.
        loss: The loss, from logits and label map to a scalar; not needed for evaluation.
        optimizers: Factory of the optimizer; not needed for evaluation.
        metadata: Plain data to save in checkpoints, so that they can be used without their run directory.
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
        optimizers: OptimizerFactory | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(labels)
        # Convolutions on tensor cores and with AMX are two to three times as fast with channels last in bf16.
        self.network = network.to(memory_format=torch.channels_last)
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1))
        self.loss = loss
        self.optimizer_factory = optimizers
        self.metadata = dict(metadata or {})
        self.train_scores, self.val_scores = EpochScores(labels), EpochScores(labels)

    def forward(self, image: Tensor) -> Tensor:
        """Compute the logits (B, K, H, W) float32 of images (B, C, H, W) uint8."""
        scaled = (image.float() / 255 - self.mean) / self.std
        return self.network(scaled.contiguous(memory_format=torch.channels_last)).float()

    def training_step(self, batch: Batch, batch_index: int) -> Tensor | None:
        """Return the loss of a training batch, and add the batch to the scores of the epoch.

        Raises:
            UserError: If the batch is so small that batch norm has a single value per channel.
        """
        try:
            return self._step(batch, self.train_scores)
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            count, _, height, width = batch["image"].shape
            raise UserError(
                f"a training batch of {count} image of {height}x{width} pixels gives the encoder a single value per "
                "channel, which batch norm cannot normalise; choose data.batch_size so that no single image is left "
                "over, or use larger images"
            ) from error

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        """Add a validation batch to the scores of the epoch."""
        self._step(batch, self.val_scores)

    def on_train_epoch_end(self) -> None:
        """Log the training scores and the learning rate of the epoch."""
        self._log_epoch("train", self.train_scores)
        self.log_epoch("lr", self.trainer.optimizers[0].param_groups[0]["lr"])

    def on_validation_epoch_end(self) -> None:
        """Log the validation scores of the epoch."""
        self._log_epoch("val", self.val_scores)

    def configure_optimizers(self) -> Any:
        """Create the optimizer and learning-rate scheduler."""
        assert self.optimizer_factory is not None, "a module without optimizers cannot be trained"
        return self.optimizer_factory(self.network)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the metadata to the checkpoint."""
        checkpoint[METADATA_KEY] = self.metadata

    def _step(self, batch: Batch, scores: EpochScores) -> Tensor | None:
        logits = to_label_grid(self(batch["image"]), batch)
        scores.update(logits, batch["label"], batch["index"])
        if self.loss is None:
            return None
        loss: Tensor = self.loss(logits, batch["label"])
        scores.update_loss(loss, batch["label"])
        return loss

    def _log_epoch(self, stage: str, scores: EpochScores) -> None:
        for name, value in scores.compute().items():
            self.log_epoch(f"{stage}/{name}", value, prog_bar=name == "mean_iou_anatomy")
