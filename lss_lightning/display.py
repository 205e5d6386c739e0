"""How paths, counts and values are written for a reader."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def shown_path(path: Path) -> Path:
    """A path as a reader types it: relative where it lies below the working directory."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def shown_paths(paths: Sequence[Path]) -> str:
    """Paths as a reader types them; of those that differ in one folder or name only, as shells do: ``a/{0,1}/b``."""
    shown = [shown_path(path) for path in paths]
    columns = list(zip(*(path.parts for path in shown), strict=False))
    differing = [place for place, names in enumerate(columns) if len(set(names)) > 1]
    if len({len(path.parts) for path in shown}) > 1 or len(differing) != 1:
        return ", ".join(map(str, shown))
    place = differing[0]
    return str(Path(*shown[0].parts[:place], f"{{{','.join(columns[place])}}}", *shown[0].parts[place + 1 :]))


def counted(number: int, noun: str) -> str:
    """``1 slice``, ``1,545 slices``."""
    return f"{number} {noun}" if number == 1 else f"{number:,} {noun}s"


def format_setting(value: Any) -> str:
    """A value as the command line spells it: ``null``, ``true``, ``[1, 2]``, ``{a: 1}``."""
    if isinstance(value, list):
        return f"[{', '.join(map(format_setting, value))}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {format_setting(entry)}' for key, entry in value.items())}}}"
    if isinstance(value, bool):
        return str(value).lower()
    return "null" if value is None else str(value)
