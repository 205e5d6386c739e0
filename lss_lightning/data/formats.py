"""Images and masks in the formats that users have: PNG, TIFF, NPY and NIfTI; of a stack, one plane at a time."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lss_lightning.data.composite import to_bytes
from lss_lightning.data.header import Header
from lss_lightning.data.nifti import read_nifti, read_nifti_header
from lss_lightning.data.png import decode, narrow, read_codes
from lss_lightning.data.slices import ImageFile
from lss_lightning.errors import UserError

SUFFIXES = (".nii.gz", ".nii", ".npy", ".png", ".tif", ".tiff")

_SCREEN = (72.0, 96.0)
"""Dots per inch that programs write where they know no pixel size."""

_BYTES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA"}
"""Pillow's modes of 8 bits or fewer."""

_GREY = {"1", "L", "LA", "I", "F"}
"""Pillow's modes of one channel, but for those of 16 bits, ``I;16`` and the like."""

_reading = threading.Lock()


@dataclass(frozen=True)
class StackPlane:
    """One plane of a stack, as a file of its own.

    Attributes:
        path: The NIfTI or TIFF file.
        index: From 0.
    """

    path: Path
    index: int

    def __str__(self) -> str:
        return f"{self.path}[{self.index}]"

    @property
    def name(self) -> str:
        """The stack's name without folders."""
        return self.path.name

    @property
    def stem(self) -> str:
        """The stack's name without folders and suffix."""
        return stem(self.path.name)

    def stat(self) -> os.stat_result:
        """Size and times of the stack."""
        return self.path.stat()

    def read_bytes(self) -> bytes:
        """The whole stack."""
        return self.path.read_bytes()


def suffix(name: str) -> str:
    """The suffix of a supported format that a file's name ends in, or an empty text."""
    return next((ending for ending in SUFFIXES if name.lower().endswith(ending)), "")


def stem(name: str) -> str:
    """A file's name without the suffix of a supported format."""
    return name[: len(name) - len(suffix(name))]


def read_header(path: Path) -> Header:
    """Look what a file holds.

    Raises:
        UserError: it is broken, or has another number of dimensions than an image or a stack.
    """
    kind = suffix(path.name)
    if kind == ".npy":
        return _npy_header(path)
    return read_nifti_header(path) if kind.startswith(".nii") else _pillow_header(path)


def read_image(file: ImageFile, kind: str) -> NDArray[np.uint8]:
    """Read an image as 8 bits.

    Args:
        file: A ``Path``, :class:`StackPlane` or member of an archive (PNG only).
        kind: ``image`` (grey or RGB, as stored), ``rgb`` or ``composite`` (RGB; grey gives three equal channels), else
            grey (RGB whose channels are equal is grey). PNG files of ``t1``, ``t2`` and ``composite`` hold 8 bits;
            other grey values of more than 8 bits are stretched by
            :func:`~lss_lightning.data.composite.to_bytes`, over all of a stack.

    Returns:
        (H, W, 1) or (H, W, 3), uint8.

    Raises:
        UserError: the file is missing, broken or of another format, or has colours where grey is needed.
    """
    pixels = _pixels(file)
    if suffix(file.name) == ".png" and kind in ("t1", "t2", "composite"):
        pixels = narrow(file, pixels)
    pixels = _bytes(pixels)
    plane = pixels[file.index] if isinstance(file, StackPlane) else pixels
    if plane.ndim == 2:
        plane = plane[..., None]
    if kind in ("rgb", "composite"):
        return np.broadcast_to(plane, (*plane.shape[:2], 3))
    if kind != "image" and plane.shape[2] == 3:
        if not (plane == plane[..., :1]).all():
            raise UserError(
                f"{file}: a colour image where 8-bit grey is expected; convert it to grey, or replace the file"
            )
        return plane[..., :1]
    return plane


