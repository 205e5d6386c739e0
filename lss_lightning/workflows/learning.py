"""Loss, optimizer and learning-rate schedule, from their sections of the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from torch import nn

from lss_lightning.config import TrainConfig
from lss_lightning.data.datamodule import SliceDataModule
from lss_lightning.data.statistics import class_pixels
from lss_lightning.errors import UserError
from lss_lightning.models.losses import class_weights
from lss_lightning.models.segmenter import Optimizers


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
        optimizer = _instantiate("optimizer", config.optimizer, params=list(network.parameters()))
        if config.scheduler.get("_target_") is None:
            return {"optimizer": optimizer}
        return {
            "optimizer": optimizer,
            "lr_scheduler": _instantiate("scheduler", config.scheduler, optimizer=optimizer),
        }

    configure(nn.Linear(1, 1))  # a mistake shows now, not after the data has been read
    return configure


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
