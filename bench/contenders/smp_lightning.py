"""segmentation_models.pytorch in a LightningModule, as in its examples: fp32, metrics from its statistics."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from bench.contenders import smp_common
from bench.contenders.lightning_timing import StepTimer, TimedLoader, time_without_closure
from bench.contenders.setting import (
    Clock,
    Result,
    Setting,
    count_flops,
    read_peak_memory,
    run_from_command_line,
    time_isolated_steps,
)


class Module(pl.LightningModule):
    """The network with its loss and statistics.

    Args:
        model: The network, from images to logits.
        clock: Clock for network and statistics.
    """

    def __init__(self, model: nn.Module, clock: Clock) -> None:
        super().__init__()
        self.model, self.clock, self.loss_of = model, clock, nn.CrossEntropyLoss()
        self.counts: list[Any] = []

    def training_step(self, batch: smp_common.Batch, batch_index: int) -> Tensor:
        """Return the loss of a batch."""
        images, target = batch
        with self.clock("network"):
            logits = self.model(images)
            loss: Tensor = self.loss_of(logits, target)
        with self.clock("metrics"):
            self.counts.append(smp_common.compute_stats(logits.detach(), target))
        self.log("loss", loss, prog_bar=True)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Create an optimizer whose steps are timed."""
        optimizer: Any = torch.optim.Adam(self.model.parameters(), lr=smp_common.LEARNING_RATE)
        optimizer.step = time_without_closure(optimizer.step, self.clock)
        timed: torch.optim.Optimizer = optimizer
        return timed


def run(setting: Setting) -> Result:
    """Train one epoch."""
    clock = Clock(setting.device)
    timer = StepTimer(clock, setting)
    model = smp_common.build_network(setting)
    loader = smp_common.make_loader(setting, smp_common.Slices(setting))
    trainer = pl.Trainer(
        accelerator="gpu" if setting.device == "cuda" else "cpu",
        devices=1,
        max_epochs=1,
        limit_train_batches=setting.batches,
        logger=False,
        callbacks=[timer],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    clock.time_method("network", trainer.strategy, "backward")
    trainer.fit(Module(model, clock), TimedLoader(loader, clock))
    images, target = (part.to(setting.device) for part in next(iter(loader)))
    step = smp_common.make_step(model.to(setting.device), setting.device, bf16=False)
    return Result(
        seconds=timer.seconds,
        step_seconds=time_isolated_steps(lambda: step(images, target)[0], setting, clock),
        shares={name: spent / timer.seconds for name, spent in timer.spent.items()},
        memory=read_peak_memory(setting.device),
        flops=count_flops(model, images),
        loss=timer.loss,
    )


if __name__ == "__main__":
    run_from_command_line(run)
