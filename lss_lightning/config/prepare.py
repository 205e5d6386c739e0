"""The configuration of ``prepare.py``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig

from lss_lightning.config.data import DataSection, SplitSection
from lss_lightning.config.sections import PathsConfig, RunName
from lss_lightning.config.validation import build_config


@dataclass(frozen=True)
class PrepareConfig:
    """The configuration of ``prepare.py``.

    Attributes:
        name: Name of the folder under ``logs/prepare``.
        data: The data to prepare.
        split: The split to list.
        paths: The folders to which data and the inventory are written.
    """

    name: RunName
    data: DataSection
    split: SplitSection
    paths: PathsConfig


def check_prepare(cfg: DictConfig, hydra_cfg: Any) -> PrepareConfig:
    """Check the composed configuration, and check that the data exist.

    Args:
        cfg: The composed configuration.
        hydra_cfg: Hydra's own part of the configuration.

    Raises:
        UserError: If a key or value is not allowed, or the data do not exist.
    """
    config = build_config(PrepareConfig, cfg)
    config.data.check()
    return config
