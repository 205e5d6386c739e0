"""The loss, optimizer and learning-rate scheduler, instantiated from their sections of the configuration."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from hydra.errors import InstantiationException
from hydra.utils import get_class, instantiate
from torch import nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from lss_lightning.config.train import TrainConfig
from lss_lightning.data.datamodule import SliceDataModule
from lss_lightning.data.statistics import count_class_pixels
from lss_lightning.errors import UserError
from lss_lightning.models.epoch_scores import MONITORED_METRIC
from lss_lightning.models.losses import class_weights
from lss_lightning.models.segmentation import OptimizerFactory


def make_loss(config: TrainConfig, data: SliceDataModule) -> nn.Module:
    """Return the loss. Its class weights are computed from the training labels only.

    Args:
        config: The configuration of the run.
        data: The data, set up.

    Raises:
        UserError: If the section ``loss`` names no class, or has settings that its class rejects.
    """
    section = dict(config.loss)
    pixels = torch.from_numpy(count_class_pixels(data.part("train"), len(config.data.labels)))
    weights = class_weights(pixels, section.pop("class_weights"))
    loss = _instantiate("loss", section, weights=weights)
    assert isinstance(loss, nn.Module)
    return loss


def make_optimizers(config: TrainConfig) -> OptimizerFactory:
    """Return a function that makes the optimizer and its scheduler once the network is on its device.

    Args:
        config: The configuration of the run, with the precision resolved.

    Raises:
        UserError: If the section ``optimizer`` or ``scheduler`` names no class, or has settings that its class rejects,
            or if gradients cannot be clipped with these settings.
    """
    _check_clipping(config)

    def configure(network: nn.Module) -> dict[str, Any]:
        parameters = list(network.parameters())
        extra = {"fused": True} if is_optimizer_fused(config, parameters[0].device.type) else {}
        optimizer = _instantiate("optimizer", config.optimizer, params=parameters, **extra)
        if config.scheduler.get("_target_") is None:
            return {"optimizer": optimizer}
        scheduler = _instantiate("scheduler", config.scheduler, optimizer=optimizer)
        if isinstance(scheduler, ReduceLROnPlateau):
            _check_monitored(scheduler, config)
        # Only schedulers that follow a metric use the monitor.
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "monitor": MONITORED_METRIC}}

    configure(nn.Linear(1, 1))  # reports a mistake now, not after the data has been read
    return configure


def is_optimizer_fused(config: TrainConfig, device: str) -> bool:
    """Whether the optimizer updates all weights in one kernel, which it does if it can and is not set otherwise.

    Args:
        config: The configuration of the run, with the precision resolved.
        device: The torch device type, e.g. ``cuda``.
    """
    try:
        parameters = inspect.signature(get_class(config.optimizer["_target_"])).parameters
    except (ImportError, ValueError):
        return False  # instantiating the optimizer reports the mistake
    is_set = bool({"fused", "foreach"} & config.optimizer.keys())
    return device in ("cpu", "cuda") and "fused" in parameters and not is_set and not _clips_mixed(config)


def _clips_mixed(config: TrainConfig) -> bool:
    """Whether gradients are clipped in mixed precision.

    Lightning refuses to do so with a fused optimizer. With float16, one kernel unscales and applies the gradients, and
    bfloat16 follows the same rule.
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
    if config.trainer.gradient_clip_val is not None and "fsdp" in config.trainer.strategy:
        raise UserError(
            f"{setting} with trainer.strategy={config.trainer.strategy}: Lightning does not clip gradients that are "
            "divided among devices; remove it, or set trainer.strategy=ddp"
        )


def _check_monitored(scheduler: ReduceLROnPlateau, config: TrainConfig) -> None:
    """Check that a scheduler that follows the validation objective can do so."""
    target = config.scheduler["_target_"]
    if config.split.selection_part is None:
        raise UserError(
            f"scheduler._target_={target}: follows {MONITORED_METRIC}, but split={config.split.protocol}, as set here, "
            "has no part to compute it on; choose another scheduler, or give the split a validation set"
        )
    if scheduler.mode != "max":
        raise UserError(
            f"scheduler._target_={target} with scheduler.mode={scheduler.mode}: {MONITORED_METRIC}, which it follows, "
            "is better if it is greater; add scheduler.mode=max"
        )


def _instantiate(name: str, section: Mapping[str, Any], **extra: Any) -> Any:
    try:
        return instantiate(dict(section), **extra, _convert_="all")
    except InstantiationException as error:
        cause = error.__cause__ or error
        if not isinstance(cause, TypeError | ValueError | ImportError | AttributeError | InstantiationException):
            raise
        reason = " ".join(str(cause).split())
        raise UserError(
            f"{name}: {section.get('_target_')} cannot be instantiated with these settings ({reason}); correct them"
        ) from error
