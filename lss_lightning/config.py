"""The configuration: what the YAML files and the command line compose, checked and typed for the workflows."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from omegaconf import DictConfig, OmegaConf

from lss_lightning.checkpoints import checkpoint_files
from lss_lightning.data.augment import AugmentationConfig
from lss_lightning.data.source import DataSource
from lss_lightning.data.splits import SplitProtocol
from lss_lightning.errors import UserError
from lss_lightning.models.encoder_names import check_encoder_name
from lss_lightning.models.views import VIEWS
from lss_lightning.reproduction import ReproduceSettings, Training
from lss_lightning.sections import (
    CallbacksConfig,
    EncoderConfig,
    LoggerConfig,
    LossSettings,
    ModelConfig,
    OptimizerSettings,
    OutputConfig,
    PathsConfig,
    SchedulerSettings,
    TrainerConfig,
)
from lss_lightning.settings import build, check, check_keys, check_kind, check_section, required_keys, setting, shown
from lss_lightning.stenosis.levels import DISCS

T = TypeVar("T")


def config_folder() -> Path:
    """The folder with the YAML files: ``conf/`` of the checkout, or the copy inside an installed package."""
    package = Path(__file__).parent
    installed = package / "conf"
    return installed if installed.is_dir() else package.parent / "conf"


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
class EvaluateConfig:
    """The configuration of ``evaluate.py``.

    What is tested is named by ``ckpt_path``, or by ``folds``, the runs of a cross-validation. ``data`` holds what the
    user gave of the data section: with ``data.name`` ``checkpoint``, changes to the checkpoint's own; else a section of
    its own. ``given`` names the keys that the command line sets.

    Raises:
        UserError: settings that contradict one another.
    """

    name: str
    ckpt_path: list[str] | None
    folds: list[str] | None
    tta: str
    subset: str | None
    measurements: bool
    data: dict[str, Any]
    trainer: TrainerConfig
    logger: LoggerConfig
    paths: PathsConfig
    given: frozenset[str]

    def __post_init__(self) -> None:
        if self.folds is None and self.ckpt_path is None:
            raise UserError("ckpt_path is not set: give ckpt_path=…, or folds=… of a cross-validation")
        own = {"ckpt_path": self.ckpt_path, "subset": self.subset, "data": None if self.own_data else self.data["name"]}
        if self.folds is not None and (given := [key for key, value in own.items() if value is not None]):
            raise UserError(
                f"{given[0]}={shown(own[given[0]])} with folds={shown(self.folds)}: folds are tested on what they held "
                f"out of their own data; leave {given[0]} out (data.root=… says where the data lies now)"
            )

    @property
    def own_data(self) -> bool:
        """Whether the data is that of the checkpoint's run."""
        return self.data["name"] == "checkpoint"

    def find_checkpoints(self) -> tuple[Path, ...]:
        """The files that ``ckpt_path`` or ``folds`` names: :func:`~lss_lightning.checkpoints.checkpoint_files`."""
        if self.folds is not None:
            return checkpoint_files(self.folds, "folds")
        return checkpoint_files(self.ckpt_path or [])


@dataclass(frozen=True)
class PrepareConfig:
    """The configuration of ``prepare.py``."""

    name: str
    data: DataSource
    split: SplitProtocol
    paths: PathsConfig


@dataclass(frozen=True)
class CompareConfig:
    """The configuration of ``compare.py``: the runs' folders, and how many images Figure 13 shows."""

    name: str
    runs: list[str]
    examples: int
    trainer: TrainerConfig
    paths: PathsConfig


@dataclass(frozen=True)
class ReproduceConfig:
    """The configuration of ``reproduce.py``.

    Attributes:
        name: Of the folder that keeps runs and reports.
        reproduce: Which runs.
        trainings: Each run to be.
        data: The data of all of them.
        trainer: On what they are trained.
        paths: Where they are written.
    """

    name: str
    reproduce: ReproduceSettings
    trainings: tuple[Training, ...]
    data: DataSource
    trainer: TrainerConfig
    paths: PathsConfig


@dataclass(frozen=True)
class PredictConfig:
    """The configuration of ``predict.py``; ``levels`` is empty where none is given.

    Raises:
        UserError: more than one device, or a level that is none.
    """

    name: str
    ckpt_path: list[str]
    tta: str
    input: str
    levels: dict[str, str]
    pixel_size: float | None
    batch_size: int
    overwrite: bool
    output: OutputConfig
    trainer: TrainerConfig
    paths: PathsConfig

    def __post_init__(self) -> None:
        if self.trainer.devices != 1:
            raise UserError(f"trainer.devices={self.trainer.devices}: predicting takes one device; leave it out")
        for key, level in self.levels.items():
            if not re.fullmatch(r"(study_[1-9]\d*/)?slice_\d{2,}", key):
                raise UserError(f"levels.{key}: names no slice; give slice_03, or study_2/slice_03 of several studies")
            if level not in DISCS:
                raise UserError(f"levels={{{key}: {level}}}: no lumbar disc; allowed: {', '.join(DISCS)}")

    def find_checkpoints(self) -> tuple[Path, ...]:
        """The files that ``ckpt_path`` names: :func:`~lss_lightning.checkpoints.checkpoint_files`."""
        return checkpoint_files(self.ckpt_path)

    def levels_of(self, study: str) -> dict[str, str]:
        """Level by slice, of one study."""
        place = f"{study}/"
        return {
            key.removeprefix(place): level for key, level in self.levels.items() if key.startswith(("slice_", place))
        }


