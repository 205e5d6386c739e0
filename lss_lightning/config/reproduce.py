"""The configuration of ``reproduce.py``, and the training runs that it plans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product
from typing import Annotated, Any, Literal

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, open_dict
from pydantic import Field, PlainValidator

from lss_lightning.config.callbacks import check_callbacks
from lss_lightning.config.data import DataSection
from lss_lightning.config.loggers import ExamplesConfig, LoggerSection
from lss_lightning.config.sections import PathsConfig, RunName, config_folder
from lss_lightning.config.train import build_train_config
from lss_lightning.config.trainer import EngineConfig, TrainerConfig
from lss_lightning.config.validation import build_config
from lss_lightning.errors import UserError

MODELS = ("resunet", "inception_unet", "vgg16_unet")
"""The three models of the paper, in its order."""

PROTOCOLS = ("resubstitution", "image", "patient")
"""The split protocols, starting with the most optimistic one. The paper uses ``image``."""

FORWARDED = ("data", "trainer", "engine", "callbacks", "logger", "examples", "paths")
"""The sections that are forwarded to every training run."""


@dataclass(frozen=True)
class PlannedTraining:
    """A training run of the reproduction.

    Attributes:
        model: A file of ``conf/model``.
        protocol: A file of ``conf/split``.
        seed: Seed of the weights, of the order of the slices and of a random split.
        overrides: The overrides on the command line of ``train.py``.
    """

    model: str
    protocol: str
    seed: int
    overrides: tuple[str, ...] = field(repr=False)

    @property
    def name(self) -> str:
        """The name of the run and of its directory."""
        return f"{self.model}-{self.protocol}-seed{self.seed}"


@dataclass(frozen=True)
class SizeSettings:
    """``reproduce.sizes.<size>``: the extent of training.

    Attributes:
        seeds: Seeds with which every model is trained under every protocol. The seed also determines a random split.
        overrides: Overrides of ``train.py`` in addition to the paper's settings.
    """

    seeds: list[int]
    overrides: list[str]


@dataclass(frozen=True)
class Sizes:
    """``reproduce.sizes``: the sizes that ``reproduce.size`` chooses from.

    Attributes:
        paper: The paper's settings.
        small: Settings for a phantom, with which training takes minutes.
    """

    paper: SizeSettings
    small: SizeSettings


@dataclass(frozen=True)
class ReproduceSettings:
    """``reproduce``: the training runs of the reproduction.

    Attributes:
        size: A key of ``sizes``.
        models: Files of ``conf/model``.
        protocols: Files of ``conf/split``.
        examples: Number of images in Figure 13.
        sizes: Seeds and overrides by size.
    """

    size: Literal["paper", "small"]
    models: list[str]
    protocols: list[str]
    examples: Annotated[int, Field(ge=1, le=12)]
    sizes: Sizes

    def __post_init__(self) -> None:
        for key, given, allowed in (("models", self.models, MODELS), ("protocols", self.protocols, PROTOCOLS)):
            unknown = [name for name in given if name not in allowed]
            if unknown or not given or len(set(given)) < len(given):
                raise UserError(
                    f"reproduce.{key}=[{', '.join(given)}]: give one or more of {', '.join(allowed)}, each once"
                )
        for name, size in (("paper", self.sizes.paper), ("small", self.sizes.small)):
            if not size.seeds or len(set(size.seeds)) < len(size.seeds) or min(size.seeds) < 0:
                raise UserError(
                    f"reproduce.sizes.{name}.seeds={size.seeds}: give one or more whole numbers from 0, each once"
                )

    @property
    def chosen(self) -> SizeSettings:
        """The settings of the chosen size."""
        return self.sizes.small if self.size == "small" else self.sizes.paper


@dataclass(frozen=True)
class ReproduceConfig:
    """The configuration of ``reproduce.py``.

    Attributes:
        name: Name of the folder under ``logs/reproduce`` that contains runs and reports.
        reproduce: The models, protocols and seeds to train.
        data: The data of all training runs.
        trainer: Devices, precision and length of all training runs.
        engine: Further settings of all training runs.
        callbacks: Callbacks of all training runs.
        logger: Loggers of all training runs.
        examples: The slices that loggers show.
        paths: The folders to which runs and data are written.
        forwarded: Overrides for every training run. They are applied after the overrides of the size.

    Raises:
        UserError: If the size does not fit the data.
    """

    name: RunName
    reproduce: ReproduceSettings
    data: DataSection
    trainer: TrainerConfig
    engine: EngineConfig
    callbacks: Annotated[dict[str, dict[str, Any]], PlainValidator(check_callbacks)]
    logger: LoggerSection
    examples: ExamplesConfig
    paths: PathsConfig
    forwarded: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.reproduce.size == "small" and self.data.name != "phantom":
            raise UserError(
                f"reproduce.size=small with data={self.data.name}: the small size is for the phantom only; leave "
                "reproduce.size out, or shorten the training runs with trainer.max_epochs=…"
            )

    @cached_property
    def trainings(self) -> tuple[PlannedTraining, ...]:
        """The training runs by seed, so that an interrupted reproduction has complete results for the first seeds."""
        size = self.reproduce.chosen
        trainings = []
        for seed, model, protocol in product(size.seeds, self.reproduce.models, self.reproduce.protocols):
            own = [f"experiment=paper_{model}", f"split={protocol}", f"seed={seed}"]
            own += [] if protocol == "resubstitution" else [f"split.seed={seed}"]
            own.append(f"name={model}-{protocol}-seed{seed}")
            trainings.append(PlannedTraining(model, protocol, seed, (*own, *size.overrides, *self.forwarded)))
        return tuple(trainings)

    def with_data_of_trainings(self) -> ReproduceConfig:
        """Check the first training run and return the configuration with its data, which the size may change.

        The other training runs differ from it only in model, protocol and seed.

        Raises:
            UserError: If a key or value of the training run is not allowed.
            HydraException: If Hydra cannot compose the configuration of the training run.
            OmegaConfBaseException: If Hydra cannot resolve this configuration.
        """
        first = build_train_config(*compose_training(self.trainings[0]))
        return replace(self, data=first.data)


def build_reproduce_config(cfg: DictConfig, choices: Mapping[str, str], overrides: Sequence[str]) -> ReproduceConfig:
    """Build the configuration of ``reproduce.py``.

    Args:
        cfg: The composed configuration.
        choices: The file that Hydra chose for each group.
        overrides: The overrides on the command line.

    Raises:
        UserError: If a key or value is not allowed.
    """
    # The chosen files come first, because a file would overwrite single values.
    forwarded = [f"{group}={choices[group]}" for group in FORWARDED if group in choices]
    forwarded += [text for text in overrides if text.lstrip("+~").startswith(tuple(f"{key}." for key in FORWARDED))]
    return build_config(ReproduceConfig, cfg, forwarded=tuple(forwarded))


def compose_training(training: PlannedTraining) -> tuple[DictConfig, dict[str, Any]]:
    """Compose the configuration of a training run as ``train.py`` would.

    Returns:
        The configuration, and the chosen file of each group.

    Raises:
        HydraException: If Hydra cannot compose the configuration.
    """
    # Inside a command, Hydra is already initialized.
    is_initialized = GlobalHydra.instance().is_initialized()
    with nullcontext() if is_initialized else initialize_config_dir(str(config_folder()), version_base="1.3"):
        cfg = compose("train", overrides=list(training.overrides), return_hydra_config=True)
    with open_dict(cfg):
        hydra = cfg.pop("hydra")
    return cfg, hydra.runtime.choices
