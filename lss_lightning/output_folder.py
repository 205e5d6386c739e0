"""The output folder of ``predict.py``: never mixed with what lies there, and replaced only if it is all its own."""

from __future__ import annotations

import json
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lss_lightning.errors import UserError

INDEX = "predict.json"
"""What was done of each study; by this file a folder is known as one of ours."""


def check_output(folder: Path, *, overwrite: bool) -> None:
    """Look whether results may be written into a folder.

    Raises:
        UserError: it holds something, and it is not to be overwritten, or holds more than an earlier run's results.
    """
    folder = folder.expanduser()
    if not folder.exists():
        return
    if not folder.is_dir():
        raise UserError(f"output={folder}: a file; give a new folder")
    held = [path.name for path in folder.iterdir()]
    if not held:
        return
    if not overwrite:
        raise UserError(f"output={folder}: holds something already; give a new folder, or overwrite=true")
    foreign = [name for name in held if name != INDEX and not re.fullmatch(r"study_\d+", name)]
    if foreign or INDEX not in held:
        raise UserError(
            f"output={folder}: overwrite=true replaces only what predict.py wrote, and {len(foreign) or len(held)} of "
            f"{len(held)} things in it are not; give a new folder"
        )


@contextmanager
def output_folder(folder: Path, *, overwrite: bool) -> Iterator[Path]:
    """An empty folder to write results into; an earlier run's come back if none replaces them.

    Raises:
        UserError: as :func:`check_output`, or the folder cannot be written.
    """
    folder = folder.expanduser().resolve()
    check_output(folder, overwrite=overwrite)
    before = None
    if folder.exists() and any(folder.iterdir()):
        before = folder.rename(folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.old"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
    except OSError as error:
        raise UserError(f"output={folder}: cannot be written ({error.strerror}); give another folder") from error
    finally:
        if not any(folder.glob("study_*")):
            shutil.rmtree(folder, ignore_errors=True)
            if before:
                before.rename(folder)
        elif before:
            shutil.rmtree(before)


def write_index(folder: Path, content: dict[str, Any]) -> None:
    """Write :data:`INDEX`."""
    (folder / INDEX).write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")
