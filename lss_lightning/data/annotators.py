"""Label maps of the same slices, drawn independently by the five annotators of the Al-Kafri data."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from zipfile import Path as ZipPath

from lss_lightning.data.alkafri import find_data_folders
from lss_lightning.data.alkafri_layout import FINAL_FOLDER
from lss_lightning.data.archive import ZipMember
from lss_lightning.data.slices import ImageFile

MANUAL_FOLDER = "03_Manual_Label_Data"
"""Parent of the annotators' folders, ``Labeller 01`` to ``Labeller 05``; published as ``Manual_Label_Data.zip``."""

_ANNOTATOR = re.compile(r"Labeller\s*(\d+)", re.IGNORECASE)
_MAP = re.compile(r"(?:T1|L1)_(\d+)_(D\d)\.png", re.IGNORECASE)

AnnotatorMaps = dict[tuple[str, str], dict[str, ImageFile]]
"""Label maps by (patient, level) and the annotator's number."""


def find_annotator_maps(root: Path) -> AnnotatorMaps:
    """Find the annotators' label maps beside the data.

    Args:
        root: Folder or archive of the data. The ``Labeller 0N`` folders may be in this folder, in one of its
            subfolders, in the :data:`MANUAL_FOLDER` of either, or in a zip archive of any of these.

    Returns:
        Label maps of the slices that at least two annotators have labelled; empty if there are none.
    """
    maps: AnnotatorMaps = defaultdict(dict)
    resolved = root.expanduser().resolve()
    top = resolved.parent if resolved.is_file() or resolved.name == FINAL_FOLDER else resolved
    if not top.is_dir():
        return {}
    for folder in find_data_folders(top):
        for parent in (folder, folder / MANUAL_FOLDER):
            for annotator, file, name in _list_maps(parent):
                maps[name[1], name[2].upper()].setdefault(annotator, file)
    return {name: by_annotator for name, by_annotator in sorted(maps.items()) if len(by_annotator) > 1}


def _list_maps(folder: Path | ZipPath) -> Iterator[tuple[str, ImageFile, re.Match[str]]]:
    """Yield the annotator, the file and the file-name match for each map in the annotators' folders."""
    if not folder.is_dir():
        return
    children: list[Path | ZipPath] = sorted(folder.iterdir(), key=lambda path: path.name)
    for child in children:
        annotator = _ANNOTATOR.fullmatch(child.name)
        if annotator is None or not child.is_dir():
            continue
        files: list[Path | ZipPath] = sorted(child.iterdir(), key=lambda path: path.name)
        for path in files:
            if name := _MAP.fullmatch(path.name):
                file = path if isinstance(path, Path) else ZipMember(Path(str(path.root.filename)), path.at)
                yield annotator[1], file, name
