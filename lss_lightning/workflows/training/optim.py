"""Loss, optimizer and learning-rate schedule, from their sections of the configuration."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from hydra.errors import InstantiationException
from hydra.utils import get_class, instantiate
from torch import nn

from lss_lightning.config.train import TrainConfig
from lss_lightning.data.datamodule import SliceDataModule
from lss_lightning.data.statistics import class_pixels
from lss_lightning.errors import UserError
from lss_lightning.models.losses import class_weights
from lss_lightning.models.segmentation import Optimizers


def make_loss(config: TrainConfig, data: SliceDataModule) -> nn.Module:
    """The loss, its class weights taken from the training labels only.

    Raises:
        UserError: the section names no class, or one that does not take its settings.
    """
    section = dict(config.loss)
    pixels = torch.from_numpy(class_pixels(data.part("train"), len(config.data.labels)))
    weights = class_weights(pixels, section.pop("class_weights"))
    loss = _instantiate("loss", section, weights=weights)
    assert isinstance(loss, nn.Module)
    return loss


def make_optimizers(config: TrainConfig) -> Optimizers:
    """What makes the optimizer and its schedule once the network is on its device.

    Raises:
        UserError: a section names no class, or one that does not take its settings.
    """

    def configure(network: nn.Module) -> dict[str, Any]:
        parameters = list(network.parameters())
        fast = {"fused": True} if fuses(config, parameters[0].device.type) else {}
        optimizer = _instantiate("optimizer", config.optimizer, params=parameters, **fast)
        if config.scheduler.get("_target_") is None:
            return {"optimizer": optimizer}
        return {
            "optimizer": optimizer,
            "lr_scheduler": _instantiate("scheduler", config.scheduler, optimizer=optimizer),
        }

    configure(nn.Linear(1, 1))  # a mistake shows now, not after the data has been read
    return configure


def fuses(config: TrainConfig, device: str) -> bool:
    """Whether the optimizer updates all weights in one kernel: where it can, and its section does not say otherwise.

    Args:
        config: Its precision resolved.
        device: torch's name of the kind of device.
    """
    try:
        settings = inspect.signature(get_class(config.optimizer["_target_"])).parameters
    except (ImportError, ValueError):
        return False  # making it says what is wrong
    # Lightning cannot clip between the unscaling and the update where one kernel does both.
    clips = config.trainer.precision == "16-mixed" and config.trainer.gradient_clip_val is not None
    chosen = {"fused", "foreach"} & config.optimizer.keys()
    return device in ("cpu", "cuda") and "fused" in settings and not chosen and not clips


def _instantiate(name: str, section: Mapping[str, Any], **extra: Any) -> Any:
    try:
        return instantiate(dict(section), **extra, _convert_="all")
    except InstantiationException as error:
        cause = error.__cause__ or error
        if not isinstance(cause, TypeError | ValueError | ImportError | AttributeError | InstantiationException):
            raise
        reason = " ".join(str(cause).split())
        raise UserError(
            f"{name}: {section.get('_target_')} cannot be made with the settings given ({reason})"
        ) from error