@dataclass(frozen=True)
class _TrainTop:
    """Values at the top of ``train.py``'s configuration."""

    name: str = setting()
    seed: int = setting(at_least=0, at_most=2**32 - 1)
    ckpt_path: str | None = setting()


@dataclass(frozen=True)
class _EvaluateTop:
    """Values at the top of ``evaluate.py``'s configuration."""

    name: str = setting()
    ckpt_path: list[str] | None = setting()
    folds: list[str] | None = setting()
    tta: str = setting(choices=tuple(VIEWS))
    subset: str | None = setting(choices=("train", "val", "test", "all"))
    measurements: bool = setting()


@dataclass(frozen=True)
class _CompareTop:
    """Values at the top of ``compare.py``'s configuration."""

    name: str = setting()
    runs: list[str] = setting()
    examples: int = setting(at_least=1, at_most=12)


@dataclass(frozen=True)
class _PrepareTop:
    """Values at the top of ``prepare.py``'s configuration."""

    name: str = setting()


@dataclass(frozen=True)
class _PredictTop:
    """Values at the top of ``predict.py``'s configuration."""

    name: str = setting()
    ckpt_path: list[str] = setting()
    tta: str = setting(choices=tuple(VIEWS))
    input: str = setting()
    levels: dict[str, str] = setting()
    pixel_size: float | None = setting(above=0)
    batch_size: int = setting(at_least=1)
    overwrite: bool = setting()


def data_source(section: Mapping[str, Any]) -> DataSource:
    """The source that a data section describes.

    Raises:
        UserError: the section names no source of this package, or one of its values is wrong.
    """
    check_section("data", section)
    target = section.get("_target_")
    if target is None:
        raise UserError(f"data.name={section.get('name')}: no data source; choose one by data=alkafri or data=phantom")
    found = _class_of_data(str(target), DataSource)
    if found is None:
        raise UserError(f"data._target_={target}: no data source; name a DataSource of lss_lightning.data")
    return build(found, section, "data")


def split_protocol(section: Mapping[str, Any]) -> SplitProtocol:
    """The protocol that a split section describes.

    Raises:
        UserError: the section names no protocol of this package, or one of its values is wrong.
    """
    check_section("split", section)
    target = section.get("_target_")
    found = _class_of_data(str(target), SplitProtocol)
    if found is None:
        names = ", ".join(sorted(path.stem for path in (config_folder() / "split").glob("*.yaml")))
        raise UserError(f"split._target_={shown(target)}: no split protocol; choose one by split=…: {names}")
    return build(found, section, "split")


def _class_of_data(target: str, base: type[T]) -> type[T] | None:
    """The class of that name, if it is one of ``lss_lightning.data`` that derives from ``base``.

    The name may come out of somebody's checkpoint: only our own classes are looked up.
    """
    module, _, name = target.rpartition(".")
    if not module.startswith("lss_lightning.data."):
        return None
    try:
        found: Any = getattr(importlib.import_module(module), name, None)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        return None
    return found if isinstance(found, type) and issubclass(found, base) and found is not base else None


