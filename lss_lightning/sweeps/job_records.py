"""The record of a sweep's job, ``job.json``, with its overrides and its outcome."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from lss_lightning.files import write_json
from lss_lightning.runs.layout import RunFolder

RUNNING = "running"
FINISHED = "finished"
DIVERGED = "diverged"
PRUNED = "pruned"
FAILED = "failed"

DIVERGED_OBJECTIVE = 0.0
"""The objective reported for a job that diverged, so that a search avoids its settings: the lowest possible IoU."""


@dataclass(frozen=True)
class JobRecord:
    """A job of a sweep.

    Attributes:
        overrides: The overrides of the job, without Hydra's own settings.
        state: ``running`` (also if the job was killed), ``finished``, ``diverged``, ``pruned`` or ``failed``.
        reason: The reason why the job diverged, was pruned or failed, else None.
    """

    overrides: list[str]
    state: str
    reason: str | None = None


def read_record(folder: Path) -> JobRecord | None:
    """Return the record in a job's directory, or None if there is none."""
    path = RunFolder(folder).job_record
    return JobRecord(**json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None


def write_record(folder: Path, record: JobRecord) -> None:
    """Write the record to a job's directory atomically."""
    write_json(RunFolder(folder).job_record, asdict(record))


def find_job_folders(sweep: Path) -> list[Path]:
    """Return the directories of a sweep's jobs in the order of their numbers: ``0``, ``1``, …."""
    return sorted((path.parent for path in sweep.rglob(RunFolder(sweep).job_record.name)), key=parse_job_name)


def parse_job_name(folder: Path) -> tuple[int, str]:
    """Return a sort key with the number of a job's directory. Directories that are not named by a number sort first."""
    return (int(folder.name), "") if folder.name.isdecimal() else (-1, str(folder))


def has_ended(folder: Path, record: JobRecord) -> bool:
    """Return whether a job diverged, was pruned, or finished with a test result, and so need not run again."""
    return record.state in (DIVERGED, PRUNED) or (record.state == FINISHED and RunFolder(folder).is_finished)


def read_objective(folder: Path, record: JobRecord) -> float | None:
    """Return the objective of a job that a search optimises, or None if the job was pruned or has not finished."""
    if record.state == DIVERGED:
        return DIVERGED_OBJECTIVE
    run = RunFolder(folder)
    return run.load_objective() if record.state == FINISHED and run.is_finished else None
