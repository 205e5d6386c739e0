"""The configuration of ``reproduce.py``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig

from lss_lightning.config.data import data_source
from lss_lightning.config.hydra_errors import explained
from lss_lightning.config.sections import PathsConfig, TrainerConfig
from lss_lightning.config.top import Top, plain_data, top_values
from lss_lightning.config.train import train_config
from lss_lightning.config.trainings import ReproduceSettings, Training, composed_training
from lss_lightning.data.source import DataSource
from lss_lightning.settings import build


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
