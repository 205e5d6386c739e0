"""Images and masks in PNG, TIFF, NPY, NIfTI, MHA and NRRD files; each plane of a stack is a separate image."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lss_lightning.data.composite import stretch_to_uint8
from lss_lightning.data.header import ImageHeader
from lss_lightning.data.mask_colours import convert_colours, refuse_colours
from lss_lightning.data.nifti import VOLUME_FORMATS, decode_volume, read_nifti_step, read_volume_header
from lss_lightning.data.npy import decode_npy, read_npy_header
from lss_lightning.data.png_tiff import decode_png_tiff, read_png_tiff_header
from lss_lightning.data.slices import ImageFile
from lss_lightning.errors import UserError

IMAGE_SUFFIXES = (*VOLUME_FORMATS, ".npy", ".png", ".tif", ".tiff")

_stack_lock = threading.Lock()


@dataclass(frozen=True)
class StackPlane:
    """One plane of a stack, used like a separate file.

    Attributes:
        path: The volume or TIFF file.
        index: Index of the plane.
    """

    path: Path
    index: int

    def __str__(self) -> str:
        return f"{self.path}[{self.index}]"

    @property
    def name(self) -> str:
        """The stack's file name without folders."""
        return self.path.name

    @property
    def stem(self) -> str:
        """The stack's file name without folders or suffix."""
        return strip_suffix(self.path.name)

    def stat(self) -> os.stat_result:
        """Return the size and times of the stack's file."""
        return self.path.stat()

    def read_bytes(self) -> bytes:
        """Read the stack's file."""
        return self.path.read_bytes()


def find_suffix(name: str) -> str:
    """Return the suffix of a supported format that a file name ends with, or an empty string."""
    return next((suffix for suffix in IMAGE_SUFFIXES if name.lower().endswith(suffix)), "")


def strip_suffix(name: str) -> str:
    """Return a file name without the suffix of a supported format."""
    return name[: len(name) - len(find_suffix(name))]


def read_header(path: Path) -> ImageHeader:
    """Read the header of an image file.

    Raises:
        UserError: If the file is broken, or is neither an image nor a stack of images.
    """
    suffix = find_suffix(path.name)
    if suffix == ".npy":
        return read_npy_header(path)
    return read_volume_header(path) if suffix in VOLUME_FORMATS else read_png_tiff_header(path)


def read_image(file: ImageFile, kind: str) -> NDArray[np.uint8]:
    """Decode an image and convert it to 8 bits.

    PNG files of ``t1``, ``t2`` and ``composite`` must hold 8-bit values, which may be stored in 16 bits. In all other
    cases, values of more than 8 bits are stretched by :func:`~lss_lightning.data.composite.stretch_to_uint8`, with one
    range for all planes of a stack.

    Args:
        file: A ``Path``, a :class:`StackPlane` or a member of an archive (PNG only).
        kind: ``image`` returns grey or RGB, as stored. ``rgb`` and ``composite`` return RGB; a grey image becomes three
            equal channels. Every other kind returns grey; an RGB image must have three equal channels.

    Returns:
        (H, W, 1) or (H, W, 3), uint8.

    Raises:
        UserError: If the file is missing, broken or of another format, has colours where grey is needed, or cannot be
            converted to 8 bits without loss where that is required.
    """
    if isinstance(file, StackPlane):
        pixels = _decode_stack(file, as_uint8=True)[file.index]
    elif find_suffix(file.name) == ".png" and kind in ("t1", "t2", "composite"):
        pixels = _narrow(file, _decode(file))
    else:
        pixels = _stretch(_decode(file))
    if kind in ("rgb", "composite"):
        return np.broadcast_to(pixels if pixels.ndim == 3 else pixels[..., None], (*pixels.shape[:2], 3))
    if kind == "image" and pixels.ndim == 3:
        return pixels
    return _to_grey(file, pixels)[..., None]


