"""The loss, optimizer and learning-rate scheduler, instantiated from their configuration sections."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pytorch_lightning as pl
import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from lss_lightning.config.train import TrainConfig
from lss_lightning.data.datamodule import SliceDataModule
from lss_lightning.data.statistics import count_class_pixels
from lss_lightning.display import format_setting
from lss_lightning.errors import UserError
from lss_lightning.models.adapted_loss import make_adapted_loss
from lss_lightning.models.epoch_scores import MONITORED_METRIC
from lss_lightning.models.instantiate import find_class, instantiate_section
from lss_lightning.models.losses import class_weights
from lss_lightning.models.segmentation import OptimizerFactory
from lss_lightning.runs.arguments import find_parameters
from lss_lightning.runs.trust import is_share

_EXAMPLE_LENGTH = 100
"""The assumed length of a training run, in steps or epochs, as long as its actual length is unknown."""


def make_loss(config: TrainConfig, data: SliceDataModule) -> nn.Module:
    """Return the loss. Its class weights are computed from the training labels only.

    Args:
        config: The configuration of the run.
        data: The data module, already set up.

    Raises:
        UserError: If the section ``loss`` does not name a loss, or contains settings that its class rejects.
    """
    section, classes = dict(config.loss), len(config.data.labels)
    scheme, weights = section.pop("class_weights", "none"), None
    if scheme != "none":
        weights = class_weights(torch.from_numpy(count_class_pixels(data.part("train"), classes)), scheme)
    return make_adapted_loss(section, weights, classes)


def make_optimizers(config: TrainConfig) -> OptimizerFactory:
    """Return a function that creates the optimizer and its scheduler once the network is on its device.

    Args:
        config: The configuration of the run, with the precision resolved.

    Raises:
        UserError: If the section ``optimizer`` or ``scheduler`` does not name a class or contains settings that its
            class rejects, if the split has no part that the scheduler can monitor, or if gradients cannot be clipped
            with these settings.
    """
    _check_clipping(config)
    optimizer_class = find_class(config.optimizer["_target_"])
    if optimizer_class is not None and "lr" in find_parameters(optimizer_class) and "lr" not in config.optimizer:
        raise UserError("optimizer.lr is not set: give optimizer.lr=…")

    def configure(module: nn.Module, trainer: pl.Trainer | None = None) -> dict[str, Any]:
        parameters = list(module.parameters())
        extra = {"fused": True} if is_optimizer_fused(config, parameters[0].device.type) else {}
        optimizer = instantiate_section("optimizer", config.optimizer, parameters, **extra)
        if config.scheduler.get("_target_") is None:
            return {"optimizer": optimizer}
        return {"optimizer": optimizer, "lr_scheduler": _make_scheduler(config, optimizer, trainer)}

    configure(nn.Linear(1, 1))  # reports user errors now, not after the data has been read
    return configure


def _make_scheduler(config: TrainConfig, optimizer: Optimizer, trainer: pl.Trainer | None) -> dict[str, Any]:
    """Return the scheduler in Lightning's format, with its interval and the value that it monitors."""
    section = dict(config.scheduler)
    interval, monitor = section.pop("interval", "epoch"), section.pop("monitor", None)
    scheduler_class = find_class(section["_target_"])
    if scheduler_class is not None and issubclass(scheduler_class, ReduceLROnPlateau) and monitor is None:
        monitor = MONITORED_METRIC
        section.setdefault("mode", "max")
    if monitor is not None:
        _check_monitor(config, monitor, interval)
    return {
        "scheduler": _instantiate_scheduler(section, optimizer, partial(_find_length, trainer, interval)),
        "interval": interval,
        "reduce_on_plateau": monitor is not None,
        "monitor": monitor,
        "strict": False,  # the module checks that the value exists
    }


def _instantiate_scheduler(section: Mapping[str, Any], optimizer: Optimizer, find_length: Callable[[], int]) -> Any:
    """Instantiate a scheduler and its nested schedulers, with shares of the training length as numbers of steps."""

    def resolve(value: Any) -> Any:
        if is_share(value):
            return max(1, round(float(value.rstrip(" %")) / 100 * find_length()))
        if isinstance(value, list):
            return [resolve(item) for item in value]
        if isinstance(value, Mapping) and issubclass(find_class(value.get("_target_")) or object, LRScheduler):
            return _instantiate_scheduler(value, optimizer, find_length)
        return value

    # The arguments are passed by name, because Hydra would copy schedulers that are values in the section.
    arguments = {key: resolve(value) for key, value in section.items() if key != "_target_"}
    return instantiate_section("scheduler", {"_target_": section["_target_"]}, optimizer, **arguments)


def _find_length(trainer: pl.Trainer | None, interval: str) -> int:
    """Return the number of scheduler steps in the training run."""
    if trainer is None:
        return _EXAMPLE_LENGTH
    length = trainer.estimated_stepping_batches if interval == "step" else trainer.max_epochs
    if length is None or not 0 < length < math.inf:
        raise UserError(
            "scheduler: a share such as 5 % needs a training of known length; set trainer.max_epochs, or give numbers"
        )
    return int(length)


def _check_monitor(config: TrainConfig, monitor: str, interval: str) -> None:
    if interval == "step":
        raise UserError(
            f"scheduler.interval=step with scheduler.monitor={monitor}: this value is known after each epoch only; set "
            "scheduler.interval=epoch"
        )
    if monitor.startswith("val/") and config.split.selection_part is None:
        raise UserError(
            f"scheduler.monitor={monitor}: split={config.split.protocol}, as set here, has no part to monitor; choose "
            "another scheduler, or give the split a validation set"
        )


def is_optimizer_fused(config: TrainConfig, device: str) -> bool:
    """Return whether the optimizer updates all weights in one kernel, the default for optimizers that support it.

    Args:
        config: The configuration of the run, with the precision resolved.
        device: The torch device type, e.g. ``cuda``.
    """
    optimizer_class = find_class(config.optimizer["_target_"])
    if optimizer_class is None:
        return False  # a function, or a user error that is reported on instantiation
    parameters = inspect.signature(optimizer_class).parameters
    is_set = bool({"fused", "foreach"} & config.optimizer.keys())
    return device in ("cpu", "cuda") and "fused" in parameters and not is_set and not _clips_mixed(config)


def _clips_mixed(config: TrainConfig) -> bool:
    """Return whether gradients are clipped in mixed precision.

    Lightning does not support this with a fused optimizer. With float16, one kernel unscales and applies the gradients,
    and Lightning applies the same rule to bfloat16.
    """
    return config.trainer.precision.endswith("-mixed") and config.trainer.gradient_clip_val is not None


def _check_clipping(config: TrainConfig) -> None:
    setting = f"trainer.gradient_clip_val={config.trainer.gradient_clip_val}"
    if config.optimizer.get("fused") and _clips_mixed(config):
        raise UserError(
            f"optimizer.fused=true with {setting} and trainer.precision={config.trainer.precision}: Lightning does not "
            "clip the gradients of a fused optimizer in mixed precision; remove optimizer.fused, or set "
            "trainer.precision=32-true"
        )
    if config.trainer.gradient_clip_val is not None and "fsdp" in str(config.trainer.strategy).lower():
        raise UserError(
            f"{setting} with trainer.strategy={format_setting(config.trainer.strategy)}: Lightning does not clip "
            "gradients that are divided among devices; remove it, or set trainer.strategy=ddp"
        )
