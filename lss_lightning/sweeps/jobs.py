"""Running one job of a sweep: skip, resume or start it, and record its outcome. A failed job never ends the sweep."""

from __future__ import annotations

import gc
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from lss_lightning.errors import DivergenceError, PrunedError, UserError
from lss_lightning.runs.layout import RunFolder
from lss_lightning.sweeps.job_records import (
    DIVERGED,
    FAILED,
    FINISHED,
    PRUNED,
    RUNNING,
    JobRecord,
    has_ended,
    read_objective,
    read_record,
    write_record,
)


class JobProcessError(Exception):
    """Error raised if the process of a job failed. The process has already printed the reason.

    Attributes:
        code: The exit code of the process, negative if a signal ended it.
    """

    def __init__(self, code: int) -> None:
        super().__init__(f"its process was killed by signal {-code}" if code < 0 else f"its process ended with {code}")
        self.code = code


def run_job(folder: Path, overrides: Sequence[str], work: Callable[[Path | None], Any]) -> float | None:
    """Run one job unless it has already ended.

    A job that finished, diverged or was pruned is not run again. A job that was stopped or failed is resumed from its
    ``last.ckpt``. If it has no such file, its files are set aside and it starts again.

    Args:
        folder: The existing directory of the job.
        overrides: The overrides that distinguish the job from the others.
        work: The function that does the job. It takes the checkpoint to resume from, or None.

    Returns:
        The validation objective, or None for a job that failed or was pruned. For a job that diverged, it is
        :data:`~lss_lightning.sweeps.job_records.DIVERGED_OBJECTIVE`.

    Raises:
        UserError: If the directory belongs to another job.
        SystemExit: If the sweep was stopped by a signal.
    """
    earlier = read_record(folder)
    if earlier is not None and earlier.overrides != list(overrides):
        raise UserError(
            f"{folder}: holds another job, {' '.join(earlier.overrides)}, which is never overwritten; choose another "
            "hydra.sweep.dir"
        )
    if earlier is not None and has_ended(folder, earlier):
        print(f"job {folder.name}: already {earlier.state}, kept")
        return read_objective(folder, earlier)
    run = RunFolder(folder)
    resumed = run.last_checkpoint if earlier is not None and run.last_checkpoint.is_file() else None
    try:
        if earlier is not None and resumed is None:
            with run.locked():
                _set_attempt_aside(run)
        write_record(folder, JobRecord(list(overrides), RUNNING))
        with record_outcome(folder):
            work(resumed)
    except PrunedError as error:
        print(f"job {folder.name}: {error}")
    except UserError as error:
        print(f"error: job {folder.name}: {_format_reason(error)}", file=sys.stderr)
    except JobProcessError:
        pass
    except Exception:
        traceback.print_exc()
    finally:
        _free_memory()
    record = read_record(folder)
    assert record is not None
    return read_objective(folder, record)


@contextmanager
def record_outcome(folder: Path) -> Iterator[None]:
    """Record the outcome of the block if the directory belongs to a sweep's job, even a job that is resumed by hand.

    If a signal ends the block, the record is left unchanged.

    Args:
        folder: The directory of a run.
    """
    try:
        yield
    except Exception as error:
        record = read_record(folder)
        # If a job has several processes, the first one to fail knows the reason. The others only lose their connection.
        if record is not None and record.state == RUNNING and _is_first_process():
            write_record(folder, replace(record, state=_get_state(error), reason=_format_reason(error)))
        raise
    record = read_record(folder)
    if record is not None and _is_first_process():
        write_record(folder, replace(record, state=FINISHED, reason=None))


def _set_attempt_aside(run: RunFolder) -> None:
    """Move the files of an attempt that left no checkpoint to ``attempt-N``, so that no file is overwritten."""
    kept = {run.job_record, run.hydra, run.lock_file, run.log}
    files = [path for path in run.path.iterdir() if path not in kept and not path.name.startswith("attempt-")]
    if not files:
        return
    attempt = run.path / f"attempt-{1 + len(list(run.path.glob('attempt-*')))}"
    attempt.mkdir()
    for path in files:
        path.rename(attempt / path.name)


def _get_state(error: Exception) -> str:
    if isinstance(error, PrunedError):
        return PRUNED
    return DIVERGED if isinstance(error, DivergenceError) else FAILED


def _format_reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, UserError | PrunedError | JobProcessError) else f"{type(error).__name__}: {text}"


def _is_first_process() -> bool:
    return os.environ.get("LOCAL_RANK", "0") == "0"


def _free_memory() -> None:
    """Release the memory of the job's network and batches before the next job allocates its own."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
