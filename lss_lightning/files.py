"""Folders that are written whole or not at all."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lss_lightning.errors import UserError


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """A draft beside the target to write into; it takes the target's place at the end, or is removed on any failure.

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
