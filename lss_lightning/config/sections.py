"""What may be set in each section of the configuration, and to what."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from lss_lightning.config.validation import check, check_keys, setting
from lss_lightning.display import format_setting
from lss_lightning.errors import UserError


@dataclass(frozen=True)
class EncoderConfig:
    """``encoder``: which timm network the U-Net descends through."""

    name: str = setting()


@dataclass(frozen=True)
class ModelConfig:
    """``model``: the U-Net around the encoder."""

    name: str = setting()
    pretrained: bool | str = setting(False)
    upsampling: str = setting("transpose", choices=("transpose", "nearest", "bilinear"))
    decoder_channels: list[int] = setting([256, 128, 64, 32, 16])

    def __post_init__(self) -> None:
        if not self.decoder_channels or min(self.decoder_channels) < 1:
            channels = format_setting(self.decoder_channels)
            raise UserError(f"model.decoder_channels={channels}: give one or more whole numbers from 1")


@dataclass(frozen=True)
class TrainerConfig:
    """``trainer``: devices, precision and length, mostly as Lightning's Trainer takes them."""

    accelerator: str = setting("auto", choices=("auto", "cpu", "gpu", "cuda", "mps"))
    devices: int | str = setting("auto", at_least=-1)
    num_nodes: int = setting(1, at_least=1)
    strategy: str = setting("auto")
    precision: str = setting("auto", choices=("auto", "32-true", "16-mixed", "bf16-mixed", "64-true"))
    max_epochs: int = setting(200, at_least=1)
    accumulate_grad_batches: int = setting(1, at_least=1)
    gradient_clip_val: float | None = setting(None, above=0)
    limit_train_batches: int | float | None = setting(None, above=0)
    limit_val_batches: int | float | None = setting(None, above=0)
    limit_test_batches: int | float | None = setting(None, above=0)
    deterministic: bool = setting(False)
    sync_batchnorm: bool = setting(False)
    compile: bool = setting(False)
    max_time: str | None = setting(None)
    check_every: int = setting(50, at_least=1)

    @property
    def seconds(self) -> int | None:
        """``max_time`` in seconds."""
        if self.max_time is None:
            return None
        days, hours, minutes, seconds = [0, 0, 0, *map(int, self.max_time.split(":"))][-4:]
        return ((days * 24 + hours) * 60 + minutes) * 60 + seconds

    def __post_init__(self) -> None:
        if self.max_time is not None and not re.fullmatch(r"(\d+:)?\d+:\d\d:\d\d", self.max_time):
            raise UserError(f"trainer.max_time={self.max_time}: give hours:minutes:seconds, such as 11:30:00, or null")
        if self.devices == 0 or (isinstance(self.devices, str) and self.devices != "auto"):
            raise UserError(f"trainer.devices={self.devices}: give a number from 1, -1 for all, or auto")
        for name in ("limit_train_batches", "limit_val_batches", "limit_test_batches"):
            limit = getattr(self, name)
            if isinstance(limit, float) and limit > 1:
                raise UserError(f"trainer.{name}={limit}: give a whole number of batches, or a share up to 1.0 of all")


@dataclass(frozen=True)
class CallbacksConfig:
    """``callbacks``: what watches the training."""

    early_stopping: int | None = setting(None, at_least=1)
    ema_decay: float | None = setting(None, above=0, below=1)
    progress_bar: bool = setting(True)
    model_summary: bool = setting(True)


@dataclass(frozen=True)
class WandbConfig:
    """``logger.wandb``: where Weights & Biases records the run."""

    project: str = setting("lss_lightning")
    entity: str | None = setting(None)
    mode: str = setting("online", choices=("online", "offline", "disabled"))
    group: str | None = setting(None)
    tags: list[str] = setting([])
    checkpoint: bool = setting(True)
    timeout: int = setting(30, at_least=1)


@dataclass(frozen=True)
class LoggerConfig:
    """``logger``: files and trackers that record every epoch."""

    csv: bool = setting(True)
    tensorboard: bool = setting(False)
    examples: int = setting(4, at_least=0)
    examples_every: int = setting(5, at_least=1)
    wandb: WandbConfig | None = None

    @property
    def tracks(self) -> bool:
        """Whether any tracker records the run."""
        return self.tensorboard or self.wandb is not None


@dataclass(frozen=True)
class PathsConfig:
    """``paths``: where runs and data are written, relative to the working directory.

    Without ``cache`` every process decodes the slices into its own memory.
    """

    logs: str = setting("logs")
    data: str = setting("data")
    cache: str | None = setting("data/cache")


@dataclass(frozen=True)
class OutputConfig:
    """``output``: where ``predict.py`` writes, and what beside the measurements."""

    folder: str = setting()
    label_maps: bool = setting(True)
    nifti: bool = setting(True)
    overlays: bool = setting(True)
    seg: bool = setting(True)
    sr: bool = setting(True)
    html: bool = setting(True)
    keep_identity: bool = setting(False)

    def __post_init__(self) -> None:
        if self.sr and not self.seg:
            raise UserError("output.sr=true with output.seg=false: the report refers to the segmentation; set both")


@dataclass(frozen=True)
class LossSettings:
    """What losses have in common."""

    class_weights: str = setting(choices=("none", "inverse", "effective"))
    gamma: float = setting(2.0, at_least=0)
    lambda_dice: float = setting(1.0, at_least=0)
    lambda_ce: float = setting(1.0, at_least=0)


@dataclass(frozen=True)
class OptimizerSettings:
    """What most optimizers have in common."""

    lr: float = setting(above=0)
    weight_decay: float = setting(0.0, at_least=0)
    momentum: float = setting(0.0, at_least=0, below=1)


@dataclass(frozen=True)
class SchedulerSettings:
    """What learning-rate schedules have in common."""

    eta_min: float = setting(0.0, at_least=0)
    power: float = setting(1.0, above=0)
    T_max: int = setting(1, at_least=1)
    total_iters: int = setting(1, at_least=1)


@dataclass(frozen=True)
class Top:
    """Single values of every command."""

    name: str = setting()


def plain_data(cfg: DictConfig, keys: set[str]) -> dict[str, Any]:
    """The configuration as plain data.

    Args:
        cfg: As Hydra composed it.
        keys: What it must have at its top, and nothing else.

    Raises:
        UserError: a key is missing, or one is not allowed.
    """
    plain: Any = OmegaConf.to_container(cfg, resolve=True)
    check_keys(plain, keys, "", required=sorted(keys))
    return {str(key): value for key, value in plain.items()}


def top_values(schema: type[Top], plain: Mapping[str, Any]) -> dict[str, Any]:
    """The checked single values.

    Raises:
        UserError: one is not allowed.
    """
    values = check(schema, {key: plain[key] for key in names(schema)}, "")
    if not re.fullmatch(r"\w[\w .+-]*", values["name"]):
        raise UserError(
            f"name={values['name']}: it names the run's folder; only letters, digits, spaces and . _ + - are allowed"
        )
    return values


def names(schema: type[Any]) -> set[str]:
    """The fields of a dataclass."""
    return {entry.name for entry in fields(schema)}


def config_folder() -> Path:
    """The folder with the YAML files: ``conf/`` of the checkout, or the copy inside an installed package."""
    package = Path(__file__).parents[1]
    installed = package / "conf"
    return installed if installed.is_dir() else package.parent / "conf"
