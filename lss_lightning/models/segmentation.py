"""The LightningModule for training: a common step for training and validation, and the scores of each epoch."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from lss_lightning.errors import UserError, suggest_nearest
from lss_lightning.labels import LabelSet
from lss_lightning.models.base import BaseSegmentationModule, to_label_grid
from lss_lightning.models.checkpoint import METADATA_KEY, CheckpointMetadata, load_weights, read_checkpoint
from lss_lightning.models.epoch_scores import EpochScores

if TYPE_CHECKING:
    from lss_lightning.data.batches import Batch

OptimizerFactory = Callable[[nn.Module, pl.Trainer | None], dict[str, Any]]
"""Function that maps the modules to train and the trainer to the return value of ``configure_optimizers``."""


class SegmentationModule(BaseSegmentationModule):
    """A segmentation network with its intensity normalisation, loss and optimizer.

    Args:
        network: The network, from (B, C, H, W) float images to (B, K, H, W) logits of the same height and width. In
            training with deep supervision, it returns a tuple of logits, whose first item is the prediction.
        labels: The K classes.
        mean: Mean of each channel over the training images, as a fraction of 255.
        std: Standard deviation of each channel over the training images, as a fraction of 255, above 0.
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
        # In bf16, convolutions on tensor cores and with AMX are two to three times as fast with channels last.
        self.network = network.to(memory_format=torch.channels_last)
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1))
        self.loss = loss
        self.optimizer_factory = optimizers
        self.metadata = dict(metadata or {})
        self.train_scores, self.val_scores = EpochScores(labels), EpochScores(labels)

    @classmethod
    def from_metadata(cls, metadata: CheckpointMetadata, network: nn.Module, **training: Any) -> Self:
        """Create the module from the metadata of a checkpoint and its network.

        Args:
            metadata: The metadata of the network's checkpoints.
            network: The network, built from the metadata.
            training: The arguments that training needs: ``loss`` and ``optimizers``.
        """
        plain = metadata.to_plain()
        return cls(network, metadata.label_set, metadata.mean, metadata.std, metadata=plain, **training)

    @classmethod
    def load_from_checkpoint(
        cls,
        checkpoint_path: Any,
        map_location: Any = None,
        hparams_file: Any = None,
        strict: bool | None = None,
        weights_only: bool | None = None,
        **kwargs: Any,
    ) -> Self:
        """Rebuild the module from a checkpoint of ``train.py``, in training mode like any new module.

        No code in the checkpoint is run: the file is read with ``weights_only``, and a network that this project does
        not list must be trusted first, with :func:`~lss_lightning.runs.trust.trust_classes`.

        Args:
            checkpoint_path: Path of the checkpoint.
            map_location: The device of the module, as for ``torch.load``; None for the CPU.
            hparams_file: Not supported, because the checkpoint contains all settings.
            strict: Not supported if False, because the weights must fit.
            weights_only: Not supported if False.
            kwargs: The arguments that training needs: ``loss`` and ``optimizers``.

        Raises:
            UserError: If the file cannot be read, its network is not trusted, or its weights do not fit.
        """
        if hparams_file is not None or strict is False or weights_only is False:
            raise UserError(
                f"load_from_checkpoint({checkpoint_path}): hparams_file, strict=False and weights_only=False are not "
                "supported; the checkpoint has all settings, and its weights must fit them"
            )
        path = Path(checkpoint_path)
        content = read_checkpoint(path, map_location or "cpu")
        metadata = CheckpointMetadata.from_checkpoint(content)
        metadata.network.check_trusted(f"ckpt_path={path}")
        module = cls.from_metadata(metadata, metadata.network.build(), **kwargs)
        load_weights(module, content, path)
        return module.to(content["state_dict"]["mean"].device)

    def forward(self, image: Tensor) -> Tensor:
        """Compute the logits (B, K, H, W) float32 of images (B, C, H, W) uint8."""
        return self.forward_heads(image)[0]

    def forward_heads(self, image: Tensor) -> tuple[Tensor, ...]:
        """Compute the logits of all heads. There are several heads only in training with deep supervision.

        Args:
            image: (B, C, H, W) uint8.

        Returns:
            Logits (B, K, H, W) float32 of each head. The first head is the prediction.
        """
        scaled = (image.float() / 255 - self.mean) / self.std
        output = self.network(scaled.contiguous(memory_format=torch.channels_last))
        return tuple(head.float() for head in output) if isinstance(output, tuple) else (output.float(),)

    def training_step(self, batch: Batch, batch_index: int) -> Tensor | None:
        """Return the loss of a training batch, and add the batch to the scores of the epoch.

        Raises:
            UserError: If the batch is so small that a layer has only a single value per channel to normalise.
        """
        try:
            return self._step(batch, self.train_scores)[1]
        except ValueError as error:
            # Batch norm and instance norm raise this error.
            if not re.search("more than 1 (value per channel|spatial element)", str(error)):
                raise
            count, _, height, width = batch["image"].shape
            raise UserError(
                f"a training batch of {count} image(s) of {height}x{width} pixels gives the network a single value per "
                "channel, which cannot be normalised; choose data.batch_size so that no single image is left over, use "
                "larger images, or set model.min_size of a network named by model._target_"
            ) from error

    def validation_step(self, batch: Batch, batch_index: int) -> Tensor:
        """Add a validation batch to the scores of the epoch, and return its logits for callbacks."""
        return self._step(batch, self.val_scores)[0]

    def on_train_epoch_end(self) -> None:
        """Log the training scores and the learning rate of the epoch."""
        self._log_epoch("train", self.train_scores)
        if (rate := self.trainer.optimizers[0].param_groups[0].get("lr")) is not None:
            self.log_epoch("lr", rate)
        self._advance_monitoring_schedulers()

    def on_validation_epoch_end(self) -> None:
        """Log the validation scores of the epoch."""
        self._log_epoch("val", self.val_scores)

    def configure_optimizers(self) -> Any:
        """Create the optimizer and learning-rate scheduler."""
        assert self.optimizer_factory is not None, "a module without optimizers cannot be trained"
        return self.optimizer_factory(nn.ModuleList(filter(None, (self.network, self.loss))), self._trainer)

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """Advance a learning-rate scheduler, unless it monitors a value and is advanced before the checkpoint instead.

        Raises:
            UserError: If the schedule has ended.
        """
        if metric is None:
            self._advance(scheduler)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the metadata to the checkpoint."""
        checkpoint[METADATA_KEY] = self.metadata

    def _advance_monitoring_schedulers(self) -> None:
        """Advance the schedulers that monitor a value.

        Lightning would advance them after writing the checkpoint of the epoch, and would not advance them at all when
        resuming from this checkpoint.

        Raises:
            UserError: If a monitored value does not exist.
        """
        values = self.trainer.callback_metrics
        is_validated = (self.trainer.current_epoch + 1) % (self.trainer.check_val_every_n_epoch or 1) == 0
        for schedule in self.trainer.lr_scheduler_configs:
            if schedule.monitor is None or (schedule.monitor.startswith("val/") and not is_validated):
                continue
            if schedule.monitor not in values:
                raise UserError(
                    f"scheduler.monitor={schedule.monitor}: no such value{suggest_nearest(schedule.monitor, values)}; "
                    f"allowed: {', '.join(sorted(values))}"
                )
            self._advance(schedule.scheduler, values[schedule.monitor])

    def _advance(self, scheduler: Any, metric: Any = None) -> None:
        try:
            super().lr_scheduler_step(scheduler, metric)
        except ValueError as error:
            raise UserError(
                f"scheduler: {' '.join(str(error).split())}; a schedule ends with the training that it was made for: "
                "choose another one, or start a new run"
            ) from error

    def _step(self, batch: Batch, scores: EpochScores) -> tuple[Tensor, Tensor | None]:
        """Return the logits of a batch on the grid of the labels, and the loss, and add the batch to the scores."""
        heads = [to_label_grid(logits, batch) for logits in self.forward_heads(batch["image"])]
        scores.update(heads[0], batch["label"], batch["index"])
        if self.loss is None:
            return heads[0], None
        loss = average_head_losses([self.loss(logits, batch["label"]) for logits in heads])
        scores.update_loss(loss, batch["label"])
        return heads[0], loss

    def _log_epoch(self, stage: str, scores: EpochScores) -> None:
        for name, value in scores.compute().items():
            self.log_epoch(f"{stage}/{name}", value, prog_bar=name == "mean_iou_anatomy")


def average_head_losses(losses: Sequence[Tensor]) -> Tensor:
    """Compute the loss of a network with deep supervision from the losses of its heads.

    The weights are 1, 1/2, 1/4, … divided by their sum, as in nnU-Net (Isensee et al., Nature Methods 18, 2021, section
    "Architecture template"). The code of nnU-Net gives the coarsest head no weight; here, every head has a weight.

    Args:
        losses: The scalar loss of each head, starting with the prediction.
    """
    if len(losses) == 1:
        return losses[0]
    weights = [0.5**level for level in range(len(losses))]
    return torch.stack([weight * loss for weight, loss in zip(weights, losses, strict=True)]).sum() / sum(weights)


def load_module(path: Path) -> tuple[SegmentationModule, CheckpointMetadata]:
    """Load a trained network for evaluation, from its checkpoint alone.

    Raises:
        UserError: If the file cannot be read, its network is not trusted, or its weights do not fit.
    """
    module = SegmentationModule.load_from_checkpoint(path)
    return module, CheckpointMetadata.from_checkpoint({METADATA_KEY: module.metadata})
