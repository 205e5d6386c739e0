"""The callbacks of a training run: configured callbacks, limits, random seeds and throughput."""

from __future__ import annotations

import math
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, ModelCheckpoint, ModelSummary, ProgressBar
from torch import Tensor
from torch.optim import Optimizer

from lss_lightning.config.train import TrainConfig
from lss_lightning.data.datamodule import SliceDataModule
from lss_lightning.errors import DivergenceError, UserError
from lss_lightning.models.instantiate import instantiate_section
from lss_lightning.workflows.training.checkpoints import BestCheckpoint

NEVER = torch.iinfo(torch.int64).max


def make_callbacks(config: TrainConfig) -> list[Callback]:
    """Return the callbacks of the ``callbacks`` section that the run can use, in the configured order.

    Callbacks that write checkpoints are omitted if checkpoints are disabled, and the callback that writes the best
    checkpoint is omitted if there is no validation. The callbacks for the progress bar and the model summary are
    omitted if the corresponding arguments of Lightning's Trainer disable them.

    Args:
        config: The configuration of the run.

    Raises:
        UserError: If a class cannot be instantiated, or is not a callback.
    """
    left_out: list[type[Callback]] = []
    if config.trainer.enable_checkpointing is False:
        left_out.append(ModelCheckpoint)
    if not config.has_objective:
        left_out.append(BestCheckpoint)
    if config.trainer.enable_progress_bar is False:
        left_out.append(ProgressBar)
    if config.trainer.enable_model_summary is False:
        left_out.append(ModelSummary)
    callbacks = []
    for name, section in config.callbacks.items():
        callback = instantiate_section(f"callbacks.{name}", section)
        if not isinstance(callback, Callback):
            raise UserError(f"callbacks.{name}._target_={section['_target_']}: not a Lightning callback; name another")
        if not isinstance(callback, tuple(left_out)):
            callbacks.append(callback)
    return callbacks


@dataclass(frozen=True)
class TrainingStep:
    """A training step, for the message of :class:`DivergenceMonitor`.

    Attributes:
        number: The number of the batch, counted from 1 over all epochs.
        epoch: The epoch, counted from 0.
        lr: The learning rate.
        digests: The digests of the slices in the batch on this device.
    """

    number: int
    epoch: int
    lr: float
    digests: list[str]


class DivergenceMonitor(Callback):
    """Callback that stops a run whose loss or weights become infinite or NaN, before they are saved in a checkpoint.

    The first step with such a loss is recorded on the device and read only occasionally, because reading it makes the
    host wait for the device.

    Args:
        check_every: The number of steps between two checks, at least 1. There is also a check at the end of each epoch.

    Raises:
        ValueError: If ``check_every`` is less than 1.
    """

    def __init__(self, check_every: int) -> None:
        if check_every < 1:
            raise ValueError(f"check_every={check_every}: give a whole number from 1")
        self.check_every = check_every
        self.files: dict[str, str] = {}
        self.recent: deque[TrainingStep] = deque(maxlen=check_every)
        self.first_step = torch.tensor(NEVER)

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Read the file names of the training slices for the error message."""
        if stage == "fit":
            data: SliceDataModule = trainer.datamodule  # type: ignore[attr-defined]
            self.files = {loaded.digest: loaded.slice.label.name for loaded in data.part("train")}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Create the record of the first diverged step on the device."""
        self.first_step = torch.tensor(NEVER, device=pl_module.device)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Record the step, and check the loss every ``check_every`` steps.

        Raises:
            DivergenceError: If a loss since the last check is not finite.
        """
        number = trainer.fit_loop.total_batch_idx + 1
        lr = trainer.optimizers[0].param_groups[0].get("lr", math.nan)
        self.recent.append(TrainingStep(number, trainer.current_epoch, lr, batch["digests"]))
        is_finite = torch.isfinite(outputs["loss"])
        self.first_step = torch.where(is_finite, self.first_step, self.first_step.clamp(max=number))
        if number % self.check_every == 0:
            self._check_loss(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check the losses since the last check, and the weights.

        Raises:
            DivergenceError: If a loss or a weight is not finite.
        """
        self._check_loss(trainer)
        finite = [weights.isfinite().all() for weights in pl_module.parameters()]
        if not torch.stack(finite).all():
            raise _divergence_error(self.recent[-1], "the weights are", [])

    def _check_loss(self, trainer: pl.Trainer) -> None:
        first_step = trainer.strategy.reduce(self.first_step.clone(), reduce_op="min")
        assert isinstance(first_step, Tensor)
        if int(first_step) == NEVER:
            return
        [step] = [step for step in self.recent if step.number == int(first_step)]
        # If the loss on this device was finite in that step, the files on this device are not the cause.
        digests = step.digests if int(self.first_step) == step.number else []
        raise _divergence_error(step, "the loss is", [self.files[digest] for digest in digests])


