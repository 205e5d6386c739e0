"""The configuration of ``compare.py``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from lss_lightning.config.sections import PathsConfig, Top, TrainerConfig, names, plain_data, top_values
from lss_lightning.config.validation import build, setting
from lss_lightning.runs.results import refuse_incomparable


@dataclass(frozen=True)
class CompareConfig:
    """The configuration of ``compare.py``: the runs' folders, and how many images Figure 13 shows."""

    name: str
    runs: list[str]
    examples: int
    trainer: TrainerConfig
    paths: PathsConfig


@dataclass(frozen=True)
class _Top(Top):
    """Single values."""

    runs: list[str] = setting()
    examples: int = setting(at_least=1, at_most=12)


def check_compare(cfg: DictConfig, hydra_cfg: Any) -> CompareConfig:
    """Check the composed configuration, and that its runs are there and can be compared.

    Args:
        cfg: As Hydra composed it.
        hydra_cfg: Hydra's own part of it.

    Raises:
        UserError: a key or value that is not allowed, or runs that cannot be compared.
    """
    config = compare_config(cfg)
    refuse_incomparable([Path(run).expanduser() for run in config.runs])
    return config


def compare_config(cfg: DictConfig) -> CompareConfig:
    """Check the composed configuration of ``compare.py``.

    Raises:
        UserError: a key or value that is not allowed.
    """
    plain = plain_data(cfg, names(CompareConfig))
    return CompareConfig(
        **top_values(_Top, plain),
        trainer=build(TrainerConfig, plain["trainer"], "trainer"),
        paths=build(PathsConfig, plain["paths"], "paths"),
    )
