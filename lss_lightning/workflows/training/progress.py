"""What watches a training run: progress, checkpoints, limits."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback, EarlyStopping, EMAWeightAveraging, ModelCheckpoint, RichProgressBar
from rich.console import Console
from rich.progress import BarColumn
from rich.table import Table
from torch import nn

from lss_lightning.config.train import TrainConfig
from lss_lightning.data.datamodule import SliceDataModule
from lss_lightning.models.checkpoint import NetworkSpec
from lss_lightning.models.segmentation import OBJECTIVE
from lss_lightning.models.unet import UNet
from lss_lightning.runs.layout import RunFolder
from lss_lightning.workflows.training.callbacks import DivergenceMonitor, EpochSeed, MaxTime


def make_checkpoints(folder: Path, *, selects: bool) -> list[ModelCheckpoint]:
    """What writes ``last.ckpt`` after every epoch and, where a part selects, ``best.ckpt``.

    Args:
        folder: The run's folder.
        selects: Whether the validation objective exists.
    """
    write = partial(
        ModelCheckpoint,
        dirpath=RunFolder(folder).checkpoints,
        auto_insert_metric_name=False,
        enable_version_counter=False,
        save_on_train_epoch_end=True,
    )
    best = [write(filename="best", monitor=OBJECTIVE, mode="max")] if selects else []
    # Last, so that its file holds what `best` has just recorded.
    return [*best, write(filename="last")]


def make_callbacks(config: TrainConfig, data: SliceDataModule, *, selects: bool) -> list[Callback]:
    """What stands by in every run, and the moving average, limits and progress bar that are configured."""
    chosen, seconds = config.callbacks, config.trainer.seconds
    callbacks: list[Callback] = [
        EpochSeed(config.seed),
        DivergenceMonitor(config.trainer.check_every, data.part("train")),
    ]
    if chosen.ema_decay is not None:
        callbacks.append(EMAWeightAveraging(decay=chosen.ema_decay))
    if chosen.early_stopping is not None and selects:
        callbacks.append(EarlyStopping(OBJECTIVE, mode="max", patience=chosen.early_stopping))
    if seconds is not None:
        callbacks.append(MaxTime(seconds))
    if chosen.progress_bar:
        callbacks.append(TrainingProgressBar(data.source.batch_size))
    return callbacks


class TrainingProgressBar(RichProgressBar):
    """Lightning's bar with speed, time left and scores of the whole run, on a terminal of 80 columns.

    Args:
        batch_size: Images per device and step.
    """

    def __init__(self, batch_size: int) -> None:
        super().__init__()
        self.batch_size = batch_size
        self._began, self._first_step = time.monotonic(), 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        super().on_train_start(trainer, pl_module)
        self._began, self._first_step = time.monotonic(), trainer.fit_loop.total_batch_idx + 1

    def configure_columns(self, trainer: pl.Trainer) -> list[Any]:
        """A short bar, and none of the epoch's own time and speed in batches."""
        description, _, batches, *_ = super().configure_columns(trainer)
        return [description, BarColumn(bar_width=14), batches]

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        """Images per second and time left; of the last epoch the mean IoU of the anatomical classes."""
        metrics = super().get_metrics(trainer, pl_module)
        names = {OBJECTIVE: "val IoU", "train/mean_iou_anatomy": "train IoU"}
        shown: dict[str, Any] = dict([(short, metrics[name]) for name, short in names.items() if name in metrics][:1])
        done, passed = trainer.fit_loop.total_batch_idx + 1 - self._first_step, time.monotonic() - self._began
        if not done or not isinstance(trainer.num_training_batches, int):
            return shown
        assert trainer.max_epochs is not None
        left = passed * (trainer.max_epochs * trainer.num_training_batches - self._first_step - done) / done
        rate = done * self.batch_size * trainer.world_size / passed
        return {"images/s": f"{rate:.3g}", "left": str(timedelta(seconds=round(left))), **shown}


def print_model(network: UNet, spec: NetworkSpec) -> None:
    """Print a network's parts with their channels and parameters."""
    table = Table(title=spec.model, title_justify="left")
    for column in ("Part", "Channels", "Parameters"):
        table.add_column(column, justify="left" if column == "Part" else "right")
    encoder = network.encoder
    strides = f"strides {', '.join(map(str, encoder.strides))}"
    table.add_row(f"Encoder {encoder.name}, {strides}", _listed(encoder.channels), _millions(encoder))
    table.add_row("Decoder", _listed(spec.decoder_channels), _millions(network.decoder))
    table.add_row("Head", str(spec.classes), _millions(network.head))
    table.add_section()
    table.add_row("All", "", _millions(network))
    Console().print(table)


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))


def _millions(part: nn.Module) -> str:
    return f"{sum(weights.numel() for weights in part.parameters()) / 1e6:.2f} M"
