"""The settings of a search (``hydra.sweeper`` with ``hydra/sweeper=optuna``) and its Optuna study."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from pydantic import Field, PositiveInt

from lss_lightning.config.overrides import get_task_overrides, is_overridden
from lss_lightning.config.validation import build, check_is_section
from lss_lightning.display import format_setting
from lss_lightning.errors import UserError
from lss_lightning.sweeps.space import parse_search_space

if TYPE_CHECKING:
    from optuna import Study
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler
    from optuna.storages import BaseStorage

STUDY_FILE = "optuna.db"
"""The file in a sweep directory that stores the trials of a search."""

_SEQUENCES = ("optuna.samplers.GridSampler", "optuna.samplers.QMCSampler")
"""Samplers whose seed determines one sequence for all trials. The number of a trial is its index in the sequence."""


@dataclass(frozen=True)
class SearchConfig:
    """The section ``hydra.sweeper``: how a search samples, stores and prunes its trials.

    Attributes:
        sampler: The configuration of the sampler, with ``_target_``.
        pruner: The configuration of the pruner, with ``_target_``.
        folder: The directory of the sweep.
        direction: ``maximize``, because the objective is an IoU.
        storage: The URL of a database, or None for :data:`STUDY_FILE` in the directory of the sweep.
        study_name: The name of the study. If None, the study is named after the directory of the sweep.
        n_trials: The number of trials of the sweep.
        n_jobs: The number of trials that are started together.
        max_failure_rate: The share of the trials started together that may fail without ending the search.
        trial: The number of the trial if this is the configuration of a job, else None.
    """

    sampler: dict[str, Any]
    pruner: dict[str, Any]
    folder: str
    direction: Literal["maximize"] = "maximize"
    storage: str | None = None
    study_name: str | None = None
    n_trials: PositiveInt = 20
    n_jobs: PositiveInt = 1
    max_failure_rate: Annotated[float, Field(ge=0, le=1)] = 1.0
    trial: int | None = None

    @classmethod
    def from_hydra(cls, hydra: Any) -> SearchConfig:
        """Read and validate the settings of a search.

        Args:
            hydra: Hydra's configuration of the sweep or of one of its jobs.

        Raises:
            UserError: If a value is not allowed.
        """
        values = {key: hydra.sweeper[key] for key in hydra.sweeper if key not in ("params", "_recursive_")}
        plain = {
            key: OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
            for key, value in values.items()
        }
        for part in ("sampler", "pruner"):
            check_is_section(plain[part], f"hydra.sweeper.{part}")
        return build(cls, {**plain, "folder": str(hydra.sweep.dir)}, "hydra.sweeper")

    @property
    def name(self) -> str:
        """The name of the study."""
        folder = Path(self.folder).absolute()
        # A directory that contains its own database may be moved, so the name must not depend on its path.
        return self.study_name or ("search" if self.storage is None else f"{folder.parent.name}/{folder.name}")

    def make_sampler(self, number: int) -> BaseSampler:
        """Return the sampler of a trial, whose random numbers depend only on the seed and the number of the trial.

        A resumed search therefore draws the same numbers as an uninterrupted search.

        Args:
            number: The number of the trial.

        Raises:
            UserError: If the sampler cannot be created with these settings.
        """
        settings, seed = dict(self.sampler), self.sampler.get("seed")
        if isinstance(seed, int) and settings.get("_target_") not in _SEQUENCES:
            settings["seed"] = int(np.random.SeedSequence((seed, number)).generate_state(1)[0])
        from optuna.samplers import BaseSampler

        return _instantiate("sampler", settings, BaseSampler)

    def make_pruner(self) -> BasePruner:
        """Return the pruner.

        Raises:
            UserError: If the pruner cannot be created with these settings.
        """
        from optuna.pruners import BasePruner

        return _instantiate("pruner", self.pruner, BasePruner)

    def open_study(self) -> Study:
        """Open the study, and create it if it does not exist.

        Raises:
            UserError: If the database cannot be opened, or was written by another version of Optuna.
        """
        import optuna
        from sqlalchemy.exc import SQLAlchemyError

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        try:
            return optuna.create_study(
                storage=self._make_storage(),
                sampler=self.make_sampler(0),
                pruner=self.make_pruner(),
                study_name=self.name,
                direction=self.direction,
                load_if_exists=True,
            )
        except (
            SQLAlchemyError,
            sqlite3.Error,
            optuna.exceptions.OptunaError,
            ImportError,
            RuntimeError,
            ValueError,
        ) as error:
            source = Path(self.folder, STUDY_FILE) if self.storage is None else "hydra.sweeper.storage"
            raise UserError(
                f"{source}: cannot be opened ({str(error).splitlines()[0]}); give the URL of a database that Optuna "
                "can use, such as sqlite:////path/file.db, or start a new sweep"
            ) from error

    def _make_storage(self) -> str | BaseStorage:
        from optuna.storages import RDBStorage

        if self.storage is not None:
            return self.storage
        # Some directory names cannot be written in a URL. The timeout lets parallel trials wait for one another.
        connect = partial(sqlite3.connect, Path(self.folder, STUDY_FILE), timeout=60, check_same_thread=False)
        return RDBStorage(f"sqlite:///{STUDY_FILE}", engine_kwargs={"creator": connect})


def is_search(sweeper: DictConfig) -> bool:
    """Return whether Hydra's configuration of the sweeper describes a search."""
    return "n_trials" in sweeper


def check_search(config: DictConfig, has_objective: bool) -> None:
    """Check the settings of a search before its first trial.

    Args:
        config: The configuration that Hydra composed for the whole sweep.
        has_objective: Whether the split has a part that selects the epoch.

    Raises:
        UserError: If the search has no objective or no search space, or a setting is not allowed.
    """
    if not has_objective:
        raise UserError(
            "the split has no validation set, so a search has no objective; choose split=patient, or sweep over a grid"
        )
    hydra = config.hydra
    search = SearchConfig.from_hydra(hydra)
    if is_overridden("hydra.sweep.subdir", hydra):
        raise UserError(
            "hydra.sweep.subdir: the directories of a search are named after its trials; remove this setting"
        )
    if search.n_jobs > 1 and hydra.runtime.choices["hydra/launcher"] == "basic":
        raise UserError(
            f"hydra.sweeper.n_jobs={search.n_jobs}: hydra/launcher=basic runs one job at a time; add "
            "hydra/launcher=joblib, or remove this setting"
        )
    search.make_sampler(0)
    search.make_pruner()
    parse_search_space(hydra.sweeper.params or {}, get_task_overrides(hydra))


def _instantiate(name: str, settings: Mapping[str, Any], kind: type[Any]) -> Any:
    target = format_setting(settings.get("_target_"))
    try:
        made = instantiate(dict(settings), _convert_="all")
    except InstantiationException as error:
        cause = error.__cause__ or error
        if not isinstance(cause, TypeError | ValueError | ImportError | AttributeError | InstantiationException):
            raise
        raise UserError(
            f"hydra.sweeper.{name}: {target} cannot be made with these settings ({' '.join(str(cause).split())}); "
            f"change them, or choose hydra/sweeper/{name}=…"
        ) from error
    if not isinstance(made, kind):
        raise UserError(
            f"hydra.sweeper.{name}._target_={target}: not a subclass of optuna.{name}s."
            f"{kind.__name__}; choose hydra/sweeper/{name}=…"
        )
    return made
