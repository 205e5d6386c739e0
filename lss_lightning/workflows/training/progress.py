"""Console output of a training: the progress bar and the model summary."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import RichProgressBar
from rich.console import Console
from rich.progress import BarColumn
from rich.table import Table
from torch import nn

from lss_lightning.models.checkpoint import NetworkSpec
from lss_lightning.models.epoch_scores import MONITORED_METRIC
from lss_lightning.models.unet import UNet


class TrainingProgressBar(RichProgressBar):
    """Lightning's progress bar with the speed and remaining time of the whole run, for a terminal of 80 columns.

    Args:
        batch_size: Images per device and step.
    """

    def __init__(self, batch_size: int) -> None:
        super().__init__()
        self.batch_size = batch_size
        self._start, self._first_step = time.monotonic(), 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        super().on_train_start(trainer, pl_module)
        self._start, self._first_step = time.monotonic(), trainer.fit_loop.total_batch_idx + 1

    def configure_columns(self, trainer: pl.Trainer) -> list[Any]:
        """Return the columns of a short bar, without Lightning's time and speed."""
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
        assert trainer.max_epochs is not None
        left = elapsed * (trainer.max_epochs * trainer.num_training_batches - self._first_step - done) / done
        rate = done * self.batch_size * trainer.world_size / elapsed
        return {"images/s": f"{rate:.3g}", "left": str(timedelta(seconds=round(left))), **scores}


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
