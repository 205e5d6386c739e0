"""One job of a sweep: run, kept or gone on with, and its end written down; the sweep goes on whatever happens."""

from __future__ import annotations

import gc
import json
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from lss_lightning.errors import DivergenceError, UserError
from lss_lightning.files import write_json
from lss_lightning.runs.layout import RunFolder

RECORD = "job.json"

RUNNING = "running"
FINISHED = "finished"
DIVERGED = "diverged"
FAILED = "failed"


@dataclass(frozen=True)
class JobRecord:
    """A job of a sweep.

    Attributes:
        overrides: The job's own command line, but for Hydra's settings.
        state: ``running`` (or killed meanwhile), ``finished``, ``diverged`` or ``failed``.
        reason: Why it diverged or failed.
    """

    overrides: list[str]
    state: str
    reason: str | None = None


def read_record(folder: Path) -> JobRecord | None:
    """What a folder's job is; None where it holds no job of a sweep."""
    path = folder / RECORD
    return JobRecord(**json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None


def write_record(folder: Path, record: JobRecord) -> None:
    """Write it, whole or not at all."""
    write_json(folder / RECORD, asdict(record))


def job_folders(sweep: Path) -> list[Path]:
    """The folders of a sweep's jobs in the order in which they were begun: ``0``, ``1``, …, then ``2-0``, …."""
    return sorted((path.parent for path in sweep.rglob(RECORD)), key=round_and_number)


def round_and_number(folder: Path) -> tuple[int, int, str]:
    """``7`` is the first round's job 7, ``2-7`` the second's; folders that a user has named otherwise come first."""
    found = re.fullmatch(r"(?:(\d+)-)?(\d+)", folder.name)
    return (int(found[1] or 1), int(found[2]), "") if found else (0, 0, str(folder))


WORST = 0.0
"""The objective of a job that diverged, from which a search learns to keep away: the lowest IoU there is."""

KEPT_FILES = {RECORD, ".hydra", ".lock", "train.log"}
"""What a job's folder goes on with when all else is set aside."""


class JobProcessError(Exception):
    """A job's own process failed, and has said why.

    Attributes:
        code: Its exit code.
    """

    def __init__(self, code: int) -> None:
        super().__init__(f"its process was killed by signal {-code}" if code < 0 else f"its process ended with {code}")
        self.code = code


def run_job(folder: Path, overrides: Sequence[str], work: Callable[[Path | None], Any]) -> float | None:
    """Run one job, unless it has ended before.

    A job that finished or diverged is kept. One that was stopped or failed goes on from its ``last.ckpt``; where it has
    none, what it left is set aside and it starts again.

    Args:
        folder: The job's folder, existing.
        overrides: What tells it from the others.
        work: Does the job; takes the checkpoint to go on from, or None.

    Returns:
        The validation objective; that of a job that diverged is :data:`WORST`, of one that failed None.

    Raises:
        UserError: the folder holds another job.
        SystemExit: somebody stopped the sweep.
    """
    before = read_record(folder)
    if before is not None and before.overrides != list(overrides):
        raise UserError(
            f"{folder}: holds another job, {' '.join(before.overrides)}; nothing is overwritten: choose another "
            "hydra.sweep.dir"
        )
    if before is not None and ended(folder, before):
        print(f"job {folder.name}: {before.state} before, kept")
        return objective(folder, before)
    last = RunFolder(folder).last_checkpoint
    resumed = last if before is not None and last.is_file() else None
    try:
        if before is not None and resumed is None:
            with RunFolder(folder).locked():
                set_aside(folder)
        write_record(folder, JobRecord(list(overrides), RUNNING))
        with record_outcome(folder):
            work(resumed)
    except UserError as error:
        print(f"error: job {folder.name}: {_reason(error)}", file=sys.stderr)
    except JobProcessError:
        pass
    except Exception:
        traceback.print_exc()
    finally:
        _free_memory()
    record = read_record(folder)
    assert record is not None
    return objective(folder, record)


@contextmanager
def record_outcome(folder: Path) -> Iterator[None]:
    """Write down how the work within ends, if the folder is a sweep's job; also when a job is resumed by hand.

    An end by a signal is none: the job stays as it was.
    """
    try:
        yield
    except Exception as error:
        record = read_record(folder)
        # Of a job's processes the first that fails knows why; the others only lose their fellow.
        if record is not None and record.state == RUNNING and _first_process():
            state = DIVERGED if isinstance(error, DivergenceError) else FAILED
            write_record(folder, replace(record, state=state, reason=_reason(error)))
        raise
    record = read_record(folder)
    if record is not None and _first_process():
        write_record(folder, replace(record, state=FINISHED, reason=None))


def ended(folder: Path, record: JobRecord) -> bool:
    """Whether a job needs no further run."""
    return record.state == DIVERGED or (record.state == FINISHED and RunFolder(folder).is_finished)


def objective(folder: Path, record: JobRecord) -> float | None:
    """What a job that has ended tells a search."""
    if record.state == DIVERGED:
        return WORST
    metrics = RunFolder(folder).metrics
    if record.state != FINISHED or not metrics.is_file():
        return None
    value: float | None = json.loads(metrics.read_text(encoding="utf-8"))["validation"]["objective"]
    return value


def set_aside(folder: Path) -> None:
    """Move what an attempt without a checkpoint left into ``attempt-N``, so that nothing is overwritten."""
    left = [path for path in folder.iterdir() if path.name not in KEPT_FILES and not path.name.startswith("attempt-")]
    if not left:
        return
    aside = folder / f"attempt-{1 + len(list(folder.glob('attempt-*')))}"
    aside.mkdir()
    for path in left:
        path.rename(aside / path.name)


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, UserError | JobProcessError) else f"{type(error).__name__}: {text}"


def _first_process() -> bool:
    return os.environ.get("LOCAL_RANK", "0") == "0"


def _free_memory() -> None:
    """Let go of the job's network and batches before the next job makes its own."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
