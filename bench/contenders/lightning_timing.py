"""Timing of the parts of Lightning's training loop."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from bench.contenders.setting import Clock, Setting


class TimedLoader:
    """A DataLoader that records the time spent waiting for batches."""

    def __init__(self, loader: Any, clock: Clock) -> None:
        self.loader, self.clock = loader, clock

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        batches = iter(self.loader)
        while True:
            with self.clock("data"):
                batch = next(batches, None)
            if batch is None:
                return
            yield batch

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loader, name)


class StepTimer(Callback):
    """A callback that starts the clock after the warm-up and stops it after the last step."""

    def __init__(self, clock: Clock, setting: Setting) -> None:
        self.clock, self.setting = clock, setting
        self.start = self.seconds = self.loss = 0.0
        self.spent: dict[str, float] = {}

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Start or stop the clock."""
        if batch_idx + 1 == self.setting.warmup:
            self.clock.spent.clear()
            self.start = self.clock.now()
        if batch_idx + 1 == self.setting.batches:
            self.seconds = self.clock.now() - self.start
            self.spent = dict(self.clock.spent)
            self.loss = float(outputs["loss"])


def time_without_closure(step: Any, clock: Clock) -> Any:
    """Wrap an optimizer step so that its own time counts as the network's, but not that of its closure.

    The closure runs forward and backward pass, whose parts are timed separately.
    """

    def run(closure: Any = None, **kwargs: Any) -> Any:
        result = None if closure is None else closure()
        with clock("network"):
            step(**kwargs)
        return result

    return run
