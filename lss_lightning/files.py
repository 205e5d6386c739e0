"""Atomic writing of files and folders, locks between processes, hashes, JSON and CSV."""

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
    """Open a draft that atomically replaces a file if the block raises no exception.

    If the process is killed while writing, the existing file is unchanged.

    Args:
        path: The file to create or replace.
        mode: ``w`` for UTF-8 text without newline translation, ``wb`` for bytes.
        fsync: Whether to flush the content to the disk before the file is replaced.

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
    """Create a draft folder that atomically becomes the target if the block raises no exception.

    Args:
        target: The folder to create. It must be empty or must not exist.

    Yields:
        The draft folder. It is removed if the block raises an exception.

    Raises:
        UserError: If the target exists and is not an empty folder.
    """
    target = target.expanduser().resolve()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UserError(f"{target}: is not empty, and nothing is overwritten; give an empty or new folder")
    draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        draft.mkdir(parents=True)
        yield draft
        draft.replace(target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def file_lock(path: Path) -> BaseFileLock:
    """Return a lock between processes. The operating system releases it when the process that holds the lock ends.

    Args:
        path: The lock file. It is not removed when the lock is released.
    """
    from filelock import FileLock

    return FileLock(path)


def sha256(path: Path) -> str:
    """Return the SHA-256 digest of a file's content, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_json(path: Path, content: Any) -> None:
    """Write plain data as indented JSON, atomically.

    Raises:
        ValueError: If a number is NaN or infinite, which JSON does not support.
    """
    with atomic_write(path) as stream:
        json.dump(content, stream, indent=2, allow_nan=False)
        stream.write("\n")


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a table as CSV with Unix line endings, atomically.

    Args:
        path: The file to create or replace.
        header: The column names.
        rows: The cells of each row, one per column. None is written as an empty cell.
    """
    with atomic_write(path) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
