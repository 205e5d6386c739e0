"""The configuration of ``predict.py``."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from omegaconf import DictConfig
from pydantic import AfterValidator, BeforeValidator, PositiveFloat, PositiveInt

from lss_lightning.config.evaluate import CheckpointPaths
from lss_lightning.config.sections import OutputConfig, PathsConfig, RunName
from lss_lightning.config.trainer import EngineConfig, TrainerConfig
from lss_lightning.config.validation import build_config
from lss_lightning.errors import UserError
from lss_lightning.models.views import TTAMode
from lss_lightning.runs.checkpoints import find_checkpoint_files
from lss_lightning.runs.output import check_output
from lss_lightning.runs.results import find_calibration
from lss_lightning.stenosis.levels import LUMBAR_DISCS


def _check_one_device(trainer: TrainerConfig) -> TrainerConfig:
    if trainer.devices == "auto":
        return replace(trainer, devices=1)
    if trainer.device_count != 1:
        raise UserError(f"trainer.devices={trainer.devices}: predict.py uses one device; leave it out")
    return trainer


@dataclass(frozen=True)
class PredictConfig:
    """The configuration of ``predict.py``.

    Attributes:
        name: Name of the folder under ``logs/predict``.
        ckpt_path: One or more checkpoints, whose probabilities are averaged.
        tta: Test-time augmentation.
        calibration: An evaluation of the same checkpoints that calibrates the 95 % intervals, or None.
        input: A study, or a folder or zip archive of studies.
        levels: The disc that each slice shows, by slice. Empty if no levels are given.
        series: The series to use as T1 and as T2 (number, UID or description; for other files, a string in their
            names). If empty, the series are chosen by rules.
        pixel_size: Pixel spacing in mm of images whose files do not state it. If None, it remains unknown.
        batch_size: Number of images that are segmented at once.
        overwrite: Whether to replace earlier results in the output folder.
        output: The files to write, and their folder.
        trainer: The device to segment on.
        engine: Whether to compile the network.
        paths: The folders to which the log is written.

    Raises:
        UserError: If more than one device is set, or a key or value of ``levels`` is not allowed.
    """

    name: RunName
    ckpt_path: CheckpointPaths
    tta: TTAMode
    calibration: str | None
    input: str
    levels: Annotated[dict[str, str], BeforeValidator(lambda levels: levels or {})]
    series: Annotated[dict[Literal["t1", "t2"], int | str], BeforeValidator(lambda series: series or {})]
    pixel_size: PositiveFloat | None
    batch_size: PositiveInt
    overwrite: bool
    output: OutputConfig
    trainer: Annotated[TrainerConfig, AfterValidator(_check_one_device)]
    engine: EngineConfig
    paths: PathsConfig

    def __post_init__(self) -> None:
        for key, level in self.levels.items():
            if not re.fullmatch(r"(study_[1-9]\d*/)?slice_\d{2,}", key):
                raise UserError(f"levels.{key}: not a slice; give slice_03, or study_2/slice_03 of several studies")
            if level not in LUMBAR_DISCS:
                raise UserError(f"levels={{{key}: {level}}}: not a lumbar disc; allowed: {', '.join(LUMBAR_DISCS)}")
        for kind, text in self.series.items():
            if not str(text).strip():
                raise UserError(f"series.{kind}: empty; give the number, UID or description of a series")

    def find_checkpoints(self) -> tuple[Path, ...]:
        """Return the checkpoint files that ``ckpt_path`` refers to.

        Raises:
            UserError: As :func:`~lss_lightning.runs.checkpoints.find_checkpoint_files`.
        """
        return find_checkpoint_files(self.ckpt_path)

    @property
    def series_by_kind(self) -> dict[str, str]:
        """The given series, by ``T1`` and ``T2``."""
        return {kind.upper(): str(text) for kind, text in self.series.items()}

    def levels_of(self, study: str) -> dict[str, str]:
        """Return the given levels of a study's slices, by slice."""
        prefix = f"{study}/"
        return {
            key.removeprefix(prefix): level for key, level in self.levels.items() if key.startswith(("slice_", prefix))
        }


def check_predict(cfg: DictConfig, hydra_cfg: Any) -> PredictConfig:
    """Check the composed configuration, that checkpoints and input exist, and that the output folder is available.

    Args:
        cfg: The composed configuration.
        hydra_cfg: Hydra's own part of the configuration.

    Raises:
        UserError: If a key or value is not allowed, a file does not exist, or the output folder contains other files.
    """
    config = build_config(PredictConfig, cfg)
    config.find_checkpoints()
    find_calibration(config.calibration)
    if not Path(config.input).expanduser().exists():
        raise UserError(f"input={config.input}: no such file or folder; give a study, or a folder or zip of studies")
    check_output(Path(config.output.folder), overwrite=config.overwrite)
    return config
