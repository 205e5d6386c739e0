"""The common result of reading a study (axial slices), and the requirements of a network for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lss_lightning.data.composite import PUBLISHED_FORMULA, build_composite
from lss_lightning.data.dicom.geometry import Plane
from lss_lightning.errors import UserError
from lss_lightning.stenosis import Flag, Side

UNSPECIFIED_KIND = "image"
"""Kind of an image that is not known to be T1 or T2."""

_KINDS = {"composite": ("T1", "T2"), "t1_t2": ("T1", "T2"), "t1": ("T1",), "t2": ("T2",)}


@dataclass(frozen=True)
class InputRequirements:
    """The images of each slice that a checkpoint needs, and the user's settings for the files.

    Attributes:
        channels: The checkpoint's ``data.channels``, never ``image``.
        pixel_size: Pixel spacing in mm of files that do not state it, or None if unknown.
        series: The user's choice of T1 and T2, keyed by ``T1`` and ``T2``: the number, UID or description of a DICOM
            series, or a text in the names of other files. A kind that is not given is chosen by rule.
    """

    channels: str
    pixel_size: float | None = None
    series: Mapping[str, str] = field(default_factory=dict)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of image needed: ``T1``, ``T2`` or both, or :data:`UNSPECIFIED_KIND`."""
        return _KINDS.get(self.channels, (UNSPECIFIED_KIND,))

    def check(self, present: Container[str]) -> None:
        """Check that all kinds of image needed are present.

        Raises:
            UserError: If one of them is missing.
        """
        missing = [kind for kind in self.kinds if kind not in present]
        if missing:
            available = " and ".join(kind for kind in ("T1", "T2", UNSPECIFIED_KIND) if kind in present)
            raise UserError(
                f"no axial {' and no '.join(missing)} images, only {available}; the checkpoint needs "
                f"{' and '.join(self.kinds)} (data.channels={self.channels}): complete the study, or give a checkpoint "
                "trained with other data.channels"
            )


@dataclass(frozen=True)
class FileProblem:
    """An input file that is left out.

    Attributes:
        file: The path. It may contain a patient's name, so it is shown on the terminal but not stored.
        reason: The reason, without any part of the path.
        is_error: Whether the file should have been used.
    """

    file: str
    reason: str
    is_error: bool = True


def summarise_problems(problems: Iterable[FileProblem], limit: int = 3) -> str:
    """Return a text that lists the most frequent reasons, each with its number of files."""
    reasons = Counter(problem.reason for problem in problems)
    text = "; ".join(f"{count} × {reason}" for reason, count in reasons.most_common(limit))
    return f"{text}; and {len(reasons) - limit} other reasons" if len(reasons) > limit else text


@dataclass(frozen=True, kw_only=True)
class AxialSlice:
    """A slice to segment.

    Attributes:
        name: Anonymous name, unique within the study.
        images: uint8 arrays of shape (H, W) by ``T1`` and ``T2``, registered to one another, or by ``image``, which
            may have the shape (H, W, 3).
        spacing: Pixel height and width in mm, or None if unknown.
        image_left: The side of the patient that is on the left of the image, or None if unknown.
        plane: Position in the patient, or None if unknown.
        thickness: Slice thickness in mm, or None if unknown.
        stack: Index of the stack of parallel neighbours that contains the slice, or None if unknown.
        level: The disc level that the file name states, e.g. ``L4/5``, or None.
        flags: Quality flags of the images.
        sources: The source files. The first one defines the grid of the label map.
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
        slices: At least one slice, ordered from head to feet if the positions are known, else in the natural order of
            the file names.
        problems: Files and slices that should have been used but could not be, one clause each.
        remarks: Other information for the user, one sentence each.
        orientation: Axes of the source NIfTI, MHA or NRRD file, e.g. ``RAS``, or None for other files.
        files: The files that each problem concerns, for the terminal.
    """

    slices: tuple[AxialSlice, ...]
    problems: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    orientation: str | None = None
    files: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def build_network_image(
    images: Mapping[str, NDArray[np.uint8]], channels: str, third_channel: str | None
) -> NDArray[np.uint8]:
    """Build a network's input from the images of a slice.

    Args:
        images: Images as in :attr:`AxialSlice.images`, including all that the channels need.
        channels: Channels as in :attr:`InputRequirements.channels`.
        third_channel: Third channel of a composite, a key of :data:`~lss_lightning.data.composite.THIRD_CHANNELS`, or
            None for the published formula.

    Returns:
        uint8 array of shape (C, H, W).
    """
    if channels == "composite":
        return build_composite(images["T1"], images["T2"], third_channel or PUBLISHED_FORMULA).transpose(2, 0, 1)
    if channels in _KINDS:
        return np.stack([images[kind] for kind in _KINDS[channels]])
    pixels: NDArray[Any] = images[UNSPECIFIED_KIND]
    if channels == "rgb":
        return np.broadcast_to(pixels[None], (3, *pixels.shape)) if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    return pixels[None]
