"""`job.json` in a job's folder: what the job is, and how it ended."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

RECORD = "job.json"

RUNNING = "running"
FINISHED = "finished"
DIVERGED = "diverged"
FAILED = "failed"


@dataclass(frozen=True)
class Record:
    """A job of a sweep.

    Attributes:
        overrides: The job's own command line, but for Hydra's settings.
        state: ``running`` (or killed meanwhile), ``finished``, ``diverged`` or ``failed``.
        reason: Why it diverged or failed.
    """

    overrides: list[str]
    state: str
    reason: str | None = None


def read_record(folder: Path) -> Record | None:
    """What a folder's job is; None where it holds no job of a sweep."""
    path = folder / RECORD
    return Record(**json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None


def write_record(folder: Path, record: Record) -> None:
    """Write it, whole or not at all."""
    temporary = folder / f"{RECORD}.tmp"
    temporary.write_text(json.dumps(asdict(record), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    temporary.replace(folder / RECORD)


def job_folders(sweep: Path) -> list[Path]:
    """The folders of a sweep's jobs in the order in which they were begun: ``0``, ``1``, …, then ``2-0``, …."""
    return sorted((path.parent for path in sweep.rglob(RECORD)), key=round_and_number)


def round_and_number(folder: Path) -> tuple[int, int, str]:
    """``7`` is the first round's job 7, ``2-7`` the second's; folders that a user has named otherwise come first."""
    found = re.fullmatch(r"(?:(\d+)-)?(\d+)", folder.name)
    return (int(found[1] or 1), int(found[2]), "") if found else (0, 0, str(folder))
