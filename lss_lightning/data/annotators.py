"""The maps that the Al-Kafri data's five labellers drew, each for himself, of the same slices."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from zipfile import Path as ZipPath

from lss_lightning.data.alkafri import places
from lss_lightning.data.archive import ZipMember
from lss_lightning.data.slices import FINAL, ImageFile

MANUAL = "03_Manual_Label_Data"
"""Folder of the labellers' folders, ``Labeller 01`` to ``Labeller 05``; packed in ``Manual_Label_Data.zip``."""

_LABELLER = re.compile(r"Labeller\s*(\d+)", re.IGNORECASE)
_MAP = re.compile(r"(?:T1|L1)_(\d+)_(D\d)\.png", re.IGNORECASE)

Maps = dict[tuple[str, str], dict[str, ImageFile]]
"""By patient and level, each labeller's map, by the labeller's number."""


def find_annotators(root: Path) -> Maps:
    """Look for labellers' maps beside the data.

    Args:
        root: The data's folder, or its archive. Maps lie in ``Labeller 0N`` folders in it, in a folder in it, in
            :data:`MANUAL` there, or in a zip archive of these.

    Returns:
        The slices that at least two labellers have drawn; empty where there are none, or no such folder.
    """
    maps: Maps = defaultdict(dict)
    whole = root.expanduser().resolve()
    beside = whole.parent if whole.is_file() or whole.name == FINAL else whole
    if not beside.is_dir():
        return {}
    for place in places(beside):
        for folder in (place, place / MANUAL):
            for labeller, file, match in _drawn(folder):
                maps[match[1], match[2].upper()].setdefault(labeller, file)
    return {name: drawn for name, drawn in sorted(maps.items()) if len(drawn) > 1}


def _drawn(folder: Path | ZipPath) -> Iterator[tuple[str, ImageFile, re.Match[str]]]:
    """Each map in the labellers' folders directly below a folder: the labeller, the file, its name taken apart."""
    if not folder.is_dir():
        return
    children: list[Path | ZipPath] = sorted(folder.iterdir(), key=lambda path: path.name)
    for child in children:
        labeller = _LABELLER.fullmatch(child.name)
        if labeller is None or not child.is_dir():
            continue
        files: list[Path | ZipPath] = sorted(child.iterdir(), key=lambda path: path.name)
        for path in files:
            if match := _MAP.fullmatch(path.name):
                file = path if isinstance(path, Path) else ZipMember(Path(str(path.root.filename)), path.at)
                yield labeller[1], file, match