def read_mask(file: ImageFile) -> NDArray[np.uint8]:
    """Read a map of class codes.

    Returns:
        (H, W), uint8.

    Raises:
        UserError: the file is missing, broken or of another format, has colours, or values that are no codes.
    """
    if suffix(file.name) == ".png":
        return read_codes(file)
    pixels = _pixels(file, places=True)
    plane = pixels[file.index] if isinstance(file, StackPlane) else pixels
    if plane.ndim != 2:
        raise UserError(f"{file}: a mask of shape {plane.shape}, with colours; it must hold one code per pixel")
    with np.errstate(invalid="ignore"):  # NaN is no code, as the comparison shows
        codes = plane.astype(np.uint8)
    if not (codes == plane).all():
        raise UserError(
            f"{file}: values {plane.min():g} to {plane.max():g} in a mask; it must hold class codes, whole numbers "
            "from 0 to 255"
        )
    return codes


def _pixels(file: ImageFile, *, places: bool = False) -> NDArray[Any]:
    """All pixels of a file, (H, W) or (H, W, 3), with the planes of a stack before them.

    They are as stored, but in bytes where a stack is an image: stretched once for all its planes.
    """
    kind = suffix(file.name)
    if kind == ".png":
        return decode(file, places=places)
    try:
        if isinstance(file, StackPlane):
            now = file.stat()
            with _reading:  # the other threads want planes of the same stack
                return _stack(file.path, places, now.st_size, now.st_mtime_ns)
        if kind.startswith(".nii"):
            file.stat()
            return read_nifti(Path(str(file)))[0]
        if kind == ".npy":
            return _npy(file, np.load(BytesIO(file.read_bytes()), allow_pickle=False))
    except FileNotFoundError as error:
        raise UserError(f"{file}: no such file") from error
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{file}: not an array as numpy.save writes it ({error}); replace it") from error
    return decode(file, "TIFF", places=places)


@lru_cache(maxsize=2)
def _stack(path: Path, places: bool, size: int, changed: int) -> NDArray[Any]:
    """(N, H, W) or (N, H, W, 3), an image in bytes; ``size`` and ``changed`` tell a file from what it was before."""
    if suffix(path.name).startswith(".nii"):
        pixels = read_nifti(path)
    else:
        pages = range(_pillow_header(path).planes)
        pixels = np.stack([decode(path, "TIFF", page, places=places) for page in pages])
    return pixels if places else _bytes(pixels)


def _bytes(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    return pixels if pixels.dtype == np.uint8 else to_bytes(pixels.astype(np.float64), np.isfinite(pixels))


def _npy_header(path: Path) -> Header:
    try:
        array = _npy(path, np.load(path, mmap_mode="r", allow_pickle=False))
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{path}: not an array as numpy.save writes it ({error}); replace it") from error
    return Header(1, array.shape[1], array.shape[2] if array.ndim == 3 else 1, array.dtype == np.uint8)


def _npy(path: ImageFile, array: NDArray[Any]) -> NDArray[Any]:
    if not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)) or array.dtype.kind not in "buif":
        raise UserError(
            f"{path}: an array of shape {array.shape} and type {array.dtype}; an image has the shape (height, width) "
            "or (height, width, 3) and holds numbers"
        )
    return array


def _pillow_header(path: Path) -> Header:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path, formats=["PNG", "TIFF"]) as image:
            grey = image.mode in _GREY or image.mode.startswith("I;")
            spacing = _tiff_spacing(image) if image.format == "TIFF" else None
            pages = getattr(image, "n_frames", 1) if image.format == "TIFF" else 1
            return Header(pages, image.width, 1 if grey else 3, image.mode in _BYTES, spacing)
    except UnidentifiedImageError as error:
        raise UserError(f"{path}: neither a PNG nor a TIFF file, or only the beginning of one; replace it") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"{path}: broken or truncated image ({error}); replace it") from error


def _tiff_spacing(image: Any) -> tuple[float, float] | None:
    tags = image.tag_v2
    # TIFF 6.0: XResolution, YResolution and ResolutionUnit, of which 2 is the inch and 3 the centimetre.
    unit = {2: 25.4, 3: 10.0}.get(tags.get(296, 2))
    across, down = (float(tags.get(key, 0)) for key in (282, 283))
    if unit is None or across <= 0 or down <= 0 or round(across * 25.4 / unit, 1) in _SCREEN:
        return None
    return unit / across, unit / down