def train_config(cfg: DictConfig, choices: Mapping[str, str]) -> TrainConfig:
    """Check the composed configuration of ``train.py``.

    Args:
        cfg: As Hydra composed it.
        choices: Hydra's chosen file per group, e.g. ``{"optimizer": "adam"}``.

    Raises:
        UserError: a key or value that is not allowed.
    """
    plain = _plain(cfg, _names(TrainConfig) - {"plain"})
    encoder = build(EncoderConfig, plain["encoder"], "encoder")
    check_encoder_name(encoder.name)
    return TrainConfig(
        encoder=encoder,
        model=build(ModelConfig, plain["model"], "model"),
        **_top(_TrainTop, plain),
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


def evaluate_config(cfg: DictConfig, given: frozenset[str]) -> EvaluateConfig:
    """Check the composed configuration of ``evaluate.py``; ``given`` names the keys that the command line sets.

    Raises:
        UserError: a key or value that is not allowed.
    """
    plain = _plain(cfg, _names(EvaluateConfig) - {"given"})
    for key in ("ckpt_path", "folds"):
        if isinstance(plain[key], str) and plain[key].strip():
            plain[key] = [plain[key]]
    data = plain["data"]
    check_section("data", data)
    if data.get("name") == "checkpoint":
        # Which keys the checkpoint's own source has beside the common ones shows when it is read.
        changed = {key: value for key, value in data.items() if value is not None}
        data = {**data, **check(DataSource, changed, "data")}
    else:
        data_source(data)
    return EvaluateConfig(
        **_top(_EvaluateTop, plain),
        data=data,
        trainer=build(TrainerConfig, plain["trainer"], "trainer"),
        logger=build(LoggerConfig, plain["logger"], "logger"),
        paths=build(PathsConfig, plain["paths"], "paths"),
        given=given,
    )


def prepare_config(cfg: DictConfig) -> PrepareConfig:
    """Check the composed configuration of ``prepare.py``.

    Raises:
        UserError: a key or value that is not allowed.
    """
    plain = _plain(cfg, _names(PrepareConfig))
    return PrepareConfig(
        **_top(_PrepareTop, plain),
        data=data_source(plain["data"]),
        split=split_protocol(plain["split"]),
        paths=build(PathsConfig, plain["paths"], "paths"),
    )


def compare_config(cfg: DictConfig) -> CompareConfig:
    """Check the composed configuration of ``compare.py``.

    Raises:
        UserError: a key or value that is not allowed.
    """
    plain = _plain(cfg, _names(CompareConfig))
    return CompareConfig(
        **_top(_CompareTop, plain),
        trainer=build(TrainerConfig, plain["trainer"], "trainer"),
        paths=build(PathsConfig, plain["paths"], "paths"),
    )


def reproduce_config(cfg: DictConfig, choices: Mapping[str, str], given: Sequence[str]) -> ReproduceConfig:
    """Check the composed configuration of ``reproduce.py``.

    Args:
        cfg: As Hydra composed it.
        choices: Hydra's chosen file per group.
        given: The command line's overrides.

    Raises:
        UserError: a key or value that is not allowed.
    """
    shared = ("data", "trainer", "callbacks", "logger", "paths")
    plain = _plain(cfg, {"name", "reproduce", *shared})
    settings = build(ReproduceSettings, plain["reproduce"], "reproduce")
    # What the user says of the runs is said to each of them: the choice of files first, then single values.
    handed = [f"{group}={choices[group]}" for group in shared]
    handed += [text for text in given if text.lstrip("+~").startswith(tuple(f"{group}." for group in shared))]
    return ReproduceConfig(
        **_top(_PrepareTop, plain),
        reproduce=settings,
        trainings=settings.trainings(plain["data"]["name"], handed),
        data=data_source(plain["data"]),
        trainer=build(TrainerConfig, plain["trainer"], "trainer"),
        paths=build(PathsConfig, plain["paths"], "paths"),
    )


def predict_config(cfg: DictConfig) -> PredictConfig:
    """Check the composed configuration of ``predict.py``.

    Raises:
        UserError: a key or value that is not allowed.
    """
    plain = _plain(cfg, _names(PredictConfig))
    plain["levels"] = plain["levels"] or {}
    if isinstance(plain["ckpt_path"], str) and plain["ckpt_path"].strip() not in ("", "???"):
        plain["ckpt_path"] = [plain["ckpt_path"]]
    trainer = build(TrainerConfig, plain["trainer"], "trainer")
    return PredictConfig(
        **_top(_PredictTop, plain),
        output=build(OutputConfig, plain["output"], "output"),
        # Any other number is refused.
        trainer=replace(trainer, devices=1) if trainer.devices == "auto" else trainer,
        paths=build(PathsConfig, plain["paths"], "paths"),
    )


def _plain(cfg: DictConfig, keys: set[str]) -> dict[str, Any]:
    """The configuration as plain data, which must have these keys at its top."""
    plain: Any = OmegaConf.to_container(cfg, resolve=True)
    check_keys(plain, keys, "", required=sorted(keys))
    return {str(key): value for key, value in plain.items()}


def _names(schema: type[Any]) -> set[str]:
    return {entry.name for entry in fields(schema)}


def _top(schema: type[Any], plain: Mapping[str, Any]) -> dict[str, Any]:
    """The checked values that stand at the top."""
    values = check(schema, {key: plain[key] for key in _names(schema)}, "")
    if not re.fullmatch(r"\w[\w .+-]*", values["name"]):
        raise UserError(
            f"name={values['name']}: it names the run's folder; only letters, digits, spaces and . _ + - are allowed"
        )
    return values


def _open_section(name: str, plain: Mapping[str, Any], schema: type[Any], choices: Mapping[str, str]) -> dict[str, Any]:
    """A section whose class takes what it takes: common keys by the schema, others by the kind in the YAML file."""
    check_section(name, plain[name])
    section = check(schema, plain[name], name)
    check_keys(section, section, name, required_keys(schema))
    target = section.get("_target_")
    if not isinstance(target, str) and (name != "scheduler" or target is not None):
        raise UserError(f"{name}._target_={shown(target)}: names no class; choose one by {name}=…")
    shipped = config_folder() / name / f"{choices.get(name)}.yaml"
    if shipped.is_file():
        examples: Any = OmegaConf.to_container(OmegaConf.load(shipped))
        for key in sorted(section.keys() - _names(schema)):
            check_kind(f"{name}.{key}", section[key], examples.get(key))
    return section
