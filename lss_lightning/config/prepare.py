"""The configuration of ``prepare.py``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig

from lss_lightning.config.data import data_source, split_protocol
from lss_lightning.config.sections import PathsConfig, Top, names, plain_data, top_values
from lss_lightning.config.validation import build
from lss_lightning.data.source import DataSource
from lss_lightning.data.splits import SplitProtocol


@dataclass(frozen=True)
class PrepareConfig:
    """The configuration of ``prepare.py``."""

    name: str
    data: DataSource
    split: SplitProtocol
    paths: PathsConfig


def check_prepare(cfg: DictConfig, hydra_cfg: Any) -> PrepareConfig:
    """Check the composed configuration, and that the data is there.

    Args:
        cfg: As Hydra composed it.
        hydra_cfg: Hydra's own part of it.

    Raises:
        UserError: a key or value that is not allowed, or data that is not there.
    """
    config = prepare_config(cfg)
    config.data.check()
    return config


def prepare_config(cfg: DictConfig) -> PrepareConfig:
    """Check the composed configuration of ``prepare.py``.

    Raises:
        UserError: a key or value that is not allowed.
    """
    plain = plain_data(cfg, names(PrepareConfig))
    return PrepareConfig(
        **top_values(Top, plain),
        data=data_source(plain["data"]),
        split=split_protocol(plain["split"]),
        paths=build(PathsConfig, plain["paths"], "paths"),
    )
