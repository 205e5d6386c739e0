"""Connected parts of a mask: which belong to the structure, and which are strays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Mask: TypeAlias = NDArray[np.bool_]
Choice: TypeAlias = NDArray[np.bool_]
"""For each part, from part 1, whether it is kept."""


@dataclass(frozen=True)
class Parts:
    """The connected parts of a mask, pixels that touch at a corner being connected.

    Attributes:
        numbers: (H, W), 0 outside the mask, else the part's number from 1.
        sizes: Pixels of each part, from part 1.
    """

    numbers: NDArray[np.int32]
    sizes: NDArray[np.int64]

    def largest(self) -> Choice:
        """The largest part, the first of equals."""
        return np.arange(len(self.sizes)) == (np.argmax(self.sizes) if len(self.sizes) else 0)

    def over(self, pixels: float) -> Choice:
        """All parts of more than so many pixels."""
        return self.sizes > pixels

    def touching(self, mask: Mask) -> Choice:
        """All parts that share a pixel with a mask."""
        return np.bincount(self.numbers[mask], minlength=len(self.sizes) + 1)[1:] > 0

    def mask(self, kept: Choice) -> Mask:
        """The pixels of the chosen parts, (H, W)."""
        return np.concatenate(([False], kept))[self.numbers]


def find_parts(mask: Mask) -> Parts:
    """Number the connected parts of a mask, (H, W)."""
    from scipy import ndimage

    numbers, count = ndimage.label(mask, structure=np.ones((3, 3)))
    return Parts(numbers, np.bincount(numbers.ravel(), minlength=count + 1)[1:])


def fill_holes(mask: Mask) -> Mask:
    """Add every pixel that the mask encloses, (H, W)."""
    from scipy import ndimage

    # What is connected to a rim around the mask lies outside; twice as fast as binary_fill_holes.
    outside, _ = ndimage.label(~np.pad(mask, 1))
    return (outside != outside[0, 0])[1:-1, 1:-1]


def window_of(mask: Mask) -> tuple[slice, slice]:
    """Rows and columns from a mask's first to its last, (H, W); the mask is not empty."""
    rows, columns = (np.flatnonzero(mask.any(axis=other)) for other in (1, 0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
