"""What every data source yields: slices, each a patient's level with its images, label and pixel size."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


class ImageFile(Protocol):
    """A file on disk (``Path``) or in an archive (``ZipMember``); its text is what an error names."""

    @property
    def name(self) -> str:
        """The file's name without folders."""

    @property
    def stem(self) -> str:
        """The file's name without folders and suffix."""

    def stat(self) -> os.stat_result:
        """Size and times that differ after the file has changed."""

    def read_bytes(self) -> bytes:
        """The file's content."""


@dataclass(frozen=True)
class Slice:
    """One axial slice, as files.

    Attributes:
        patient: Patient id; slices of one patient share it.
        level: ``D3`` (L3/L4), ``D4`` (L4/L5) or ``D5`` (L5/S1) in the Al-Kafri data; else what tells a patient's
            slices apart, empty where there is but one.
        images: Files by kind: ``t1`` and ``t2`` (8-bit grey), ``composite`` (8-bit RGB: T1, T2, third channel); of any
            depth ``grey``, ``rgb`` or ``image`` (grey or RGB).
        label: File of class codes (0-255), of the images' size.
        field_of_view: Width of the image in mm, or None where unknown; the pixel spacing is this divided by the
            number of columns.
        groups: The group that it belongs to in each of its source's
            :attr:`~lss_lightning.data.source.DataSource.groupings`, where that is known.
    """

    patient: str
    level: str
    images: Mapping[str, ImageFile]
    label: ImageFile
    field_of_view: float | None
    groups: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """``<patient>_<level>``, unique within a data set."""
        return "_".join(filter(None, (self.patient, self.level)))

    @property
    def title(self) -> str:
        """``<patient> <level>``, as pictures name it."""
        return " ".join(filter(None, (self.patient, self.level)))


FIELD_OF_VIEW = 220.0
"""Width of every image in mm: 320 pixels of 0.6875 mm (the data set's page)."""

LEVELS = ("D3", "D4", "D5")
"""Slices of a complete patient: L3/L4, L4/L5 and L5/S1."""

FINAL = "05_Final_Ground_Truth_Data"
INTERMEDIATE = "04_Intermediary_Ground_Truth_Data"
REGISTERED = "Registered_From_DICOM"
"""Folder under the root, of the same layout: T1, T2 and composites made here from the raw studies."""

IMAGES = {
    "t1": (f"{INTERMEDIATE}/T1_Output", "T1"),
    "t2": (f"{INTERMEDIATE}/T2_Output", "T2"),
    "composite": (f"{FINAL}/Composite_Images", "C1"),
}
"""Folder and file prefix of each kind of image."""

LABELS = (f"{FINAL}/Label_Images", "L1")
