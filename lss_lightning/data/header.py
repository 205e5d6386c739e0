"""What an image file says of itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Header:
    """What a file says of itself before its pixels are read.

    Attributes:
        planes: Images in it.
        width: Columns, pixels.
        channels: 1 (grey) or 3 (RGB).
        bytes: Whether grey values are stored in 8 bits.
        spacing: Pixel's width and height in mm, or None where the file does not state them.
        corners: Where a NIfTI file's first voxel lies in the patient, and the last along each axis: coordinates in mm;
            empty for other files.
    """

    planes: int
    width: int
    channels: int
    bytes: bool
    spacing: tuple[float, float] | None = None
    corners: tuple[float, ...] = ()
