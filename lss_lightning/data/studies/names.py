"""Parsing of file and folder names: T1, T2 or composite, and which files belong together."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from lss_lightning.data.alkafri_layout import FIELD_OF_VIEW
from lss_lightning.data.formats import strip_suffix
from lss_lightning.stenosis import LEVEL_KEYS

COMPOSITE_KIND = "composite"

_KIND = re.compile(r"(?<![a-z0-9])(t1|t2|c1)(?!\d)", re.IGNORECASE)
_ALKAFRI = re.compile(r"(?:T1|T2|C1)_(\d+)_(D[345])", re.IGNORECASE)
_ALKAFRI_LABEL = re.compile(r"[LB]1_\d+_D[345]", re.IGNORECASE)


@dataclass(frozen=True)
class NamedFile:
    """A file and what its name states.

    Attributes:
        path: The file.
        kind: ``T1``, ``T2``, ``composite``, or None if neither the file name nor the folder name states it.
        study: Key that all files of one study share.
        pair: Key that the T1 and T2 files of one slice or volume share within a study.
        level: The disc level, e.g. ``L4/5``, of Al-Kafri files, or None.
        field_of_view: Width in mm of Al-Kafri images, or None.
    """

    path: Path
    kind: str | None
    study: str
    pair: str
    level: str | None = None
    field_of_view: float | None = None


def parse_file_name(path: Path) -> NamedFile | None:
    """Parse the name of an image file or volume. Label maps of the Al-Kafri data give None."""
    name = strip_suffix(path.name)
    if _ALKAFRI_LABEL.fullmatch(name):
        return None
    in_name, in_folder = _KIND.search(name), _KIND.search(path.parent.name)
    kind = _get_kind(in_name or in_folder)
    # T1 and T2 may be in separate folders.
    study_folder = path.parent.parent if in_folder else path.parent
    pair = _KIND.sub("", name, count=1) if in_name else name
    if match := _ALKAFRI.fullmatch(name):
        levels = {key: level for level, key in LEVEL_KEYS.items()}
        # The data set's folders are nested differently, so the patient number identifies the study.
        return NamedFile(path, kind, match[1], pair, levels[match[2].upper()], FIELD_OF_VIEW)
    return NamedFile(path, kind, str(study_folder), pair)


def find_sibling_folder(folder: Path) -> Path | None:
    """Return the folder whose name has T1 where this one has T2, or T2 where it has T1, or None if there is none."""
    match = _KIND.search(folder.name)
    if not match or match[1].lower() == "c1":
        return None
    counterpart = match[1][0] + {"1": "2", "2": "1"}[match[1][1]]
    sibling = folder.with_name(folder.name[: match.start()] + counterpart + folder.name[match.end() :])
    return sibling if sibling.is_dir() else None


def _get_kind(match: re.Match[str] | None) -> str | None:
    return None if match is None else {"t1": "T1", "t2": "T2", "c1": COMPOSITE_KIND}[match[1].lower()]
