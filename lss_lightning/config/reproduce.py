"""The configuration of ``reproduce.py``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, open_dict

from lss_lightning.cli.hydra_compat import explained
from lss_lightning.config.data import data_source
from lss_lightning.config.sections import PathsConfig, Top, TrainerConfig, config_folder, plain_data, top_values
from lss_lightning.config.train import train_config
from lss_lightning.config.validation import build, setting
from lss_lightning.data.source import DataSource
from lss_lightning.errors import UserError


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
    trainings: tuple[PlannedTraining, ...]
    data: DataSource
    trainer: TrainerConfig
    paths: PathsConfig


def check_reproduce(cfg: DictConfig, hydra_cfg: Any) -> ReproduceConfig:
    """Check the composed configuration, that of its first training, and that the data is there.

    Args:
        cfg: As Hydra composed it.
        hydra_cfg: Hydra's own part of it.

    Raises:
        UserError: a key or value that is not allowed, or data that is not there.
    """
    config = reproduce_config(cfg, hydra_cfg.runtime.choices, hydra_cfg.overrides.task)
    config.data.check()
    return config


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
    plain = plain_data(cfg, {"name", "reproduce", *shared})
    data_source(plain["data"])
    settings = build(ReproduceSettings, plain["reproduce"], "reproduce")
    # What the user says of the runs is said to each of them: the choice of files first, then single values.
    handed = [f"{group}={choices[group]}" for group in shared]
    handed += [text for text in given if text.lstrip("+~").startswith(tuple(f"{group}." for group in shared))]
    trainings = settings.trainings(plain["data"]["name"], handed)
    with explained("train", trainings[0].overrides):
        first = train_config(*composed_training(trainings[0]))  # the others differ in model, protocol and seed
    return ReproduceConfig(
        **top_values(Top, plain),
        reproduce=settings,
        trainings=trainings,
        data=first.data,  # not the section above, which the size's overrides change
        trainer=build(TrainerConfig, plain["trainer"], "trainer"),
        paths=build(PathsConfig, plain["paths"], "paths"),
    )


MODELS = ("resunet", "inception_unet", "vgg16_unet")
"""The paper's three, in its order."""

PROTOCOLS = ("resubstitution", "image", "patient")
"""From the most flattering to the honest one; the paper's is ``image``."""


@dataclass(frozen=True)
class PlannedTraining:
    """One run to be.

    Attributes:
        model: A file of ``conf/model``.
        protocol: A file of ``conf/split``.
        seed: Of weights, order, and of the split where it is drawn.
        overrides: The command line of ``train.py``.
    """

    model: str
    protocol: str
    seed: int
    overrides: tuple[str, ...] = field(repr=False)

    @property
    def name(self) -> str:
        """Of the run, and of its folder."""
        return f"{self.model}-{self.protocol}-seed{self.seed}"


@dataclass(frozen=True)
class SizeSettings:
    """``reproduce.sizes.<size>``: how much is trained.

    Attributes:
        seeds: Each trains every model under every protocol, and draws its own split.
        overrides: What is set beside the paper's settings, as on the command line of ``train.py``.
    """

    seeds: list[int] = setting([0])
    overrides: list[str] = setting([])


@dataclass(frozen=True)
class Sizes:
    """``reproduce.sizes``."""

    paper: SizeSettings
    small: SizeSettings


@dataclass(frozen=True)
class ReproduceSettings:
    """``reproduce``: which runs a reproduction consists of."""

    size: str = setting(choices=("paper", "small"))
    sizes: Sizes = setting()
    models: list[str] = setting(list(MODELS))
    protocols: list[str] = setting(list(PROTOCOLS))
    examples: int = setting(3, at_least=1, at_most=12)

    def __post_init__(self) -> None:
        for key, given, allowed in (("models", self.models, MODELS), ("protocols", self.protocols, PROTOCOLS)):
            wrong = [name for name in given if name not in allowed]
            if wrong or not given or len(set(given)) < len(given):
                raise UserError(
                    f"reproduce.{key}=[{', '.join(given)}]: give one or more of {', '.join(allowed)}, each once"
                )
        for name in ("paper", "small"):
            seeds = getattr(self.sizes, name).seeds
            if not seeds or len(set(seeds)) < len(seeds) or min(seeds) < 0:
                raise UserError(
                    f"reproduce.sizes.{name}.seeds={seeds}: give one or more whole numbers from 0, each once"
                )

    @property
    def chosen(self) -> SizeSettings:
        """The size's settings."""
        found: SizeSettings = getattr(self.sizes, self.size)
        return found

    def trainings(self, data: str, handed: Sequence[str]) -> tuple[PlannedTraining, ...]:
        """The runs, one seed after the other, so that a reproduction that is stopped holds whole seeds.

        Args:
            data: Name of the data source.
            handed: Overrides that every run gets, after those of the size.

        Raises:
            UserError: the size does not fit the data.
        """
        if self.size == "small" and data != "phantom":
            raise UserError(
                f"reproduce.size=small with data={data}: the small size is the phantom's; leave reproduce.size out, "
                "or shorten the runs by trainer.max_epochs=…"
            )
        size = self.chosen
        trainings = []
        for seed, model, protocol in product(size.seeds, self.models, self.protocols):
            own = [f"experiment=paper_{model}", f"split={protocol}", f"seed={seed}"]
            own += [] if protocol == "resubstitution" else [f"split.seed={seed}"]
            own.append(f"name={model}-{protocol}-seed{seed}")
            trainings.append(PlannedTraining(model, protocol, seed, (*own, *size.overrides, *handed)))
        return tuple(trainings)


def composed_training(training: PlannedTraining) -> tuple[DictConfig, dict[str, Any]]:
    """What ``train.py`` would compose of a run's command line: the configuration, and the chosen file per group."""
    # Hydra is at work already where a command calls this.
    begun = GlobalHydra.instance().is_initialized()
    with nullcontext() if begun else initialize_config_dir(str(config_folder()), version_base="1.3"):
        cfg = compose("train", overrides=list(training.overrides), return_hydra_config=True)
    with open_dict(cfg):
        hydra = cfg.pop("hydra")
    return cfg, hydra.runtime.choices
