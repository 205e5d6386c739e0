"""The typed schema of the configuration: what may be set, to what, and what the workflows get."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from lss_lightning.data.source import DataSource
from lss_lightning.data.splits import SplitConfig
from lss_lightning.errors import UserError
from lss_lightning.models.encoder_names import check_encoder_name
from lss_lightning.settings import build, check, check_keys, check_kind, setting


def config_folder() -> Path:
    """The folder with the YAML files: ``conf/`` of the checkout, or the copy inside an installed package."""
    package = Path(__file__).parent
    installed = package / "conf"
    return installed if installed.is_dir() else package.parent / "conf"


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
            raise UserError(f"model.decoder_channels={self.decoder_channels}: give one or more whole numbers from 1")


@dataclass(frozen=True)
class TrainerConfig:
    """``trainer``: devices, precision and length, as Lightning's Trainer takes them."""

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

    def __post_init__(self) -> None:
        if self.devices == 0 or (isinstance(self.devices, str) and self.devices != "auto"):
            raise UserError(f"trainer.devices={self.devices}: give a number from 1, -1 for all, or auto")


@dataclass(frozen=True)
class CallbacksConfig:
    """``callbacks``: what watches the training."""

    early_stopping: int | None = setting(None, at_least=1)
    progress_bar: bool = setting(True)
    model_summary: bool = setting(True)


@dataclass(frozen=True)
class WandbConfig:
    """``logger.wandb``: where Weights & Biases records the run."""

    project: str = setting("lss_lightning")
    entity: str | None = setting(None)
    mode: str = setting("online", choices=("online", "offline", "disabled"))
    tags: list[str] = setting([])


@dataclass(frozen=True)
class LoggerConfig:
    """``logger``: files and trackers that record every epoch."""

    csv: bool = setting(True)
    wandb: WandbConfig | None = None


@dataclass(frozen=True)
class PathsConfig:
    """``paths``: where runs and data are written, relative to the working directory."""

    logs: str = setting("logs")
    data: str = setting("data")


@dataclass(frozen=True)
class LossSettings:
    """What losses have in common."""

    class_weights: str = setting("none", choices=("none", "inverse", "effective"))
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
class TrainConfig:
    """The configuration of ``train.py``.

    ``loss``, ``optimizer`` and ``scheduler`` name a class (``_target_``) and its arguments. ``plain`` is the whole as
    plain data, as the checkpoint carries it.
    """

    name: str
    seed: int
    ckpt_path: str | None
    encoder: EncoderConfig
    model: ModelConfig
    data: DataSource
    split: SplitConfig
    loss: dict[str, Any]
    optimizer: dict[str, Any]
    scheduler: dict[str, Any]
    trainer: TrainerConfig
    callbacks: CallbacksConfig
    logger: LoggerConfig
    paths: PathsConfig
    plain: dict[str, Any]


@dataclass(frozen=True)
class EvaluateConfig:
    """The configuration of ``evaluate.py``.

    ``data`` holds what the user gave of the data section: with ``data.name`` ``checkpoint``, changes to the
    checkpoint's own; else a section of its own. ``given`` names the keys that the command line sets.
    """

    name: str
    ckpt_path: str
    subset: str | None
    data: dict[str, Any]
    trainer: TrainerConfig
    paths: PathsConfig
    given: frozenset[str]


@dataclass(frozen=True)
class _Common:
    """Top-level values of any command."""

    name: str = setting()
    seed: int = setting(0, at_least=0)
    ckpt_path: str | None = setting(None)
    subset: str | None = setting(None, choices=("train", "val", "test", "all"))


def data_source(section: Mapping[str, Any]) -> DataSource:
    """The source that a data section describes.

    Raises:
        UserError: the section names no source of this package, or one of its values is wrong.
    """
    # The section may come out of somebody's checkpoint: only our own classes are looked up.
    target = str(section.get("_target_"))
    module, _, name = target.rpartition(".")
    found: Any = None
    if module.startswith("lss_lightning.data."):
        try:
            found = getattr(importlib.import_module(module), name, None)
        except ModuleNotFoundError as error:
            if error.name != module:
                raise
    if not (isinstance(found, type) and issubclass(found, DataSource)):
        raise UserError(f"data._target_={target}: no data source; name a DataSource of lss_lightning.data")
    return build(found, section, "data")


def train_config(cfg: DictConfig, choices: Mapping[str, str]) -> TrainConfig:
    """Check the composed configuration of ``train.py``.

    Args:
        cfg: As Hydra composed it.
        choices: Hydra's chosen file per group, e.g. ``{"optimizer": "adam"}``.

    Raises:
        UserError: a key or value that is not allowed.
    """
    plain = _plain(cfg)
    check_keys(plain, _names(TrainConfig) - {"plain"}, "")
    common = check(_Common, {key: plain[key] for key in ("name", "seed", "ckpt_path")}, "")
    encoder = build(EncoderConfig, plain["encoder"], "encoder")
    check_encoder_name(encoder.name)
    logger = dict(plain["logger"])
    if logger.get("wandb") is not None:
        logger["wandb"] = build(WandbConfig, logger["wandb"], "logger.wandb")
    return TrainConfig(
        **common,
        encoder=encoder,
        model=build(ModelConfig, plain["model"], "model"),
        data=data_source(plain["data"]),
        split=build(SplitConfig, plain["split"], "split"),
        loss=_open_section("loss", plain, LossSettings, choices),
        optimizer=_open_section("optimizer", plain, OptimizerSettings, choices),
        scheduler=_open_section("scheduler", plain, SchedulerSettings, choices),
        trainer=build(TrainerConfig, plain["trainer"], "trainer"),
        callbacks=build(CallbacksConfig, plain["callbacks"], "callbacks"),
        logger=LoggerConfig(**check(LoggerConfig, logger, "logger")),
        paths=build(PathsConfig, plain["paths"], "paths"),
        plain=plain,
    )


def evaluate_config(cfg: DictConfig, given: frozenset[str]) -> EvaluateConfig:
    """Check the composed configuration of ``evaluate.py``; ``given`` names the keys that the command line sets.

    Raises:
        UserError: a key or value that is not allowed.
    """
    plain = _plain(cfg)
    check_keys(plain, _names(EvaluateConfig) - {"given"}, "")
    data = plain["data"]
    if data.get("name") != "checkpoint":
        data_source(data)
    return EvaluateConfig(
        **check(_Common, {key: plain[key] for key in ("name", "ckpt_path", "subset")}, ""),
        data=data,
        trainer=build(TrainerConfig, plain["trainer"], "trainer"),
        paths=build(PathsConfig, plain["paths"], "paths"),
        given=given,
    )


def _plain(cfg: DictConfig) -> dict[str, Any]:
    plain = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def _names(schema: type[Any]) -> set[str]:
    return {entry.name for entry in fields(schema)}


def _open_section(name: str, plain: Mapping[str, Any], schema: type[Any], choices: Mapping[str, str]) -> dict[str, Any]:
    """A section whose class takes what it takes: common keys by the schema, others by the kind in the YAML file."""
    section = check(schema, plain[name], name)
    shipped = config_folder() / name / f"{choices.get(name)}.yaml"
    if shipped.is_file():
        examples = OmegaConf.to_container(OmegaConf.load(shipped))
        assert isinstance(examples, dict)
        for key, value in section.items():
            check_kind(f"{name}.{key}", value, examples.get(key))
    return section
