"""The configuration of ``train.py``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from lss_lightning.config.data import data_source, split_protocol
from lss_lightning.config.sections import (
    CallbacksConfig,
    EncoderConfig,
    LoggerConfig,
    LossSettings,
    ModelConfig,
    OptimizerSettings,
    PathsConfig,
    SchedulerSettings,
    Top,
    TrainerConfig,
    config_folder,
    names,
    plain_data,
    top_values,
)
from lss_lightning.config.validation import build, check, check_keys, check_kind, check_section, required_keys, setting
from lss_lightning.data.augment import AugmentationConfig
from lss_lightning.data.source import DataSource
from lss_lightning.data.splits import SplitProtocol
from lss_lightning.display import format_setting
from lss_lightning.errors import UserError
from lss_lightning.models.encoder_names import check_encoder_name


@dataclass(frozen=True)
class TrainConfig:
    """The configuration of ``train.py``.

    ``loss``, ``optimizer`` and ``scheduler`` name a class (``_target_``) and its arguments. ``plain`` is the whole as
    plain data, as the checkpoint carries it.

    Raises:
        UserError: sections that contradict one another.
    """

    name: str
    seed: int
    ckpt_path: str | None
    encoder: EncoderConfig
    model: ModelConfig
    data: DataSource
    split: SplitProtocol
    augmentation: AugmentationConfig
    loss: dict[str, Any]
    optimizer: dict[str, Any]
    scheduler: dict[str, Any]
    trainer: TrainerConfig
    callbacks: CallbacksConfig
    logger: LoggerConfig
    paths: PathsConfig
    plain: dict[str, Any]

    def __post_init__(self) -> None:
        if self.callbacks.early_stopping is not None and self.split.selecting_part is None:
            raise UserError(
                f"callbacks.early_stopping={self.callbacks.early_stopping}: split={self.split.protocol}, as set here, "
                "has no part to watch; set callbacks.early_stopping=null, or give the split a validation part"
            )

    def at_precision(self, precision: str) -> TrainConfig:
        """The same with the precision that ``auto`` stands for on this machine."""
        plain = {**self.plain, "trainer": {**self.plain["trainer"], "precision": precision}}
        return replace(self, trainer=replace(self.trainer, precision=precision), plain=plain)


@dataclass(frozen=True)
class _Top(Top):
    """Single values."""

    seed: int = setting(at_least=0, at_most=2**32 - 1)
    ckpt_path: str | None = setting()


def check_train(cfg: DictConfig, hydra_cfg: Any) -> TrainConfig:
    """Check the composed configuration, and that the files which it names are there.

    Args:
        cfg: As Hydra composed it.
        hydra_cfg: Hydra's own part of it.

    Raises:
        UserError: a key or value that is not allowed, or a file that is not there.
    """
    config = train_config(cfg, hydra_cfg.runtime.choices)
    weights = config.model.pretrained
    if isinstance(weights, str) and not Path(weights).is_file():
        raise UserError(f"model.pretrained={weights}: no such file; give true, false or the path of a weights file")
    config.data.check()
    return config


def train_config(cfg: DictConfig, choices: Mapping[str, str]) -> TrainConfig:
    """Check the composed configuration of ``train.py``.

    Args:
        cfg: As Hydra composed it.
        choices: Hydra's chosen file per group, e.g. ``{"optimizer": "adam"}``.

    Raises:
        UserError: a key or value that is not allowed.
    """
    plain = plain_data(cfg, names(TrainConfig) - {"plain"})
    encoder = build(EncoderConfig, plain["encoder"], "encoder")
    check_encoder_name(encoder.name)
    return TrainConfig(
        encoder=encoder,
        model=build(ModelConfig, plain["model"], "model"),
        **top_values(_Top, plain),
        data=data_source(plain["data"]),
        split=split_protocol(plain["split"]),
        augmentation=build(AugmentationConfig, plain["augmentation"], "augmentation"),
        loss=_open_section("loss", plain, LossSettings, choices),
        optimizer=_open_section("optimizer", plain, OptimizerSettings, choices),
        scheduler=_open_section("scheduler", plain, SchedulerSettings, choices),
        trainer=build(TrainerConfig, plain["trainer"], "trainer"),
        callbacks=build(CallbacksConfig, plain["callbacks"], "callbacks"),
        logger=build(LoggerConfig, plain["logger"], "logger"),
        paths=build(PathsConfig, plain["paths"], "paths"),
        plain=plain,
    )


def _open_section(name: str, plain: Mapping[str, Any], schema: type[Any], choices: Mapping[str, str]) -> dict[str, Any]:
    """A section whose class takes what it takes: common keys by the schema, others by the kind in the YAML file."""
    check_section(name, plain[name])
    section = check(schema, plain[name], name)
    check_keys(section, section, name, required_keys(schema))
    target = section.get("_target_")
    if not isinstance(target, str) and (name != "scheduler" or target is not None):
        raise UserError(f"{name}._target_={format_setting(target)}: names no class; choose one by {name}=…")
    shipped = config_folder() / name / f"{choices.get(name)}.yaml"
    if shipped.is_file():
        examples: Any = OmegaConf.to_container(OmegaConf.load(shipped))
        for key in sorted(section.keys() - names(schema)):
            check_kind(f"{name}.{key}", section[key], examples.get(key))
    return section
