"""The properties of an image file that are known before its pixels are read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ImageHeader:
    """The properties of an image file that are known before its pixels are read.

    Attributes:
        planes: Number of images in the file.
        width: Number of columns.
        channels: 1 (grey) or 3 (RGB).
        is_8_bit: Whether values are stored in 8 bits or fewer.
        spacing: Width and height of a pixel in mm, or None if the file does not state them.
        corners: Patient coordinates in mm of the first voxel of a volume, after its images are turned upright, and of
            the last voxel along each axis; empty for files that are not volumes.
    """

    planes: int
    width: int
    channels: int
    is_8_bit: bool
    spacing: tuple[float, float] | None = None
    corners: tuple[float, ...] = ()
