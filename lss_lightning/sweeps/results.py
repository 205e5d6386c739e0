"""The results of a sweep: its jobs and its settings with their repeats, ranked from best to worst."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from lss_lightning.config.overrides import parse_overrides
from lss_lightning.display import format_setting
from lss_lightning.runs.layout import RunFolder
from lss_lightning.sweeps.job_records import (
    DIVERGED,
    FAILED,
    FINISHED,
    PRUNED,
    find_job_folders,
    parse_job_name,
    read_record,
)

REPEATS = ("seed", "split.fold", "split.seed")
"""Settings whose values only repeat an experiment. Results are averaged over these values, which are never ranked."""

UNFINISHED = "unfinished"
_STATE_ORDER = (FINISHED, DIVERGED, PRUNED, FAILED, UNFINISHED)


@dataclass(frozen=True)
class SweepJob:
    """A job of a sweep.

    Attributes:
        name: The path of the job's directory relative to that of the sweep.
        folder: The directory of the job.
        overrides: The overrides of the job, without Hydra's own settings.
        state: ``finished``, ``diverged``, ``pruned``, ``failed`` or ``unfinished``.
        reason: The reason why the job diverged, was pruned or failed, else None.
        metrics: The content of the job's ``metrics.json``, empty if the job has not finished.
    """

    name: str
    folder: Path
    overrides: tuple[str, ...]
    state: str
    reason: str | None
    metrics: Mapping[str, Any]

    @cached_property
    def values(self) -> dict[str, Any]:
        """The value of each key among the overrides."""
        return parse_overrides(list(self.overrides))

    @property
    def objective(self) -> float | None:
        """The validation objective. None if the job is unfinished or no part of the split selects the epoch."""
        value: float | None = self.metrics.get("validation", {}).get("objective")
        return value

    @property
    def epoch(self) -> int | None:
        """The epoch of the objective, counted from 0."""
        value: int | None = self.metrics.get("validation", {}).get("epoch")
        return value

    @property
    def seconds(self) -> float | None:
        """The training time in seconds."""
        value: float | None = self.metrics.get("timing", {}).get("train_seconds")
        return value

    @property
    def checkpoint(self) -> Path | None:
        """The selected checkpoint, or None if there is none."""
        return RunFolder(self.folder).selected_checkpoint


@dataclass(frozen=True)
class SweepSetting:
    """Jobs of a sweep that differ only in settings that repeat an experiment, such as the seed.

    Attributes:
        values: The value of each parameter of the sweep.
        jobs: The jobs in the order of the sweep.
    """

    values: Mapping[str, Any]
    jobs: tuple[SweepJob, ...]

    @property
    def objectives(self) -> list[float]:
        """The objectives of the jobs that have an objective."""
        return [job.objective for job in self.jobs if job.objective is not None]

    @property
    def mean(self) -> float | None:
        """The mean objective, or None if no job has an objective."""
        return fmean(self.objectives) if self.objectives else None

    @property
    def sd(self) -> float | None:
        """The sample standard deviation of the objective, or None if fewer than two jobs have an objective."""
        return stdev(self.objectives) if len(self.objectives) > 1 else None

    @property
    def state(self) -> str:
        """The first state of ``finished``, ``diverged``, ``pruned``, ``failed`` and ``unfinished`` that a job is in."""
        return min((job.state for job in self.jobs), key=_STATE_ORDER.index)


@dataclass(frozen=True)
class SweepResults:
    """The jobs of a sweep and their ranking.

    Attributes:
        folder: The directory of the sweep.
        parameters: The keys whose values differ between jobs, in the order of the command line, without ``repeats``.
        repeats: The keys in :data:`REPEATS` whose values differ between jobs.
        settings: The settings, best first, ranked by the number of jobs with an objective and then by the mean
            objective. A setting that lacks some of its repeats therefore ranks behind complete settings.
        jobs: The jobs, best first.
    """

    folder: Path
    parameters: tuple[str, ...]
    repeats: tuple[str, ...]
    settings: tuple[SweepSetting, ...]
    jobs: tuple[SweepJob, ...]

    @property
    def best(self) -> SweepSetting | None:
        """The best setting, or None if no job has an objective."""
        return self.settings[0] if self.settings and self.settings[0].objectives else None

    def values(self, key: str) -> list[Any]:
        """Return the values of a key in all jobs, in the order of the sweep."""
        return [job.values.get(key) for job in sorted(self.jobs, key=lambda job: parse_job_name(job.folder))]

    def count(self, state: str) -> int:
        """Return the number of jobs in a state."""
        return sum(job.state == state for job in self.jobs)


def read_sweep_results(folder: Path) -> SweepResults:
    """Read the results of a sweep so far.

    Args:
        folder: The directory of the sweep.
    """
    jobs = [_read_job(folder, path) for path in find_job_folders(folder)]
    keys = list(dict.fromkeys(key for job in jobs for key in job.values))
    varied = [key for key in keys if len({format_setting(job.values.get(key)) for job in jobs}) > 1]
    parameters = tuple(key for key in varied if key not in REPEATS)
    return SweepResults(
        folder=folder,
        parameters=parameters,
        repeats=tuple(key for key in varied if key in REPEATS),
        settings=tuple(_rank_settings(jobs, parameters)),
        jobs=tuple(sorted(jobs, key=lambda job: (-_rank_value(job.objective), _STATE_ORDER.index(job.state)))),
    )


def _read_job(sweep: Path, folder: Path) -> SweepJob:
    record, run = read_record(folder), RunFolder(folder)
    assert record is not None
    return SweepJob(
        name=folder.relative_to(sweep).as_posix(),
        folder=folder,
        overrides=tuple(record.overrides),
        state=record.state if record.state in _STATE_ORDER else UNFINISHED,
        reason=record.reason,
        metrics=run.load_metrics() if record.state == FINISHED and run.is_finished else {},
    )


def _rank_settings(jobs: Sequence[SweepJob], parameters: Sequence[str]) -> list[SweepSetting]:
    groups: dict[tuple[str, ...], list[SweepJob]] = {}
    for job in jobs:
        groups.setdefault(tuple(format_setting(job.values.get(key)) for key in parameters), []).append(job)
    settings = [
        SweepSetting({key: group[0].values.get(key) for key in parameters}, tuple(group)) for group in groups.values()
    ]
    return sorted(
        settings,
        key=lambda setting: (
            -len(setting.objectives),
            -_rank_value(setting.mean),
            _STATE_ORDER.index(setting.state),
        ),
    )


def _rank_value(value: float | None) -> float:
    return -math.inf if value is None else value
