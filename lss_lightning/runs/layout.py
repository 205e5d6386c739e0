"""A run's folder: its own from the first file on, and kept from other processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from lss_lightning.errors import UserError


def new_folder(folder: Path) -> Path:
    """Make the folder of a run or a sweep that is named by its second.

    Args:
        folder: What it would be called.

    Returns:
        What it is called: where another has begun in the same second ``…-2``, ``…-3`` and so on.

    Raises:
        UserError: it cannot be written.
    """
    name, number = folder.name, 1
    while True:
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            number += 1
            folder = folder.with_name(f"{name}-{number}")
        except OSError as error:
            raise unwritable(error) from error


def unwritable(error: OSError) -> UserError:
    """What to say where the folder of a run or a sweep cannot be written."""
    return UserError(
        f"{error.filename}: the run's folder cannot be written ({error.strerror}); choose another with paths.logs=…"
    )


def refuse_used(folder: Path) -> None:
    """Refuse a folder that already holds a run.

    Raises:
        UserError: it does.
    """
    for name in ("checkpoints", "metrics.csv", "metrics.json"):
        if (folder / name).exists():
            raise UserError(
                f"{folder}: already holds a run ({name}); nothing is overwritten: choose another hydra.run.dir, or go "
                "on with it by ckpt_path=…/checkpoints/last.ckpt"
            )


@contextmanager
def occupied(folder: Path) -> Iterator[None]:
    """Keep a run's folder from other processes; the lock dies with its process, however that ends.

    Raises:
        UserError: another process is at work there.
    """
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        raise UserError(
            f"{folder}: another process is training there; wait for it to end, or choose another hydra.run.dir"
        ) from error
    try:
        yield
    finally:
        lock.release()
