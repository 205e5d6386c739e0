"""The output folder of ``predict.py``, which is replaced only if all its content was written by ``predict.py``."""

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

PREDICTION_INDEX = "predict.json"
"""The file that lists the outcome of each study. A folder with this file is never searched for studies."""

_STUDY_FILES = r"""
    measurements\.(csv|json) | (label_maps|overlays)(/slice_\d+\.png)? | segmentation(_\d+)?\.(nii\.gz|dcm)
    | report\.(dcm|html)
"""
_WRITTEN_BY_PREDICT = re.compile(
    # The last alternative matches a draft that a killed process left behind.
    rf"{re.escape(PREDICTION_INDEX)} | study_\d+(/({_STUDY_FILES}))? | \.study_\d+\.[0-9a-f]{{8}}\.part(/.*)?",
    re.VERBOSE,
)


def check_output(folder: Path, *, overwrite: bool) -> None:
    """Check that results may be written into a folder.

    Args:
        folder: The output folder. It need not exist.
        overwrite: Whether the results of an earlier run may be replaced.

    Raises:
        UserError: If the folder is not empty and ``overwrite`` is false, if it contains anything that ``predict.py``
            did not write, or if it cannot be read.
    """
    folder = folder.expanduser()
    try:
        if not folder.exists():
            return
        if not folder.is_dir():
            raise UserError(f"output={folder}: is a file; give a new folder")
        if not any(folder.iterdir()):
            return
        if not overwrite:
            raise UserError(f"output={folder}: is not empty; give a new folder, or set overwrite=true")
        foreign = _find_foreign_files(folder)
    except OSError as error:
        raise _unwritable_output_error(folder, error) from error
    if foreign:
        more = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
        raise UserError(
            f"output={folder}: overwrite=true replaces only what predict.py wrote, not {foreign[0]}{more}; move it, "
            "or give a new folder"
        )
    if not (folder / PREDICTION_INDEX).is_file():
        raise UserError(
            f"output={folder}: overwrite=true replaces only a folder that predict.py wrote, which contains "
            f"{PREDICTION_INDEX}; give a new folder"
        )


@contextmanager
def output_folder(folder: Path, *, overwrite: bool) -> Iterator[Path]:
    """Provide an empty folder for results.

    The results of an earlier run are restored if the block writes no study or is interrupted.

    Args:
        folder: The output folder. It need not exist.
        overwrite: Whether the results of an earlier run may be replaced.

    Yields:
        The empty folder.

    Raises:
        UserError: If :func:`check_output` rejects the folder, or if the folder cannot be written.
    """
    folder = folder.expanduser().resolve()
    check_output(folder, overwrite=overwrite)
    try:
        earlier = _set_aside(folder)
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable_output_error(folder, error) from error
    completed = False
    try:
        yield folder
        completed = True
    except IncompleteError:
        completed = True
        raise
    except OSError as error:
        raise _unwritable_output_error(folder, error) from error
    finally:
        if not any(folder.glob("study_*")) or (earlier and not completed):
            shutil.rmtree(folder, ignore_errors=True)
            if earlier:
                earlier.rename(folder)
        elif earlier:
            shutil.rmtree(earlier, ignore_errors=True)


def write_index(folder: Path, content: dict[str, Any]) -> None:
    """Write :data:`PREDICTION_INDEX` into an output folder."""
    write_json(folder / PREDICTION_INDEX, content)


def _find_foreign_files(folder: Path) -> list[str]:
    """Return the relative paths below a folder that ``predict.py`` did not write. Links count as foreign."""
    names = ((path, path.relative_to(folder).as_posix()) for path in sorted(folder.rglob("*")))
    return [name for path, name in names if path.is_symlink() or not _WRITTEN_BY_PREDICT.fullmatch(name)]


def _set_aside(folder: Path) -> Path | None:
    """Rename a non-empty folder to a hidden name beside it and return its new path; return None for other folders."""
    if not folder.exists() or not any(folder.iterdir()):
        return None
    return folder.rename(folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.old"))


def _unwritable_output_error(folder: Path, error: OSError) -> UserError:
    return UserError(f"output={folder}: cannot be written ({error.strerror}); give another folder")
