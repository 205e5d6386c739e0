"""The Al-Kafri / Sudirman lumbar-spine data (Mendeley Data zbf6b4pttk), as it lies on disk when unpacked."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from lss_lightning.data.slices import Slice
from lss_lightning.data.source import CHANNELS, DataSource, Found
from lss_lightning.errors import UserError

FIELD_OF_VIEW = 220.0
"""Width of every image in mm: 320 pixels of 0.6875 mm (the data set's page)."""

FINAL = "05_Final_Ground_Truth_Data"
INTERMEDIATE = "04_Intermediary_Ground_Truth_Data"

IMAGES = {
    "t1": (f"{INTERMEDIATE}/T1_Output", "T1"),
    "t2": (f"{INTERMEDIATE}/T2_Output", "T2"),
    "composite": (f"{FINAL}/Composite_Images", "C1"),
}
"""Folder and file prefix of each kind of image."""

LABELS = (f"{FINAL}/Label_Images", "L1")


@dataclass(frozen=True, kw_only=True)
class AlKafri(DataSource):
    """Slices of the final ground truth: a label, and the images that the channels need, paired by name."""

    def check(self) -> None:
        """Look for the ground truth's folder.

        Raises:
            UserError: it is not there.
        """
        _find_top(Path(self.root).expanduser())

    def find(self) -> Found:
        """List the slices under ``root`` or the one folder below it that holds the ground truth.

        Raises:
            UserError: no such folder, no labels in it, or no label that has the images needed.
        """
        return find_slices(Path(self.root).expanduser(), self.channels)


def find_slices(root: Path, channels: str) -> Found:
    """Pair labels and images by name in the layout of the data set.

    Args:
        root: The folder that holds ``05_Final_Ground_Truth_Data``, or one around it.
        channels: A key of :data:`~lss_lightning.data.source.CHANNELS`.

    Raises:
        UserError: no such folder, no labels in it, or no label that has the images needed.
    """
    top = _find_top(root)
    labels = _by_name(top, *LABELS)
    images = {kind: _by_name(top, *place) for kind, place in IMAGES.items()}
    needed = CHANNELS[channels]
    left_out: Counter[str] = Counter()
    slices = []
    for name in sorted(labels):
        lacking = [kind for kind in needed if name not in images[kind]]
        if lacking:
            left_out[f"label without {' and '.join(lacking)} image"] += 1
            continue
        patient, level = name
        present = {kind: files[name] for kind, files in images.items() if name in files}
        slices.append(Slice(patient, level, present, labels[name], FIELD_OF_VIEW))
    unlabelled = set.union(*(set(images[kind]) for kind in needed)) - set(labels)
    if unlabelled:
        left_out["image without label"] = len(unlabelled)
    if not slices:
        reasons = "; ".join(f"{count} × {reason}" for reason, count in left_out.items()) or "no label images"
        wanted = [f"{folder}/{prefix}_0001_D3.png" for folder, prefix in (LABELS, *(IMAGES[kind] for kind in needed))]
        raise UserError(
            f"data.root={root}: no slice can be used with data.channels={channels} ({reasons}); each needs files such "
            f"as {' and '.join(wanted)}: complete them, or choose other data.channels"
        )
    return Found(slices, left_out)


def _find_top(root: Path) -> Path:
    """The folder that holds ``05_Final_Ground_Truth_Data``: ``root``, its parent if it is that folder, or a child."""
    if not root.is_dir():
        what = "a file, not a folder" if root.exists() else "no such folder"
        raise UserError(f"data.root={root}: {what}; give the folder that holds {FINAL}")
    itself = root.resolve().name == FINAL
    for top in [root.resolve().parent] if itself else [root, *sorted(path for path in root.iterdir() if path.is_dir())]:
        if (top / LABELS[0]).is_dir():
            return top
    raise UserError(
        f"data.root={root}: holds no {LABELS[0]}; unpack Ground_Truth_Label.zip (Mendeley Data zbf6b4pttk) there, "
        "or give the folder where it lies"
    )


def _by_name(top: Path, folder: str, prefix: str) -> dict[tuple[str, str], Path]:
    """Files ``<prefix>_<patient>_<level>.png`` by patient and level; a file manager's own do not count.

    Raises:
        UserError: two files of one name, but for upper and lower case.
    """
    pattern = re.compile(rf"{prefix}_(\d+)_(D\d)\.png", re.IGNORECASE)
    found: dict[tuple[str, str], Path] = {}
    if (top / folder).is_dir():
        for path in sorted((top / folder).iterdir()):
            if match := pattern.fullmatch(path.name):
                name = match[1], match[2].upper()
                if name in found:
                    raise UserError(f"{path}: the same slice as {found[name].name}; keep one of the two")
                found[name] = path
    return found
