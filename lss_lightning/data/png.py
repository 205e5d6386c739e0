"""Reads PNG files as 8-bit arrays: exactly, or not at all."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from numpy.typing import NDArray

from lss_lightning.data.slices import ImageFile
from lss_lightning.errors import UserError

_MODES = {
    ("1", False): "L",
    ("1", True): "LA",
    ("L", True): "LA",
    ("P", False): "RGB",
    ("P", True): "RGBA",
    ("RGB", True): "RGBA",
}
"""Pillow's mode and whether one colour is declared transparent, to the mode that holds the same without loss."""


def read_grey(path: ImageFile) -> NDArray[np.uint8]:
    """Read an 8-bit grey image.

    Other formats are converted where nothing is lost: 16 bits that hold an 8-bit image, colours that are all grey, an
    alpha channel that is opaque throughout.

    Returns:
        (H, W), uint8.

    Raises:
        UserError: the file is missing, broken, no image, or cannot be converted without loss.
    """
    pixels = _read(path)
    if pixels.ndim == 3:
        if not (pixels == pixels[..., :1]).all():
            raise UserError(
                f"{path}: a colour image where 8-bit grey is expected; convert it to grey, or replace the file"
            )
        pixels = pixels[..., 0]
    return np.ascontiguousarray(pixels)


def read_rgb(path: ImageFile) -> NDArray[np.uint8]:
    """Read an 8-bit RGB image; other formats are converted where nothing is lost, as in :func:`read_grey`.

    Returns:
        (H, W, 3), uint8.

    Raises:
        UserError: the file is missing, broken, no image, or cannot be converted without loss.
    """
    pixels = _read(path)
    return np.ascontiguousarray(pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2))


def _read(path: ImageFile) -> NDArray[np.uint8]:
    """(H, W) or (H, W, 3) uint8, alpha dropped if opaque."""
    from PIL import Image, UnidentifiedImageError

    try:
        content = path.read_bytes()
        with Image.open(BytesIO(content), formats=["PNG"]) as image:
            # Pillow cuts all but plain grey to 8 bits without a word; the header tells (IHDR: bit depth, colour type).
            if content[24] == 16 and content[25] != 0:
                raise UserError(
                    f"{path}: 16 bits per channel where 8 are expected; convert it to 8 bits, or replace the file"
                )
            pixels = np.array(image.convert(_MODES.get((image.mode, "transparency" in image.info), image.mode)))
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    except UnidentifiedImageError as error:
        raise UserError(f"{path}: not a PNG file, or only the beginning of one; replace it") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"{path}: broken or truncated image ({error}); replace it") from error
    if pixels.ndim == 3 and pixels.shape[2] in (2, 4):
        if not (pixels[..., -1] == 255).all():
            raise UserError(f"{path}: an alpha channel that is not opaque; save the image without transparency")
        pixels = pixels[..., 0] if pixels.shape[2] == 2 else pixels[..., :3]
    return pixels if pixels.dtype == np.uint8 else _narrow(path, pixels)


def _narrow(path: ImageFile, pixels: NDArray[np.generic]) -> NDArray[np.uint8]:
    """16 bits to 8 where that loses nothing: values below 256, or 8 bits stretched by 257."""
    values = pixels.astype(np.int64)
    if values.min() >= 0:
        if values.max() <= 255:
            return values.astype(np.uint8)
        if values.max() <= 65535 and not (values % 257).any():
            return (values // 257).astype(np.uint8)
    raise UserError(
        f"{path}: values {values.min()}-{values.max()} where 8 bits (0-255) are expected; "
        "convert it to 8 bits yourself, since that loses information"
    )
