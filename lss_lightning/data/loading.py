"""Loading of slices: files are decoded, checked and hashed, and resampled to the working spacing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lss_lightning.data.composite import PUBLISHED_FORMULA, build_composite
from lss_lightning.data.formats import read_image, read_mask
from lss_lightning.data.slices import ImageSize, Slice
from lss_lightning.data.source import CHANNELS
from lss_lightning.errors import UserError
from lss_lightning.labels import LabelSet

_AHEAD = 64
"""Number of slices that are decoded ahead of the consumer."""


@dataclass(frozen=True)
class LoadedSlice:
    """A slice's pixels on the grid of its files.

    Attributes:
        slice: The slice's files.
        image: (C, H, W), uint8.
        label: (H, W), uint8 class indices.
        spacing: Pixel spacing in mm, or None if unknown.
        digest: Hash of the image's content, independent of the file's path and name. It does not cover a composite's
            third channel, which follows from the other two.
    """

    slice: Slice
    image: NDArray[np.uint8]
    label: NDArray[np.uint8]
    spacing: float | None
    digest: str

    @cached_property
    def label_digest(self) -> str:
        """Hash of the label's content, which is the same for all labels of one size without any structure."""
        return compute_digest(self.label)


def load_slice(slice_: Slice, channels: str, labels: LabelSet, third_channel: str = PUBLISHED_FORMULA) -> LoadedSlice:
    """Read a slice's images and label.

    Args:
        slice_: A slice with the images that the channels need.
        channels: A key of :data:`~lss_lightning.data.source.CHANNELS`.
        labels: The classes whose codes the label file holds.
        third_channel: A composite's third channel: a key of :data:`~lss_lightning.data.composite.THIRD_CHANNELS`. The
            stored channel is used if this is the formula of the published composites.

    Raises:
        UserError: If a file is broken or of another format, if images and label differ in size, or if a label code
            belongs to no class.
    """
    label = labels.to_indices(read_mask(slice_.label, labels.mask_colours), slice_.label)
    is_stored = "composite" in slice_.images
    kinds = ("t1", "t2") if channels == "composite" and not is_stored else CHANNELS[channels]
    planes = np.concatenate([_read_image(slice_, kind, label.shape) for kind in kinds], axis=2)
    acquired = planes[..., :2] if channels == "composite" else planes
    if channels == "composite" and not (is_stored and third_channel == PUBLISHED_FORMULA):
        planes = build_composite(planes[..., 0], planes[..., 1], third_channel)
    image = np.ascontiguousarray(planes.transpose(2, 0, 1))
    spacing = None if slice_.field_of_view is None else slice_.field_of_view / image.shape[2]
    return LoadedSlice(slice_, image, label, spacing, compute_digest(acquired))


def _read_image(slice_: Slice, kind: str, label_size: tuple[int, ...]) -> NDArray[np.uint8]:
    path = slice_.images[kind]
    pixels = read_image(path, kind)
    if pixels.shape[:2] != label_size:
        raise UserError(
            f"{path}: {pixels.shape[1]} × {pixels.shape[0]} pixels, but its label {slice_.label} has "
            f"{label_size[1]} × {label_size[0]}; both must have the same size: restore the originals"
        )
    return pixels


def load_slices(
    slices: Sequence[Slice], channels: str, labels: LabelSet, third_channel: str = PUBLISHED_FORMULA
) -> list[LoadedSlice]:
    """Read many slices; see :func:`load_slice`."""
    return list(iterate_slices(slices, channels, labels, third_channel))


def iterate_slices(
    slices: Sequence[Slice], channels: str, labels: LabelSet, third_channel: str = PUBLISHED_FORMULA
) -> Iterator[LoadedSlice]:
    """Read many slices in parallel threads, with only a few in memory at once; see :func:`load_slice`."""
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(slices), _AHEAD):
            ahead = slices[start : start + _AHEAD]
            yield from pool.map(lambda slice_: load_slice(slice_, channels, labels, third_channel), ahead)


def compute_digest(image: NDArray[np.uint8]) -> str:
    """Compute a hash of an image's shape and pixels: 32 hexadecimal digits (BLAKE2b)."""
    digest = hashlib.blake2b(repr(image.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()


def compute_working_size(size: ImageSize, spacing: float | None, working_spacing: float | None) -> ImageSize:
    """Compute the size of an image at the working spacing, which is unchanged if either spacing is None.

    Args:
        size: Height and width in pixels.
        spacing: The image's pixel spacing in mm, or None if unknown.
        working_spacing: The working spacing in mm, or None for native pixels.
    """
    if spacing is None or working_spacing is None:
        return size
    height, width = (max(1, round(length * spacing / working_spacing)) for length in size)
    return height, width


def resample_image(image: NDArray[np.uint8], size: ImageSize) -> NDArray[np.uint8]:
    """Resample a (C, H, W) uint8 image to a height and width, linearly, and with anti-aliasing when it shrinks."""
    if image.shape[1:] == size:
        return image
    from PIL import Image

    planes = [Image.fromarray(plane).resize(size[::-1], Image.Resampling.BILINEAR) for plane in image]
    return np.stack([np.array(plane) for plane in planes])


def resample_label(label: NDArray[np.uint8], size: ImageSize) -> NDArray[np.uint8]:
    """Resample an (H, W) uint8 map of class indices to a height and width by nearest neighbour."""
    if label.shape == size:
        return label
    from PIL import Image

    return np.array(Image.fromarray(label).resize(size[::-1], Image.Resampling.NEAREST))
