"""The output folder of ``predict.py``: never mixed with what lies there, and replaced only if it is all its own."""

from __future__ import annotations

import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lss_lightning.errors import IncompleteError, UserError
from lss_lightning.files import write_json

INDEX = "predict.json"
"""What was done of each study; by this file a folder is known as one of results, in which no study is looked for."""

_STUDY = r"""
    measurements\.(csv|json) | (label_maps|overlays)(/slice_\d+\.png)? | segmentation(_\d+)?\.(nii\.gz|dcm)
    | report\.(dcm|html)
"""
_OURS = re.compile(
    # What a killed run was writing goes too.
    rf"{re.escape(INDEX)} | study_\d+(/({_STUDY}))? | \.study_\d+\.[0-9a-f]{{8}}\.part(/.*)?",
    re.VERBOSE,
)


def check_output(folder: Path, *, overwrite: bool) -> None:
    """Look whether results may be written into a folder.

    Raises:
        UserError: it holds something, and it is not to be overwritten, or holds more than an earlier run's results; or
            it cannot be looked into.
    """
    folder = folder.expanduser()
    try:
        if not folder.exists():
            return
        if not folder.is_dir():
            raise UserError(f"output={folder}: a file; give a new folder")
        if not any(folder.iterdir()):
            return
        if not overwrite:
            raise UserError(f"output={folder}: holds something already; give a new folder, or overwrite=true")
        foreign = _foreign_files(folder)
    except OSError as error:
        raise _unwritable(folder, error) from error
    if foreign:
        more = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
        raise UserError(
            f"output={folder}: overwrite=true replaces only what predict.py wrote, not {foreign[0]}{more}; move that, "
            "or give a new folder"
        )
    if not (folder / INDEX).is_file():
        raise UserError(
            f"output={folder}: overwrite=true replaces only what predict.py wrote, which holds {INDEX}; give a new one"
        )


@contextmanager
def output_folder(folder: Path, *, overwrite: bool) -> Iterator[Path]:
    """An empty folder to write results into.

    An earlier run's results come back if this one writes no study, or is stopped on the way.

    Raises:
        UserError: as :func:`check_output`, or the folder cannot be written.
    """
    folder = folder.expanduser().resolve()
    check_output(folder, overwrite=overwrite)
    try:
        before = _set_aside(folder)
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from error
    through = False
    try:
        yield folder
        through = True
    except IncompleteError:
        through = True
        raise
    except OSError as error:
        raise _unwritable(folder, error) from error
    finally:
        if not any(folder.glob("study_*")) or (before and not through):
            shutil.rmtree(folder, ignore_errors=True)
            if before:
                before.rename(folder)
        elif before:
            shutil.rmtree(before, ignore_errors=True)


def write_index(folder: Path, content: dict[str, Any]) -> None:
    """Write :data:`INDEX`."""
    write_json(folder / INDEX, content)


def _foreign_files(folder: Path) -> list[str]:
    """What lies in a folder, at any depth, that ``predict.py`` does not write: paths from there."""
    held = ((path, path.relative_to(folder).as_posix()) for path in sorted(folder.rglob("*")))
    return [name for path, name in held if path.is_symlink() or not _OURS.fullmatch(name)]


def _set_aside(folder: Path) -> Path | None:
    """Give a folder that holds something a hidden name beside it, which is returned."""
    if not folder.exists() or not any(folder.iterdir()):
        return None
    return folder.rename(folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.old"))


def _unwritable(folder: Path, error: OSError) -> UserError:
    return UserError(f"output={folder}: cannot be written ({error.strerror}); give another folder")
