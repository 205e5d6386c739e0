"""segmentation_models.pytorch in a LightningModule, as its examples show: fp32, metrics from their statistics."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from bench.contenders import others
from bench.contenders.lightning_watch import TimedLoader, Watch, without_closure
from bench.contenders.setting import Clock, Measured, Setting, answer, bare_steps, count_flops, peak_memory


class Module(pl.LightningModule):
    """The network, its loss and statistics.

    Args:
        model: Images to logits.
        clock: Takes the time of network and statistics.
    """

    def __init__(self, model: nn.Module, clock: Clock) -> None:
        super().__init__()
        self.model, self.clock, self.loss_of = model, clock, nn.CrossEntropyLoss()
        self.counts: list[Any] = []

    def training_step(self, batch: others.Batch, batch_index: int) -> Tensor:
        """Lightning's hook."""
        images, target = batch
        with self.clock("network"):
            logits = self.model(images)
            loss: Tensor = self.loss_of(logits, target)
        with self.clock("metrics"):
            self.counts.append(others.stats(logits.detach(), target))
        self.log("loss", loss, prog_bar=True)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Lightning's hook."""
        optimizer = torch.optim.Adam(self.model.parameters(), lr=others.LEARNING_RATE)
        optimizer.step = without_closure(optimizer.step, self.clock)
        return optimizer


def run(setting: Setting) -> Measured:
    """Train an epoch."""
    clock = Clock(setting.device)
    watch = Watch(clock, setting)
    model = others.network(setting)
    loader = others.loader(setting, others.Slices(setting))
    trainer = pl.Trainer(
        accelerator="gpu" if setting.device == "cuda" else "cpu",
        devices=1,
        max_epochs=1,
        limit_train_batches=setting.batches,
        logger=False,
        callbacks=[watch],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.strategy.backward = clock.timed("network", trainer.strategy.backward)
    trainer.fit(Module(model, clock), TimedLoader(loader, clock))
    images, target = (part.to(setting.device) for part in next(iter(loader)))
    step = others.make_step(model.to(setting.device), setting.device, bf16=False)
    return Measured(
        seconds=watch.seconds,
        step_seconds=bare_steps(lambda: step(images, target)[0], setting, clock),
        shares={name: spent / watch.seconds for name, spent in watch.spent.items()},
        memory=peak_memory(setting.device),
        flops=count_flops(model, images),
        loss=watch.loss,
    )


if __name__ == "__main__":
    answer(run)
