"""Console output of a training run: the progress bar and the model summary."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelSummary, RichProgressBar
from rich.console import Console
from rich.progress import BarColumn
from rich.table import Table
from torch import nn

from lss_lightning.data.datamodule import SliceDataModule
from lss_lightning.models.adapter import NetworkAdapter
from lss_lightning.models.epoch_scores import MONITORED_METRIC
from lss_lightning.models.segmentation import SegmentationModule
from lss_lightning.models.specs import NetworkSpec, UNetSpec, read_spec
from lss_lightning.models.unet import UNet


class TrainingProgressBar(RichProgressBar):
    """Progress bar with the speed and remaining time of the whole run, for terminals with 80 columns."""

    def __init__(self) -> None:
        super().__init__()
        self._start, self._first_step = time.monotonic(), 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        super().on_train_start(trainer, pl_module)
        self._start, self._first_step = time.monotonic(), trainer.fit_loop.total_batch_idx + 1

    def configure_columns(self, trainer: pl.Trainer) -> list[Any]:
        """Return the columns of a short bar without Lightning's time and speed."""
        description, _, batches, *_ = super().configure_columns(trainer)
        return [description, BarColumn(bar_width=14), batches]

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        """Return the images per second, the remaining time and the mean IoU of the last epoch, where known."""
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
    """Model summary that lists the network's parts with their channels and parameters, instead of its layers."""

    def __init__(self) -> None:
        super().__init__()

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print the table on rank 0."""
        assert isinstance(pl_module, SegmentationModule)
        if trainer.is_global_zero:
            print_model(pl_module.network, read_spec(pl_module.metadata["network"]))


def print_model(network: nn.Module, spec: NetworkSpec) -> None:
    """Print the parts of a network with their channels and parameters.

    Args:
        network: The network.
        spec: The specification of the network.
    """
    table = Table(title=spec.model, title_justify="left")
    for column in ("Part", "Channels", "Parameters"):
        table.add_column(column, justify="left" if column == "Part" else "right")
    counted: set[nn.Parameter] = set()  # parts may share layers
    for part, channels, module in _list_parts(network, spec):
        parameters = set(module.parameters()) - counted
        counted |= parameters
        table.add_row(part, channels, _count_weights(parameters))
    if rest := set(network.parameters()) - counted:
        table.add_row("Outside of these parts", "", _count_weights(rest))
    table.add_section()
    table.add_row("Total", "", _count_weights(network.parameters()))
    Console().print(table)


def _list_parts(network: nn.Module, spec: NetworkSpec) -> Iterator[tuple[str, str, nn.Module]]:
    """Yield the name, channels and module of each part of a network."""
    if isinstance(network, UNet) and isinstance(spec, UNetSpec):
        encoder = network.encoder
        strides = f"strides {_join(encoder.strides)}"
        yield f"Encoder {encoder.name}, {strides}", _join(encoder.channels), encoder
        yield "Decoder", _join(spec.decoder_channels), network.decoder
        yield "Head", str(spec.classes), network.head
    elif isinstance(network, NetworkAdapter):
        for name, part in network.network.named_children():
            yield f"{name} ({type(part).__name__})", "", part


def _join(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))


def _count_weights(parameters: Iterable[nn.Parameter]) -> str:
    return f"{sum(weights.numel() for weights in parameters) / 1e6:.2f} M"
