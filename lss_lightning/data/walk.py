"""Listing of the files below a folder, through symbolic links."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path


def list_files(root: Path, skip: Callable[[Path, list[str]], bool] = lambda folder, names: False) -> list[Path]:
    """Return all files below a folder, without hidden folders and without order.

    Links to folders are followed, each folder once: one that is also below the root without a link, or that a link has
    led to already, is not repeated. Links to a folder that contains them are not followed. Links that lead nowhere are
    returned as files.

    Args:
        root: The folder.
        skip: Function of a folder and the names of its files that returns whether to leave it out with all below it.
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
