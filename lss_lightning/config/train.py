"""The configuration of ``train.py``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from omegaconf import DictConfig, OmegaConf
from pydantic import Field, PlainValidator

from lss_lightning.config.callbacks import EARLY_STOPPING, check_callbacks
from lss_lightning.config.data import DataSection, SplitSection
from lss_lightning.config.loggers import ExamplesConfig, LoggerSection
from lss_lightning.config.model import (
    EncoderConfig,
    ModelConfig,
    NetworkConfig,
    NetworkSettings,
    build_model,
    check_encoder_is_used,
)
from lss_lightning.config.sections import (
    LossSettings,
    OptimizerSettings,
    PathsConfig,
    RunName,
    SchedulerSettings,
    config_folder,
)
from lss_lightning.config.targets import MetricsSection, check_target
from lss_lightning.config.trainer import EngineConfig, TrainerConfig
from lss_lightning.config.validation import build_config, check_is_section, check_same_type, read_plain, validate_open
from lss_lightning.data.augment import AugmentationConfig
from lss_lightning.display import format_setting
from lss_lightning.errors import UserError
from lss_lightning.models.specs import check_installed
from lss_lightning.runs.trust import is_share

_COMMON_KEYS: dict[str, Any] = {"loss": LossSettings, "optimizer": OptimizerSettings, "scheduler": SchedulerSettings}
"""The sections that name a class and its arguments, with the keys that most of the allowed classes share."""


def _check_class_section(name: str, values: Any) -> dict[str, Any]:
    """Check a section that names a class by ``_target_`` and gives its arguments."""
    check_is_section(values, name)
    shares = {key: value for key, value in values.items() if name == "scheduler" and is_share(value)}
    section = {**validate_open(_COMMON_KEYS[name], {**values, **dict.fromkeys(shares, 1)}, name), **shares}
    if name != "scheduler" or section.get("_target_") is not None:
        check_target(section, name, f"choose one with {name}=…")
    return section


@dataclass(frozen=True)
class TrainConfig:
    """The configuration of ``train.py``.

    Attributes:
        name: Name of the run, and of its folder under ``logs/train``.
        seed: Seed of the initial weights and of the order of the slices.
        ckpt_path: The checkpoint from which training is resumed, or None.
        encoder: The encoder of the U-Net.
        model: The U-Net around the encoder, or the class of another network (``_target_``) and its arguments.
        data: The data to train and test on.
        split: The protocol by which the data are split into parts.
        augmentation: The strength of the augmentation of training slices.
        loss: Class of the loss (``_target_``) and its arguments.
        optimizer: Class of the optimizer and its arguments.
        scheduler: Class of the learning-rate scheduler and its arguments. If ``_target_`` is None, the learning
            rate is constant.
        trainer: Arguments of Lightning's Trainer.
        engine: Further settings of the run.
        callbacks: The enabled callbacks by name, each a class (``_target_``) and its arguments.
        logger: The loggers that record the run, by name.
        examples: The slices that loggers show.
        paths: The folders to which runs and data are written.
        plain: The whole configuration as plain data, which checkpoints store.
        metrics: Additional metrics for validation and test: class and arguments by name.

    Raises:
        UserError: If sections contradict each other.
    """

    name: RunName
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)]
    ckpt_path: str | None
    encoder: EncoderConfig
    model: Annotated[ModelConfig | NetworkConfig, PlainValidator(build_model)]
    data: DataSection
    split: SplitSection
    augmentation: AugmentationConfig
    loss: Annotated[dict[str, Any], PlainValidator(partial(_check_class_section, "loss"))]
    optimizer: Annotated[dict[str, Any], PlainValidator(partial(_check_class_section, "optimizer"))]
    scheduler: Annotated[dict[str, Any], PlainValidator(partial(_check_class_section, "scheduler"))]
    trainer: TrainerConfig
    engine: EngineConfig
    callbacks: Annotated[dict[str, dict[str, Any]], PlainValidator(check_callbacks)]
    logger: LoggerSection
    examples: ExamplesConfig
    paths: PathsConfig
    plain: dict[str, Any]
    metrics: MetricsSection = field(default_factory=dict)

    def __post_init__(self) -> None:
        if isinstance(self.model, ModelConfig) and self.encoder.name is None:
            raise UserError(
                f"encoder=none: model={self.model.name} needs an encoder; choose one, e.g. encoder=resnet34"
            )
        for name, entry in self.callbacks.items():
            if entry["_target_"] == EARLY_STOPPING and not self.has_objective:
                raise UserError(
                    f"callbacks.{name}: split={self.split.protocol} and trainer.limit_val_batches="
                    f"{format_setting(self.trainer.limit_val_batches)}, as set here, leave nothing to monitor; set "
                    f"callbacks.{name}=null, or give the split a validation set"
                )

    @property
    def has_objective(self) -> bool:
        """Whether a part of the split is used for validation, so that the best epoch can be selected."""
        return self.split.selection_part is not None and self.trainer.limit_val_batches != 0

    def at_precision(self, precision: str) -> TrainConfig:
        """Return a copy of the configuration with the given precision instead of ``auto``."""
        plain = {**self.plain, "trainer": {**self.plain["trainer"], "precision": precision}}
        return replace(self, trainer=replace(self.trainer, precision=precision), plain=plain)  # type: ignore[arg-type]


def build_train_config(cfg: DictConfig, choices: Mapping[str, str]) -> TrainConfig:
    """Build the configuration of ``train.py``.

    Args:
        cfg: The composed configuration.
        choices: The file that Hydra chose for each group, e.g. ``{"optimizer": "adam"}``.

    Raises:
        UserError: If a key or value is not allowed.
    """
    config = build_config(TrainConfig, cfg, plain=read_plain(cfg))
    sections: dict[str, dict[str, Any]] = {group: getattr(config, group) for group in _COMMON_KEYS}
    if isinstance(config.model, NetworkConfig):
        sections["model"] = config.model.arguments
        check_encoder_is_used(config.model, config.encoder, OmegaConf.to_container(cfg.model, resolve=False))
    for group, section in sections.items():
        shipped = config_folder() / group / f"{choices.get(group)}.yaml"
        if shipped.is_file():
            examples: Any = OmegaConf.to_container(OmegaConf.load(shipped))
            common = _COMMON_KEYS.get(group, NetworkSettings)
            for key in sorted(section.keys() - common.__annotations__.keys()):
                check_same_type(f"{group}.{key}", section[key], examples.get(key))
    return config


def check_train(cfg: DictConfig, hydra_cfg: Any) -> TrainConfig:
    """Check the composed configuration, and check that the files that it refers to exist.

    Args:
        cfg: The composed configuration.
        hydra_cfg: Hydra's own part of the configuration.

    Raises:
        UserError: If a key or value is not allowed, or a file does not exist.
    """
    config = build_train_config(cfg, hydra_cfg.runtime.choices)
    if isinstance(config.model, NetworkConfig):
        check_installed(config.model.target)
    weights = config.model.pretrained
    if isinstance(weights, str) and not Path(weights).is_file():
        raise UserError(f"model.pretrained={weights}: no such file; give true, false or the path of a weights file")
    config.data.check()
    return config
