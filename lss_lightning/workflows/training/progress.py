"""Console output of a training: the progress bar and the model summary."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelSummary, RichProgressBar
from rich.console import Console
from rich.progress import BarColumn
from rich.table import Table
from torch import nn

from lss_lightning.data.datamodule import SliceDataModule
from lss_lightning.models.checkpoint import NetworkSpec
from lss_lightning.models.epoch_scores import MONITORED_METRIC
from lss_lightning.models.segmentation import SegmentationModule
from lss_lightning.models.unet import UNet


class TrainingProgressBar(RichProgressBar):
    """Lightning's progress bar with the speed and remaining time of the whole run, for a terminal of 80 columns."""

    def __init__(self) -> None:
        super().__init__()
        self._start, self._first_step = time.monotonic(), 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        super().on_train_start(trainer, pl_module)
        self._start, self._first_step = time.monotonic(), trainer.fit_loop.total_batch_idx + 1

    def configure_columns(self, trainer: pl.Trainer) -> list[Any]:
        """Return a short bar, without Lightning's time and speed of the epoch."""
        description, _, batches, *_ = super().configure_columns(trainer)
        return [description, BarColumn(bar_width=14), batches]

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        """Return the images per second, the remaining time, and the mean IoU of the last epoch, if known."""
        metrics = super().get_metrics(trainer, pl_module)
        names = {MONITORED_METRIC: "val IoU", "train/mean_iou_anatomy": "train IoU"}
        scores: dict[str, Any] = dict([(label, metrics[name]) for name, label in names.items() if name in metrics][:1])
        done, elapsed = trainer.fit_loop.total_batch_idx + 1 - self._first_step, time.monotonic() - self._start
        if not done or not isinstance(trainer.num_training_batches, int):
            return scores
        data: SliceDataModule = trainer.datamodule  # type: ignore[attr-defined]
        speed = {"images/s": f"{done * data.source.batch_size * trainer.world_size / elapsed:.3g}"}
        if not trainer.max_epochs or trainer.max_epochs < 0:
            return {**speed, **scores}
        left = elapsed * (trainer.max_epochs * trainer.num_training_batches - self._first_step - done) / done
        return {**speed, "left": str(timedelta(seconds=round(left))), **scores}


class NetworkSummary(ModelSummary):
    """Prints the parts of the network with their channels and parameters, in place of Lightning's list of layers."""

    def __init__(self) -> None:
        super().__init__()

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print the table in the first process."""
        assert isinstance(pl_module, SegmentationModule)
        assert isinstance(pl_module.network, UNet)
        if trainer.is_global_zero:
            print_model(pl_module.network, NetworkSpec(**pl_module.metadata["network"]))


def print_model(network: UNet, spec: NetworkSpec) -> None:
    """Print the parts of a network with their channels and parameters.

    Args:
        network: The network.
        spec: What it was built from.
    """
    table = Table(title=spec.model, title_justify="left")
    for column in ("Part", "Channels", "Parameters"):
        table.add_column(column, justify="left" if column == "Part" else "right")
    encoder = network.encoder
    strides = f"strides {', '.join(map(str, encoder.strides))}"
    table.add_row(f"Encoder {encoder.name}, {strides}", _join(encoder.channels), _count_parameters(encoder))
    table.add_row("Decoder", _join(spec.decoder_channels), _count_parameters(network.decoder))
    table.add_row("Head", str(spec.classes), _count_parameters(network.head))
    table.add_section()
    table.add_row("Total", "", _count_parameters(network))
    Console().print(table)


def _join(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))


def _count_parameters(part: nn.Module) -> str:
    return f"{sum(weights.numel() for weights in part.parameters()) / 1e6:.2f} M"
