"""Formatting of paths, counts and settings for messages and HTML reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def shorten_path(path: Path) -> Path:
    """Return a path relative to the working directory if it is inside this directory, and otherwise unchanged."""
    folder = Path.cwd()
    return path.relative_to(folder) if path.is_relative_to(folder) else path


def format_paths(paths: Sequence[Path]) -> str:
    """Format several shortened paths. Paths that differ in one part are combined as in a shell: ``a/{0,1}/b``."""
    shortened = [shorten_path(path) for path in paths]
    columns = list(zip(*(path.parts for path in shortened), strict=False))
    differing = [index for index, names in enumerate(columns) if len(set(names)) > 1]
    if len({len(path.parts) for path in shortened}) > 1 or len(differing) != 1:
        return ", ".join(map(str, shortened))
    index, parts = differing[0], shortened[0].parts
    return str(Path(*parts[:index], f"{{{','.join(columns[index])}}}", *parts[index + 1 :]))


def format_count(number: int, noun: str) -> str:
    """Format a count with its noun: ``1 slice``, ``1,545 slices``."""
    return f"{number} {noun}" if number == 1 else f"{number:,} {noun}s"


def format_setting(value: Any) -> str:
    """Format a value as on the command line: ``null``, ``true``, ``[1, 2]``, ``{a: 1}``."""
    if isinstance(value, list):
        return f"[{', '.join(map(format_setting, value))}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {format_setting(entry)}' for key, entry in value.items())}}}"
    if isinstance(value, bool):
        return str(value).lower()
    return "null" if value is None else str(value)