def read_mask(file: ImageFile, colours: Sequence[str] = ()) -> NDArray[np.uint8]:
    """Decode a map of class codes.

    A PNG or TIFF file with a palette of colours holds its codes as indices into the palette. Floating-point values, and
    values of a NIfTI file with a scale factor, are rounded if they differ from a whole number by no more than the
    precision with which they were stored.

    Args:
        file: A ``Path``, a :class:`StackPlane` or a member of an archive (PNG only).
        colours: The colour of each code from 0, as ``#rrggbb``, for a file that marks the classes with colours. If
            empty, the file holds codes.

    Returns:
        (H, W), uint8.

    Raises:
        UserError: If the file is missing, broken or of another format, or holds values that are not codes, or colours
            that are not in ``colours``.
    """
    if isinstance(file, StackPlane):
        values = _decode_stack(file, as_uint8=False, palette_indices=not colours)[file.index]
    else:
        values = _decode(file, palette_indices=not colours)
    if colours:
        return convert_colours(file, _narrow(file, values), colours)
    if values.ndim == 3 and values.dtype == np.uint8 and not (values == values[..., :1]).all():
        raise refuse_colours(file, values)
    if find_suffix(file.name) == ".png":
        return _to_grey(file, _narrow(file, values))
    if values.ndim != 2:
        raise UserError(f"{file}: a mask of shape {values.shape}, with colours; it must hold one code per pixel")
    with np.errstate(invalid="ignore"):  # NaN fails the comparison below
        codes = np.rint(values).astype(np.uint8)
        is_code = np.abs(values - codes.astype(np.float64)) <= _find_tolerance(file, values)
    if not is_code.all():
        found = "NaN" if np.isnan(values).any() else f"values {values.min():g} to {values.max():g}"
        raise UserError(f"{file}: {found} in a mask; it must hold class codes, whole numbers from 0 to 255")
    return codes


def _find_tolerance(file: ImageFile, values: NDArray[Any]) -> float:
    """Return the largest error with which a file of these values stores a whole number from 0 to 255."""
    if not np.issubdtype(values.dtype, np.floating):
        return 0.0
    tolerance = 512 * float(np.finfo(values.dtype).eps)
    if find_suffix(file.name).startswith(".nii"):
        step = read_nifti_step(file.path if isinstance(file, StackPlane) else Path(str(file)))
        # With a step of 1 or more, whole numbers would be lost.
        tolerance += step / 2 if step < 1 else 0.0
    return tolerance


def _decode(file: ImageFile, *, palette_indices: bool = False) -> NDArray[Any]:
    """Return a file's pixels as stored, (H, W) or (H, W, 3)."""
    suffix = find_suffix(file.name)
    if suffix == ".npy":
        return decode_npy(file)
    if suffix in VOLUME_FORMATS:
        _require(file)
        return decode_volume(Path(str(file)))[0]
    return decode_png_tiff(file, "PNG" if suffix == ".png" else "TIFF", palette_indices=palette_indices)


def _decode_stack(plane: StackPlane, *, as_uint8: bool, palette_indices: bool = False) -> NDArray[Any]:
    """Return all planes of a stack, (N, H, W) or (N, H, W, 3), and cache the result for its other planes."""
    status = _require(plane)
    with _stack_lock:  # other threads need planes of the same stack
        return _cached_stack(plane.path, as_uint8, palette_indices, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=2)
def _cached_stack(path: Path, as_uint8: bool, palette_indices: bool, size: int, modified: int) -> NDArray[Any]:
    """Decode a stack; ``size`` and ``modified`` ensure that a changed file is decoded again."""
    if find_suffix(path.name) in VOLUME_FORMATS:
        pixels = decode_volume(path)
    else:
        pages = range(read_png_tiff_header(path).planes)
        planes = [decode_png_tiff(path, "TIFF", page, palette_indices=palette_indices) for page in pages]
        if len({plane.shape for plane in planes}) > 1:
            raise UserError(f"{path}: pages of different sizes or channels; save each image in a separate file")
        pixels = np.stack(planes)
    return _stretch(pixels) if as_uint8 else pixels


def _require(file: ImageFile) -> os.stat_result:
    try:
        return file.stat()
    except FileNotFoundError as error:
        raise UserError(f"{file}: no such file") from error
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror or error})") from error


def _stretch(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    if pixels.dtype == np.uint8:
        return pixels
    return stretch_to_uint8(pixels.astype(np.float64), np.isfinite(pixels))


def _narrow(file: ImageFile, pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Convert to uint8 without loss: values below 256, or 8-bit values multiplied by 257."""
    if pixels.dtype == np.uint8:
        return pixels
    values = pixels.astype(np.int64)
    if values.min() >= 0:
        if values.max() <= 255:
            return values.astype(np.uint8)
        if values.max() <= 65535 and not (values % 257).any():
            return (values // 257).astype(np.uint8)
    raise UserError(
        f"{file}: values {values.min()}-{values.max()} where 8 bits (0-255) are expected; convert the file to 8 bits, "
        "which loses information"
    )


def _to_grey(file: ImageFile, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the (H, W) pixels of a grey image, or of an RGB image with three equal channels."""
    if pixels.ndim == 3:
        if not (pixels == pixels[..., :1]).all():
            raise UserError(
                f"{file}: a colour image where 8-bit grey is expected; convert it to grey, or replace the file"
            )
        pixels = pixels[..., 0]
    return np.ascontiguousarray(pixels)
