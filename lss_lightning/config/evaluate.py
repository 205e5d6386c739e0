"""The configuration of ``evaluate.py``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from lss_lightning.config.data import data_source
from lss_lightning.config.sections import LoggerConfig, PathsConfig, Top, TrainerConfig, names, plain_data, top_values
from lss_lightning.config.validation import build, check, check_section, setting
from lss_lightning.data.source import DataSource
from lss_lightning.display import format_setting
from lss_lightning.errors import UserError
from lss_lightning.models.views import VIEWS
from lss_lightning.runs.checkpoints import checkpoint_files
from lss_lightning.runs.results import find_calibration


@dataclass(frozen=True)
class EvaluateConfig:
    """The configuration of ``evaluate.py``.

    What is tested is named by ``ckpt_path``, or by ``folds``, the runs of a cross-validation. ``data`` holds what the
    user gave of the data section: with ``data.name`` ``checkpoint``, changes to the checkpoint's own; else a section of
    its own. ``given`` names the keys that the command line sets.

    Raises:
        UserError: settings that contradict one another.
    """

    name: str
    ckpt_path: list[str] | None
    folds: list[str] | None
    tta: str
    calibration: str | None
    subset: str | None
    measurements: bool
    data: dict[str, Any]
    trainer: TrainerConfig
    logger: LoggerConfig
    paths: PathsConfig
    given: frozenset[str]

    def __post_init__(self) -> None:
        if self.folds is None and self.ckpt_path is None:
            raise UserError("ckpt_path is not set: give ckpt_path=…, or folds=… of a cross-validation")
        own = {
            "ckpt_path": self.ckpt_path,
            "subset": self.subset,
            "calibration": self.calibration,
            "data": None if self.own_data else self.data["name"],
        }
        if self.folds is not None and (given := [key for key, value in own.items() if value is not None]):
            raise UserError(
                f"{given[0]}={format_setting(own[given[0]])} with folds={format_setting(self.folds)}: folds are "
                f"tested on what they held out of their own data; leave {given[0]} out "
                f"(data.root=… says where the data lies now)"
            )
        if self.calibration is not None and not self.measurements:
            raise UserError(
                f"calibration={self.calibration} with measurements=false: it is the measures whose intervals are "
                "calibrated; set measurements=true"
            )

    @property
    def own_data(self) -> bool:
        """Whether the data is that of the checkpoint's run."""
        return self.data["name"] == "checkpoint"

    def find_checkpoints(self) -> tuple[Path, ...]:
        """The files that ``ckpt_path`` or ``folds`` names: :func:`~lss_lightning.runs.checkpoints.checkpoint_files`."""
        if self.folds is not None:
            return checkpoint_files(self.folds, "folds")
        return checkpoint_files(self.ckpt_path or [])


@dataclass(frozen=True)
class _Top(Top):
    """Single values."""

    ckpt_path: list[str] | None = setting()
    folds: list[str] | None = setting()
    tta: str = setting(choices=tuple(VIEWS))
    calibration: str | None = setting()
    subset: str | None = setting(choices=("train", "val", "test", "all"))
    measurements: bool = setting()


def check_evaluate(cfg: DictConfig, hydra_cfg: Any) -> EvaluateConfig:
    """Check the composed configuration, and that checkpoints, calibration and data are there.

    Args:
        cfg: As Hydra composed it.
        hydra_cfg: Hydra's own part of it.

    Raises:
        UserError: a key or value that is not allowed, or a file that is not there.
    """
    given = frozenset(override.lstrip("+~").partition("=")[0] for override in hydra_cfg.overrides.task)
    config = evaluate_config(cfg, given)
    config.find_checkpoints()
    find_calibration(config.calibration)
    if not config.own_data:
        data_source(config.data).check()
    return config


def evaluate_config(cfg: DictConfig, given: frozenset[str]) -> EvaluateConfig:
    """Check the composed configuration of ``evaluate.py``; ``given`` names the keys that the command line sets.

    Raises:
        UserError: a key or value that is not allowed.
    """
    plain = plain_data(cfg, names(EvaluateConfig) - {"given"})
    for key in ("ckpt_path", "folds"):
        if isinstance(plain[key], str) and plain[key].strip():
            plain[key] = [plain[key]]
    data = plain["data"]
    check_section("data", data)
    if data.get("name") == "checkpoint":
        # Which keys the checkpoint's own source has beside the common ones shows when it is read.
        changed = {key: value for key, value in data.items() if value is not None}
        data = {**data, **check(DataSource, changed, "data")}
    else:
        data_source(data)
    return EvaluateConfig(
        **top_values(_Top, plain),
        data=data,
        trainer=build(TrainerConfig, plain["trainer"], "trainer"),
        logger=build(LoggerConfig, plain["logger"], "logger"),
        paths=build(PathsConfig, plain["paths"], "paths"),
        given=given,
    )
