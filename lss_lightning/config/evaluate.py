"""The configuration of ``evaluate.py``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from omegaconf import DictConfig
from pydantic import BeforeValidator, PlainValidator

from lss_lightning.config.data import build_data_source
from lss_lightning.config.loggers import ExamplesConfig, LoggerSection
from lss_lightning.config.sections import PathsConfig, RunName
from lss_lightning.config.targets import MetricsSection
from lss_lightning.config.trainer import EngineConfig, TrainerConfig
from lss_lightning.config.validation import build_config, check_is_section, validate_open
from lss_lightning.data.source import DataSource
from lss_lightning.display import format_setting
from lss_lightning.errors import UserError
from lss_lightning.models.views import TTAMode
from lss_lightning.runs.checkpoints import find_checkpoint_files
from lss_lightning.runs.results import find_calibration


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


CheckpointPaths = Annotated[list[str], BeforeValidator(_as_list)]
"""One or more checkpoints, run directories or sweep directories."""


def _check_data(section: Any) -> dict[str, Any]:
    """Check the ``data`` section, which holds changes to the section of the checkpoint or is a complete section."""
    check_is_section(section, "data")
    if section.get("name") != "checkpoint":
        build_data_source(section)
        return dict(section)
    # Keys that are specific to the checkpoint's data source are checked when the checkpoint is read.
    changes = {key: value for key, value in section.items() if value is not None}
    return {**section, **validate_open(DataSource, changes, "data")}


@dataclass(frozen=True)
class EvaluateConfig:
    """The configuration of ``evaluate.py``.

    Attributes:
        name: Name of the folder under ``logs/evaluate``.
        ckpt_path: Checkpoints to test; several checkpoints form an ensemble. None if ``folds`` is given.
        folds: The runs of a cross-validation, each tested on its held-out fold. None if ``ckpt_path`` is given.
        tta: Test-time augmentation.
        calibration: An evaluation whose measurements are used to calibrate the tested intervals, or None.
        subset: The part of the data to test on. If None, the test set is used if the data are those of the checkpoint,
            and otherwise all slices.
        measurements: Whether to measure labels and predictions in mm.
        data: The ``data`` section. If its name is ``checkpoint``, it contains changes to the section of the
            checkpoint's run; otherwise, it is complete.
        trainer: The device to test on.
        engine: Whether to compile the network.
        logger: The loggers that record the result, by name.
        examples: Settings of the slices that loggers show. Tested slices are shown if ``count`` is greater than 0.
        paths: The folders to which the result is written.
        given: The keys that are set on the command line.
        metrics: Additional metrics: class and arguments by name.

    Raises:
        UserError: If settings contradict each other.
    """

    name: RunName
    ckpt_path: CheckpointPaths | None
    folds: CheckpointPaths | None
    tta: TTAMode
    calibration: str | None
    subset: Literal["train", "val", "test", "all"] | None
    measurements: bool
    data: Annotated[dict[str, Any], PlainValidator(_check_data)]
    trainer: TrainerConfig
    engine: EngineConfig
    logger: LoggerSection
    examples: ExamplesConfig
    paths: PathsConfig
    given: frozenset[str]
    metrics: MetricsSection = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.folds is None and self.ckpt_path is None:
            raise UserError("ckpt_path is not set: give ckpt_path=…, or folds=… of a cross-validation")
        excluded = {
            "ckpt_path": self.ckpt_path,
            "subset": self.subset,
            "calibration": self.calibration,
            "data": None if self.own_data else self.data["name"],
        }
        if self.folds is not None and (given := [key for key, value in excluded.items() if value is not None]):
            raise UserError(
                f"{given[0]}={format_setting(excluded[given[0]])} with folds={format_setting(self.folds)}: folds are "
                f"tested on the part of their own data that they held out; leave {given[0]} out "
                f"(data.root=… sets where that data is now)"
            )
        if self.calibration is not None and not self.measurements:
            raise UserError(
                f"calibration={self.calibration} with measurements=false: the calibration applies to the intervals of "
                "the measurements; set measurements=true"
            )

    @property
    def own_data(self) -> bool:
        """Whether the data are those of the checkpoint's run."""
        return self.data["name"] == "checkpoint"

    def find_checkpoints(self) -> tuple[Path, ...]:
        """Return the checkpoint files that ``ckpt_path`` or ``folds`` refers to.

        Raises:
            UserError: As :func:`~lss_lightning.runs.checkpoints.find_checkpoint_files`.
        """
        if self.folds is not None:
            return find_checkpoint_files(self.folds, "folds")
        return find_checkpoint_files(self.ckpt_path or [])


def check_evaluate(cfg: DictConfig, hydra_cfg: Any) -> EvaluateConfig:
    """Check the composed configuration, and check that the checkpoints, the calibration and the data exist.

    Args:
        cfg: The composed configuration.
        hydra_cfg: Hydra's own part of the configuration.

    Raises:
        UserError: If a key or value is not allowed, or a file does not exist.
    """
    given = frozenset(override.lstrip("+~").partition("=")[0] for override in hydra_cfg.overrides.task)
    config = build_config(EvaluateConfig, cfg, given=given)
    config.find_checkpoints()
    find_calibration(config.calibration)
    if not config.own_data:
        build_data_source(config.data).check()
    return config
