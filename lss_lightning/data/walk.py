"""Listing of the files below a folder, following symbolic links."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path


def list_files(root: Path, skip: Callable[[Path, list[str]], bool] = lambda folder, names: False) -> list[Path]:
    """Return all files below a folder in no particular order, leaving out hidden folders.

    Links to folders are followed, but each folder is listed only once, even if it is reached in several ways. Links to
    a folder that contains them are not followed. Broken links are returned as files.

    Args:
        root: The folder.
        skip: Function that takes a folder and the names of its files, and returns whether to leave out the folder with
            everything below it.
    """
    files: list[Path] = []
    visited: set[str] = set()
    pending = [root]
    while pending:
        start = pending.pop(0)
        if start != root and Path(os.path.realpath(start.parent)).is_relative_to(os.path.realpath(start)):
            continue
        for folder, subfolders, names in os.walk(start):
            real = os.path.realpath(folder)
            if real in visited or skip(Path(folder), names):
                subfolders.clear()
                continue
            visited.add(real)
            subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
            pending += [path for name in subfolders if (path := Path(folder, name)).is_symlink()]
            files += [Path(folder, name) for name in names]
    return files
