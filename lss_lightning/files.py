"""Files and folders that are complete or absent, locks, hashes, JSON and CSV."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from lss_lightning.errors import UserError

if TYPE_CHECKING:
    from filelock import BaseFileLock


@contextmanager
def atomic_write(path: Path, mode: str = "w", *, fsync: bool = False) -> Iterator[IO[Any]]:
    """Open a draft beside a file and let it replace the file when the block ends without an exception.

    A process that is killed while it writes leaves the earlier file untouched.

    Args:
        path: The file to create or replace.
        mode: ``w`` for UTF-8 text without newline translation, ``wb`` for bytes.
        fsync: Whether to wait until the content is on the disk before the file is replaced.

    Yields:
        The draft, open for writing.
    """
    draft = path.with_name(f".{path.name}.part")
    text: dict[str, Any] = {} if "b" in mode else {"encoding": "utf-8", "newline": ""}
    try:
        with draft.open(mode, **text) as stream:
            yield stream
            if fsync:
                stream.flush()
                os.fsync(stream.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """Make a draft folder and let it take the target's place when the block ends without an exception.

    Args:
        target: The folder to create. It must not exist, or be empty.

    Yields:
        The draft, beside the target. It is removed after any failure.

    Raises:
        UserError: the target exists and is not an empty folder.
    """
    target = target.expanduser().resolve()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UserError(f"{target} is not empty: nothing is overwritten, give an empty or new folder")
    draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        draft.mkdir(parents=True)
        yield draft
        draft.replace(target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def file_lock(path: Path) -> BaseFileLock:
    """Return a lock between processes that is released when its holder ends, however it ends.

    Args:
        path: The lock file. It stays after the lock is released.
    """
    from filelock import FileLock

    return FileLock(path)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_json(path: Path, content: Any) -> None:
    """Write plain data as indented JSON, atomically.

    Raises:
        ValueError: a number is NaN or infinite, which JSON does not have.
    """
    with atomic_write(path) as stream:
        json.dump(content, stream, indent=2, allow_nan=False)
        stream.write("\n")


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a table as CSV with Unix line ends, atomically.

    Args:
        path: The file to create or replace.
        header: The column names.
        rows: The cells of each row, as many as there are columns. None gives an empty cell.
    """
    with atomic_write(path) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
