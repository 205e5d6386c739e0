"""The configuration of ``compare.py``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from omegaconf import DictConfig
from pydantic import Field

from lss_lightning.config.sections import PathsConfig, RunName
from lss_lightning.config.trainer import TrainerConfig
from lss_lightning.config.validation import build_config
from lss_lightning.runs.results import check_comparable


@dataclass(frozen=True)
class CompareConfig:
    """The configuration of ``compare.py``.

    Attributes:
        name: Name of the folder under ``logs/compare``.
        runs: The run directories to compare.
        examples: Number of images in Figure 13.
        trainer: The device that segments the images of Figure 13.
        paths: The folders to which the comparison is written.
    """

    name: RunName
    runs: list[str]
    examples: Annotated[int, Field(ge=1, le=12)]
    trainer: TrainerConfig
    paths: PathsConfig


def check_compare(cfg: DictConfig, hydra_cfg: Any) -> CompareConfig:
    """Check the composed configuration, and check that the runs exist and can be compared.

    Args:
        cfg: The composed configuration.
        hydra_cfg: Hydra's own part of the configuration.

    Raises:
        UserError: If a key or value is not allowed, or the runs cannot be compared.
    """
    config = build_config(CompareConfig, cfg)
    check_comparable([Path(run).expanduser() for run in config.runs])
    return config