def _divergence_error(step: TrainingStep, subject: str, files: list[str]) -> DivergenceError:
    batch = f", batch of {', '.join(files)}" if files else ""
    return DivergenceError(
        f"step {step.number} (epoch {step.epoch}): {subject} not finite at learning rate {step.lr:g}{batch}; "
        "checkpoints of earlier epochs are kept: resume from last.ckpt with trainer.gradient_clip_val=1 or "
        "trainer.precision=32-true, or start a new run with a lower optimizer.lr"
    )


class MaxTime(Callback):
    """Callback that stops training after an epoch if another epoch would exceed the time limit.

    Args:
        seconds: The limit, measured from the start of training in this process. A resumed run restarts the clock.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.start = self.last = time.monotonic()
        self.longest = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self.start = self.last = time.monotonic()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop training on all ranks if rank 0 decides to stop."""
        now = time.monotonic()
        self.longest, self.last = max(self.longest, now - self.last), now
        fits = now - self.start + self.longest <= self.seconds
        if not trainer.strategy.broadcast(fits):
            trainer.should_stop = True


class ThroughputMonitor(Callback):
    """Callback that measures the throughput and gradient norm of each epoch.

    Validation within an epoch is excluded. The host waits for the device only after the last step of an epoch.

    Attributes:
        images_per_second: The number of images per second on all devices in the last epoch, without validation.
        grad_norm: The mean finite gradient norm over the steps of the last epoch, before clipping. NaN if no norm was
            finite.
    """

    def __init__(self) -> None:
        self.images_per_second = self.grad_norm = math.nan
        self._norms = torch.zeros(2)
        self._images, self._start, self._pause = 0, 0.0, 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Reset the counters and start the clock."""
        self.images_per_second = self.grad_norm = math.nan
        self._norms = torch.zeros(2, device=pl_module.device)
        self._images, self._start = 0, time.perf_counter()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop the clock."""
        self._pause = time.perf_counter()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock again."""
        self._start += time.perf_counter() - self._pause

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Optimizer
    ) -> None:
        """Add the gradient norm if it is finite. Loss scaling skips a step whose norm is not finite."""
        gradients = [weights.grad for weights in pl_module.parameters() if weights.grad is not None]
        norm: Tensor = torch.nn.utils.get_total_norm(gradients)
        finite = norm.isfinite()
        self._norms += torch.stack([torch.where(finite, norm, 0.0), finite.float()])

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the images, and stop the clock after the last batch."""
        self._images += len(batch["image"]) * trainer.world_size
        if trainer.is_last_batch:
            self._finish()

    def _finish(self) -> None:
        total, steps = self._norms.tolist()
        self.images_per_second = self._images / (time.perf_counter() - self._start)
        self.grad_norm = total / steps if steps else math.nan

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the gradient norm. The history passes it to the loggers."""
        if math.isnan(self.images_per_second):  # training stopped within the epoch
            self._finish()
        pl_module.log("grad_norm", self.grad_norm, logger=False, sync_dist=trainer.world_size > 1)


class EpochSeed(Callback):
    """Callback that seeds torch in each epoch, for random operations in the network such as dropout.

    The seed depends on the run, the epoch and the rank, so a resumed run draws the same numbers as an uninterrupted
    run. The seed is set at the first batch, because data loaders draw a number from the generator when they start, and
    how often they start depends on the number of workers.

    Args:
        seed: The seed of the run.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Seed torch at the first batch of an epoch."""
        if batch_idx == 0:
            key = np.random.SeedSequence((self.seed, trainer.current_epoch, trainer.global_rank))
            torch.manual_seed(int(key.generate_state(1, np.uint64)[0]))
