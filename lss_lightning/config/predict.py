"""The configuration of ``predict.py``."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from lss_lightning.config.sections import OutputConfig, PathsConfig, Top, TrainerConfig, names, plain_data, top_values
from lss_lightning.config.validation import build, setting
from lss_lightning.errors import UserError
from lss_lightning.models.views import VIEWS
from lss_lightning.runs.checkpoints import checkpoint_files
from lss_lightning.runs.output import check_output
from lss_lightning.runs.results import find_calibration
from lss_lightning.stenosis.levels import DISCS


@dataclass(frozen=True)
class PredictConfig:
    """The configuration of ``predict.py``; ``levels`` is empty where none is given.

    Raises:
        UserError: more than one device, or a level that is none.
    """

    name: str
    ckpt_path: list[str]
    tta: str
    calibration: str | None
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
        """The files that ``ckpt_path`` names: :func:`~lss_lightning.runs.checkpoints.checkpoint_files`."""
        return checkpoint_files(self.ckpt_path)

    def levels_of(self, study: str) -> dict[str, str]:
        """Level by slice, of one study."""
        place = f"{study}/"
        return {
            key.removeprefix(place): level for key, level in self.levels.items() if key.startswith(("slice_", place))
        }


@dataclass(frozen=True)
class _Top(Top):
    """Single values."""

    ckpt_path: list[str] = setting()
    tta: str = setting(choices=tuple(VIEWS))
    calibration: str | None = setting()
    input: str = setting()
    levels: dict[str, str] = setting()
    pixel_size: float | None = setting(above=0)
    batch_size: int = setting(at_least=1)
    overwrite: bool = setting()


def check_predict(cfg: DictConfig, hydra_cfg: Any) -> PredictConfig:
    """Check the composed configuration, that what it names is there, and that the output folder is free.

    Args:
        cfg: As Hydra composed it.
        hydra_cfg: Hydra's own part of it.

    Raises:
        UserError: a key or value that is not allowed, a file that is not there, or a folder that holds something else.
    """
    config = predict_config(cfg)
    config.find_checkpoints()
    find_calibration(config.calibration)
    if not Path(config.input).expanduser().exists():
        raise UserError(f"input={config.input}: no such file or folder; give a study, or a folder or zip of studies")
    check_output(Path(config.output.folder), overwrite=config.overwrite)
    return config


def predict_config(cfg: DictConfig) -> PredictConfig:
    """Check the composed configuration of ``predict.py``.

    Raises:
        UserError: a key or value that is not allowed.
    """
    plain = plain_data(cfg, names(PredictConfig))
    plain["levels"] = plain["levels"] or {}
    if isinstance(plain["ckpt_path"], str) and plain["ckpt_path"].strip() not in ("", "???"):
        plain["ckpt_path"] = [plain["ckpt_path"]]
    trainer = build(TrainerConfig, plain["trainer"], "trainer")
    return PredictConfig(
        **top_values(_Top, plain),
        output=build(OutputConfig, plain["output"], "output"),
        # Any other number is refused.
        trainer=replace(trainer, devices=1) if trainer.devices == "auto" else trainer,
        paths=build(PathsConfig, plain["paths"], "paths"),
    )
