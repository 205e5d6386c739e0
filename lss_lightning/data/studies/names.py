"""What a file's or a folder's name says of its content: T1, T2 or a composite, and what is left of it without that."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from lss_lightning.data.formats import stem
from lss_lightning.data.slices import FIELD_OF_VIEW
from lss_lightning.stenosis import LEVELS

COMPOSITE = "composite"

_KIND = re.compile(r"(?<![a-z0-9])(t1|t2|c1)(?!\d)", re.IGNORECASE)
_ALKAFRI = re.compile(r"(?:T1|T2|C1)_(\d+)_(D[345])", re.IGNORECASE)
_ALKAFRI_LABEL = re.compile(r"[LB]1_\d+_D[345]", re.IGNORECASE)


@dataclass(frozen=True)
class NamedFile:
    """A file by its name.

    Attributes:
        path: The file.
        kind: ``T1``, ``T2``, ``composite``, or None where neither the file nor its folder says.
        study: What files of one study share.
        piece: What the T1 and T2 file of one slice or volume share, within the study.
        level: The disc that a file of the Al-Kafri data names, e.g. ``L4/5``; None of others.
        field_of_view: Its width, mm, of the Al-Kafri data; None of others.
    """

    path: Path
    kind: str | None
    study: str
    piece: str
    level: str | None = None
    field_of_view: float | None = None


def read_name(path: Path) -> NamedFile | None:
    """What a picture's or volume's name says; None for the label maps of the Al-Kafri data."""
    name = stem(path.name)
    if _ALKAFRI_LABEL.fullmatch(name):
        return None
    own, folder = _KIND.search(name), _KIND.search(path.parent.name)
    kind = _said(own or folder)
    # T1 and T2 may lie in folders of their own.
    place = path.parent.parent if folder else path.parent
    piece = _KIND.sub("", name, count=1) if own else name
    if match := _ALKAFRI.fullmatch(name):
        levels = {key: level for level, key in LEVELS.items()}
        # Its folders lie at different depths, but a patient's number is the same in all.
        return NamedFile(path, kind, match[1], piece, levels[match[2].upper()], FIELD_OF_VIEW)
    return NamedFile(path, kind, str(place), piece)


def sibling(folder: Path) -> Path | None:
    """The folder of T1 beside one of T2, or the other way round: of the same name but for that; None without one."""
    match = _KIND.search(folder.name)
    if not match or match[1].lower() == "c1":
        return None
    other = match[1][0] + {"1": "2", "2": "1"}[match[1][1]]
    beside = folder.with_name(folder.name[: match.start()] + other + folder.name[match.end() :])
    return beside if beside.is_dir() else None


def _said(match: re.Match[str] | None) -> str | None:
    return None if match is None else {"t1": "T1", "t2": "T2", "c1": COMPOSITE}[match[1].lower()]
