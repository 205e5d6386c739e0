"""How fast an epoch trains, and how large its gradients are."""

from __future__ import annotations

import math
import time
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor
from torch.optim import Optimizer


class Pace(Callback):
    """Measures each epoch's training; only after its last step the host waits for the device.

    Attributes:
        images_per_second: On all devices, without validation; of the last epoch.
        grad_norm: Mean over the epoch's steps, before clipping; NaN if no step's was finite.
    """

    def __init__(self) -> None:
        self.images_per_second = self.grad_norm = math.nan
        self._norms = torch.zeros(2)
        self._images, self._started = 0, 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start anew."""
        self._norms = torch.zeros(2, device=pl_module.device)
        self._images, self._started = 0, time.perf_counter()

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Optimizer
    ) -> None:
        """Add the gradients' norm; a step that loss scaling is going to skip has none."""
        gradients = [weights.grad for weights in pl_module.parameters() if weights.grad is not None]
        norm: Tensor = torch.nn.utils.get_total_norm(gradients)
        finite = norm.isfinite()
        self._norms += torch.stack([torch.where(finite, norm, 0.0), finite.float()])

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the images; after the last, stop the clock."""
        self._images += len(batch["image"]) * trainer.world_size
        if trainer.is_last_batch:
            total, steps = self._norms.tolist()
            self.images_per_second = self._images / (time.perf_counter() - self._started)
            self.grad_norm = total / steps if steps else math.nan

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the norm among the epoch's figures."""
        pl_module.log("grad_norm", self.grad_norm, sync_dist=trainer.world_size > 1)
