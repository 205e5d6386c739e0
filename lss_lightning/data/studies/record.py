"""What every kind of study yields: axial slices, and what a network wants of them."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lss_lightning.data.composite import PUBLISHED, composite
from lss_lightning.data.dicom.geometry import Plane
from lss_lightning.errors import UserError
from lss_lightning.stenosis import Flag, Side

IMAGE = "image"
"""Kind of an image that is neither known as T1 nor as T2."""

_KINDS = {"composite": ("T1", "T2"), "t1_t2": ("T1", "T2"), "t1": ("T1",), "t2": ("T2",)}


@dataclass(frozen=True)
class InputRequirements:
    """What the checkpoint needs of a slice, and what the user says about it.

    Attributes:
        channels: The checkpoint's ``data.channels``, never ``image``.
        pixel_size: Pixel in mm of files that do not state theirs; None where unknown.
    """

    channels: str
    pixel_size: float | None = None

    @property
    def kinds(self) -> tuple[str, ...]:
        """``T1``, ``T2`` or both, or :data:`IMAGE`."""
        return _KINDS.get(self.channels, (IMAGE,))

    def check(self, present: Container[str]) -> None:
        """Refuse a study that lacks what is needed.

        Raises:
            UserError: it does.
        """
        lacking = [kind for kind in self.kinds if kind not in present]
        if lacking:
            there = " and ".join(kind for kind in ("T1", "T2", IMAGE) if kind in present)
            raise UserError(
                f"no axial {' and no '.join(lacking)} images, only {there}; the checkpoint needs "
                f"{' and '.join(self.kinds)} (data.channels={self.channels}): complete the study, or give a checkpoint "
                "trained with other data.channels"
            )


@dataclass(frozen=True, kw_only=True)
class AxialSlice:
    """A slice to segment.

    Attributes:
        name: Anonymous, unique within the study.
        images: (H, W) uint8 by ``T1`` and ``T2``, registered to one another, or ``image``, which may be (H, W, 3).
        spacing: Height and width of a pixel, mm; None where unknown.
        image_left: The patient's side that the image's left shows; None where unknown.
        plane: Where it lies in the patient; None where unknown.
        thickness: mm; None where unknown.
        stack: Number of the group of parallel neighbours that it belongs to; None where that is unknown.
        level: The disc that the file's own name says it shows, e.g. ``L4/5``.
        flags: Doubts about the images.
        sources: The files, that of the label map's grid first.
    """

    name: str
    images: Mapping[str, NDArray[np.uint8]]
    spacing: tuple[float, float] | None
    image_left: Side | None = None
    plane: Plane | None = None
    thickness: float | None = None
    stack: int | None = None
    level: str | None = None
    flags: tuple[Flag, ...] = ()
    sources: tuple[Path, ...]


@dataclass(frozen=True, kw_only=True)
class Study:
    """A study that has been read.

    Attributes:
        slices: At least one, from head to feet where that is known, else in the natural order of the files' names.
        problems: What could not be used although it should, a clause each.
        remarks: What else a reader should know, a sentence each.
        orientation: Axes of the NIfTI file it comes from, e.g. ``RAS``; None for other files.
    """

    slices: tuple[AxialSlice, ...]
    problems: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    orientation: str | None = None


def network_image(images: Mapping[str, NDArray[np.uint8]], channels: str, third: str | None) -> NDArray[np.uint8]:
    """A slice's images as a network's input.

    Args:
        images: As :attr:`AxialSlice.images`, with all that the channels need.
        channels: As :attr:`InputRequirements.channels`.
        third: A composite's third channel: a key of :data:`~lss_lightning.data.composite.THIRD`.

    Returns:
        (C, H, W) uint8.
    """
    if channels == "composite":
        return composite(images["T1"], images["T2"], third or PUBLISHED).transpose(2, 0, 1)
    if channels in _KINDS:
        return np.stack([images[kind] for kind in _KINDS[channels]])
    plane: NDArray[Any] = images[IMAGE]
    if channels == "rgb":
        return np.broadcast_to(plane[None], (3, *plane.shape)) if plane.ndim == 2 else plane.transpose(2, 0, 1)
    return plane[None]
