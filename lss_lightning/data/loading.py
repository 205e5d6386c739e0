"""From a slice's files to arrays: read, checked, hashed, and resampled to a working pixel."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lss_lightning.data.composite import PUBLISHED, composite
from lss_lightning.data.formats import read_image, read_mask
from lss_lightning.data.slices import Slice
from lss_lightning.data.source import CHANNELS
from lss_lightning.errors import UserError
from lss_lightning.labels import LabelSet

_AHEAD = 64
"""Slices in work or waiting to be taken."""


@dataclass(frozen=True)
class LoadedSlice:
    """A slice's pixels on the files' own grid.

    Attributes:
        slice: Where they come from.
        image: (C, H, W), uint8.
        label: (H, W), uint8 class indices.
        spacing: Pixel size in mm, or None where unknown.
        digest: Hash of the image's content, the same wherever the file lies and whatever its name; a composite's third
            channel, which follows from the others, does not count.
    """

    slice: Slice
    image: NDArray[np.uint8]
    label: NDArray[np.uint8]
    spacing: float | None
    digest: str

    @cached_property
    def label_digest(self) -> str:
        """Hash of the label's content; slices without any structure share it."""
        return content_digest(self.label)


def load_slice(piece: Slice, channels: str, labels: LabelSet, third: str = PUBLISHED) -> LoadedSlice:
    """Read a slice's images and label.

    Args:
        piece: The slice; it must offer the images that the channels need.
        channels: A key of :data:`~lss_lightning.data.source.CHANNELS`.
        labels: The classes whose codes the label file holds.
        third: A composite's third channel: a key of :data:`~lss_lightning.data.composite.THIRD`. The stored one is
            taken where it follows the formula that is asked for.

    Raises:
        UserError: a file that is broken or of another format, images and label of different size, or a label code that
            belongs to no class.
    """
    label = labels.to_indices(read_mask(piece.label), piece.label)
    stored = "composite" in piece.images
    kinds = ("t1", "t2") if channels == "composite" and not stored else CHANNELS[channels]
    planes = np.concatenate([_read_image(piece, kind, label.shape) for kind in kinds], axis=2)
    acquired = planes[..., :2] if channels == "composite" else planes
    if channels == "composite" and not (stored and third == PUBLISHED):
        planes = composite(planes[..., 0], planes[..., 1], third)
    image = np.ascontiguousarray(planes.transpose(2, 0, 1))
    spacing = None if piece.field_of_view is None else piece.field_of_view / image.shape[2]
    return LoadedSlice(piece, image, label, spacing, content_digest(acquired))


def _read_image(piece: Slice, kind: str, size: tuple[int, ...]) -> NDArray[np.uint8]:
    """One of a slice's images, (H, W, C) uint8.

    Raises:
        UserError: it is broken, of another format, or not of the label's size.
    """
    path = piece.images[kind]
    pixels = read_image(path, kind)
    if pixels.shape[:2] != size:
        raise UserError(
            f"{path}: {pixels.shape[1]} × {pixels.shape[0]} pixels, but its label {piece.label} has "
            f"{size[1]} × {size[0]}; both must be of one size: restore the originals"
        )
    return pixels


def load_slices(pieces: Sequence[Slice], channels: str, labels: LabelSet, third: str = PUBLISHED) -> list[LoadedSlice]:
    """Read many slices; see :func:`load_slice`."""
    return list(iterate_slices(pieces, channels, labels, third))


def iterate_slices(
    pieces: Sequence[Slice], channels: str, labels: LabelSet, third: str = PUBLISHED
) -> Iterator[LoadedSlice]:
    """Read many slices, several at a time, of which few are held at once; see :func:`load_slice`."""
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(pieces), _AHEAD):
            ahead = pieces[start : start + _AHEAD]
            yield from pool.map(lambda piece: load_slice(piece, channels, labels, third), ahead)


def content_digest(image: NDArray[np.uint8]) -> str:
    """Hash of an image's shape and pixels: 32 hexadecimal digits (BLAKE2b)."""
    digest = hashlib.blake2b(repr(image.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()


def working_size(size: tuple[int, int], spacing: float | None, working: float | None) -> tuple[int, int]:
    """Height and width in pixels of the working spacing; the same where a spacing is unknown or the two agree.

    Args:
        size: Height and width in pixels.
        spacing: Their size in mm, or None.
        working: The working pixel in mm, or None for each image's own.
    """
    if spacing is None or working is None:
        return size
    height, width = (max(1, round(length * spacing / working)) for length in size)
    return height, width


def resample_image(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """A (C, H, W) uint8 image at another size (height, width), linearly, with anti-aliasing where it shrinks."""
    if image.shape[1:] == size:
        return image
    from PIL import Image

    planes = [Image.fromarray(plane).resize(size[::-1], Image.Resampling.BILINEAR) for plane in image]
    return np.stack([np.array(plane) for plane in planes])


def resample_label(label: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """A (H, W) uint8 map of class indices at another size (height, width), by nearest neighbour."""
    if label.shape == size:
        return label
    from PIL import Image

    return np.array(Image.fromarray(label).resize(size[::-1], Image.Resampling.NEAREST))
