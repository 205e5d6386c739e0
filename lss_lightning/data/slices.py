"""Slices as listed by data sources: the files that belong to one image of a patient."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

ImageSize: TypeAlias = tuple[int, int]
"""Height and width in pixels."""


class ImageFile(Protocol):
    """A file on disk (``Path``) or in an archive (``ZipMember``); error messages name it by ``str(file)``."""

    @property
    def name(self) -> str:
        """The file's name without folders."""

    @property
    def stem(self) -> str:
        """The file's name without folders or suffix."""

    def stat(self) -> os.stat_result:
        """Return the size and times of the file, which change when the file changes."""

    def read_bytes(self) -> bytes:
        """Return the file's content."""


@dataclass(frozen=True)
class Slice:
    """The files of one axial slice.

    Attributes:
        patient: Patient id, shared by all slices of a patient.
        level: ``D3`` (L3/L4), ``D4`` (L4/L5) or ``D5`` (L5/S1) in the Al-Kafri data. In other data, any text that
            distinguishes the slices of a patient; empty if the patient has only one.
        images: Files by kind: ``t1`` and ``t2`` (8-bit grey), ``composite`` (8-bit RGB: T1, T2, third channel), or
            ``grey``, ``rgb`` and ``image`` (grey or RGB) of any bit depth.
        label: File of class codes (0-255) with the same size as the images.
        field_of_view: Width of the image in mm, or None if unknown. The pixel spacing is this width divided by the
            number of columns.
        groups: The slice's group in each of its source's :attr:`~lss_lightning.data.source.DataSource.groupings`;
            groupings in which the group is unknown are absent.
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
        """``<patient> <level>``, for figures."""
        return " ".join(filter(None, (self.patient, self.level)))
