"""What ends a training before its last epoch: a loss that is no number any more, and the time allowed."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor
from torch.optim import Optimizer

from lss_lightning.data.loading import LoadedSlice
from lss_lightning.errors import DivergenceError

NEVER = torch.iinfo(torch.int64).max


@dataclass(frozen=True)
class TrainingStep:
    """A training step that has been taken.

    Attributes:
        number: From 1, through all epochs, counting batches.
        epoch: From 0.
        lr: The learning rate.
        digests: Of the batch's slices on this device.
    """

    number: int
    epoch: int
    lr: float
    digests: list[str]


class DivergenceMonitor(Callback):
    """Stops a run whose loss has become infinite or no number, before it spoils a checkpoint.

    The first such step is noted on the device and looked up now and then, because every look makes the host wait.

    Args:
        check_every: Steps between two looks; the end of an epoch is one, too.
        slices: The training part, to name a batch's files.
    """

    def __init__(self, check_every: int, slices: Sequence[LoadedSlice]) -> None:
        self.check_every = check_every
        self.files = {piece.digest: piece.slice.label.name for piece in slices}
        self.recent: deque[TrainingStep] = deque(maxlen=check_every)
        self.first = torch.tensor(NEVER)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the note on the device."""
        self.first = torch.tensor(NEVER, device=pl_module.device)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Note the step, and look if it is time to."""
        number = trainer.fit_loop.total_batch_idx + 1
        lr = trainer.optimizers[0].param_groups[0]["lr"]
        self.recent.append(TrainingStep(number, trainer.current_epoch, lr, batch["digests"]))
        self.first = torch.where(torch.isfinite(outputs["loss"]), self.first, self.first.clamp(max=number))
        if number % self.check_every == 0:
            self._look(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look at the losses since the last look, and at the weights, before they are saved.

        Raises:
            DivergenceError: one is not finite.
        """
        self._look(trainer)
        finite = [weights.isfinite().all() for weights in pl_module.parameters()]
        if not torch.stack(finite).all():
            raise DivergenceError(_message(self.recent[-1], "the weights are", []))

    def _look(self, trainer: pl.Trainer) -> None:
        first = trainer.strategy.reduce(self.first.clone(), reduce_op="min")
        assert isinstance(first, Tensor)
        if int(first) == NEVER:
            return
        [step] = [step for step in self.recent if step.number == int(first)]
        # A device whose own loss was finite in that step has no file to name.
        digests = step.digests if int(self.first) == step.number else []
        raise DivergenceError(_message(step, "the loss is", [self.files[digest] for digest in digests]))


def _message(step: TrainingStep, what: str, files: list[str]) -> str:
    of = f", batch of {', '.join(files)}" if files else ""
    return (
        f"step {step.number} (epoch {step.epoch}): {what} not finite at learning rate {step.lr:g}{of}; checkpoints of "
        "earlier epochs are kept: go on from last.ckpt with trainer.gradient_clip_val=1 or trainer.precision=32-true, "
        "or start anew with a lower optimizer.lr"
    )


class MaxTime(Callback):
    """Ends a training after the epoch that another one would not fit behind.

    Args:
        seconds: From the start of this process's training; a resumed run has them anew.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.started = self.last = time.monotonic()
        self.longest = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self.started = self.last = time.monotonic()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Let the first device decide for all."""
        now = time.monotonic()
        self.longest, self.last = max(self.longest, now - self.last), now
        enough = now - self.started + self.longest <= self.seconds
        if not trainer.strategy.broadcast(enough):
            trainer.should_stop = True


class ThroughputMonitor(Callback):
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


class EpochSeed(Callback):
    """Keys what the network draws, such as dropout and stochastic depth, by seed, epoch and device.

    So a resumed run draws what one never stopped would. It seeds at the first batch, because data loaders take a number
    of their own out of the generator when they start, and how often they start depends on their workers.

    Args:
        seed: The run's.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Seed torch's generators, at an epoch's first batch."""
        if batch_idx == 0:
            key = np.random.SeedSequence((self.seed, trainer.current_epoch, trainer.global_rank))
            torch.manual_seed(int(key.generate_state(1, np.uint64)[0]))
