"""What watches a training run: progress, checkpoints, early stopping, trackers."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback, EarlyStopping, ModelCheckpoint, RichProgressBar
from pytorch_lightning.loggers import Logger, WandbLogger
from rich.console import Console
from rich.table import Table
from torch import nn

from lss_lightning.config import CallbacksConfig, TrainConfig
from lss_lightning.models.checkpoint import NetworkSpec
from lss_lightning.models.segmenter import OBJECTIVE
from lss_lightning.models.unet import UNet


def make_checkpoints(folder: Path, *, selects: bool) -> list[ModelCheckpoint]:
    """What writes ``last.ckpt`` after every epoch and, where a part selects, ``best.ckpt``.

    Args:
        folder: The run's folder.
        selects: Whether the validation objective exists.
    """
    write = partial(
        ModelCheckpoint,
        dirpath=folder / "checkpoints",
        auto_insert_metric_name=False,
        enable_version_counter=False,
        save_on_train_epoch_end=True,
    )
    best = [write(filename="best", monitor=OBJECTIVE, mode="max")] if selects else []
    # Last, so that its file holds what `best` has just recorded.
    return [*best, write(filename="last")]


def make_callbacks(config: CallbacksConfig, *, selects: bool) -> list[Callback]:
    """Progress bar and early stopping, as configured."""
    callbacks: list[Callback] = []
    if config.progress_bar:
        callbacks.append(Progress())
    if config.early_stopping is not None and selects:
        callbacks.append(EarlyStopping(OBJECTIVE, mode="max", patience=config.early_stopping))
    return callbacks


class Progress(RichProgressBar):
    """Lightning's bar with names that leave it room on a terminal of 80 columns."""

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        """The mean IoU of the anatomical classes, of the last epoch's training and validation."""
        metrics = super().get_metrics(trainer, pl_module)
        names = {"train/mean_iou_anatomy": "train IoU", OBJECTIVE: "val IoU"}
        return {short: metrics[name] for name, short in names.items() if name in metrics}


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


def make_loggers(config: TrainConfig, folder: Path) -> list[Logger]:
    """The trackers, as configured; ``metrics.csv`` is :class:`~lss_lightning.workflows.history.History`'s."""
    wandb = config.logger.wandb
    if wandb is None:
        return []
    return [
        WandbLogger(
            name=config.name,
            project=wandb.project,
            entity=wandb.entity,
            save_dir=folder,
            tags=wandb.tags,
            mode=wandb.mode,
            config=config.plain,
        )
    ]
