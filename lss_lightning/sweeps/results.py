"""What a sweep found: its jobs, and its settings with the repeats of each, best first."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from lss_lightning.config.overrides import read_overrides
from lss_lightning.display import format_setting
from lss_lightning.runs.layout import RunFolder
from lss_lightning.sweeps.jobs import DIVERGED, FAILED, FINISHED, JobRecord, job_folders, read_record, round_and_number

REPEATS = ("seed", "split.fold", "split.seed")
"""Settings whose values repeat an experiment: over them a sweep is averaged, and none of them is the better one."""

UNFINISHED = "unfinished"
_ORDER = (FINISHED, DIVERGED, FAILED, UNFINISHED)


@dataclass(frozen=True)
class SweepJob:
    """A job of a sweep.

    Attributes:
        name: Its folder's, within the sweep's.
        folder: Its folder.
        overrides: Its command line, but for Hydra's settings.
        state: ``finished``, ``diverged``, ``failed`` or ``unfinished``.
        reason: Why it diverged or failed.
        metrics: What ``metrics.json`` holds; empty where there is none.
    """

    name: str
    folder: Path
    overrides: tuple[str, ...]
    state: str
    reason: str | None
    metrics: Mapping[str, Any]

    @cached_property
    def values(self) -> dict[str, Any]:
        """The value of each key of the command line."""
        return read_overrides(list(self.overrides))

    @property
    def objective(self) -> float | None:
        """The validation objective; None where it did not finish, or no part of the split selects."""
        value: float | None = self.metrics.get("validation", {}).get("objective")
        return value

    @property
    def epoch(self) -> int | None:
        """The epoch that the objective is of, from 0."""
        value: int | None = self.metrics.get("validation", {}).get("epoch")
        return value

    @property
    def seconds(self) -> float | None:
        """Time spent in training."""
        value: float | None = self.metrics.get("timing", {}).get("train_seconds")
        return value

    @property
    def checkpoint(self) -> Path | None:
        """The checkpoint that was chosen; None where the job left none."""
        return RunFolder(self.folder).selected_checkpoint


@dataclass(frozen=True)
class SweepSetting:
    """Jobs that differ by nothing but what repeats an experiment.

    Attributes:
        values: Value of each parameter of the sweep.
        jobs: In the order of the sweep.
    """

    values: Mapping[str, Any]
    jobs: tuple[SweepJob, ...]

    @property
    def objectives(self) -> list[float]:
        """Those of the jobs that have one."""
        return [job.objective for job in self.jobs if job.objective is not None]

    @property
    def mean(self) -> float | None:
        """Mean objective."""
        return fmean(self.objectives) if self.objectives else None

    @property
    def sd(self) -> float | None:
        """Sample standard deviation of the objective; None for fewer than two."""
        return stdev(self.objectives) if len(self.objectives) > 1 else None

    @property
    def state(self) -> str:
        """``finished`` if any job has, else how the first of them ended."""
        return min((job.state for job in self.jobs), key=_ORDER.index)


@dataclass(frozen=True)
class SweepResults:
    """A sweep.

    Attributes:
        folder: Its folder.
        parameters: Keys whose values differ between jobs, in the order of the command line, without the repeats.
        repeats: The same of :data:`REPEATS`.
        settings: Best first: by how many of their jobs have an objective, where repeats are missing, then by its mean.
        jobs: Best first.
    """

    folder: Path
    parameters: tuple[str, ...]
    repeats: tuple[str, ...]
    settings: tuple[SweepSetting, ...]
    jobs: tuple[SweepJob, ...]

    @property
    def best(self) -> SweepSetting | None:
        """The setting with the highest mean objective; None where no job has one."""
        return self.settings[0] if self.settings and self.settings[0].objectives else None

    def values(self, key: str) -> list[Any]:
        """Those of a key in all jobs, in the order of the sweep."""
        return [job.values.get(key) for job in sorted(self.jobs, key=lambda job: round_and_number(job.folder))]

    def count(self, state: str) -> int:
        """How many jobs ended so."""
        return sum(job.state == state for job in self.jobs)


def read_results(folder: Path) -> SweepResults:
    """Collect what the jobs of a sweep have left in its folder so far."""
    jobs = [_read_job(folder, path) for path in job_folders(folder)]
    keys = list(dict.fromkeys(key for job in jobs for key in job.values))
    varied = [key for key in keys if len({format_setting(job.values.get(key)) for job in jobs}) > 1]
    parameters = tuple(key for key in varied if key not in REPEATS)
    return SweepResults(
        folder=folder,
        parameters=parameters,
        repeats=tuple(key for key in varied if key in REPEATS),
        settings=tuple(_settings(jobs, parameters)),
        jobs=tuple(sorted(jobs, key=lambda job: (-_score(job.objective), _ORDER.index(job.state)))),
    )


def _read_job(sweep: Path, folder: Path) -> SweepJob:
    record, metrics = read_record(folder), RunFolder(folder).metrics
    assert record is not None
    finished = record.state == FINISHED
    return SweepJob(
        name=folder.relative_to(sweep).as_posix(),
        folder=folder,
        overrides=tuple(record.overrides),
        state=_state(record),
        reason=record.reason,
        metrics=json.loads(metrics.read_text(encoding="utf-8")) if finished and metrics.is_file() else {},
    )


def _state(record: JobRecord) -> str:
    return record.state if record.state in _ORDER else UNFINISHED


def _settings(jobs: Sequence[SweepJob], parameters: Sequence[str]) -> list[SweepSetting]:
    groups: dict[tuple[str, ...], list[SweepJob]] = {}
    for job in jobs:
        groups.setdefault(tuple(format_setting(job.values.get(key)) for key in parameters), []).append(job)
    settings = [
        SweepSetting({key: group[0].values.get(key) for key in parameters}, tuple(group)) for group in groups.values()
    ]
    return sorted(settings, key=lambda one: (-len(one.objectives), -_score(one.mean), _ORDER.index(one.state)))


def _score(value: float | None) -> float:
    return -math.inf if value is None else value
