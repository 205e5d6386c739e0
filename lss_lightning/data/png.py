"""Reads PNG files, and what Pillow reads beside them, as arrays: exactly, or not at all."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lss_lightning.data.slices import ImageFile
from lss_lightning.errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image

_FOREIGN = ("CMYK", "YCbCr", "LAB", "HSV")
"""Pillow's modes that are neither grey nor RGB."""

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
    pixels = narrow(path, decode(path))
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
    pixels = narrow(path, decode(path))
    return np.ascontiguousarray(pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2))


def read_codes(path: ImageFile) -> NDArray[np.uint8]:
    """Read a map of class codes: grey values as in :func:`read_grey`, or the places in a palette of colours.

    Returns:
        (H, W), uint8.

    Raises:
        UserError: as :func:`read_grey`.
    """
    places = decode(path, places=True)
    return narrow(path, places) if places.ndim == 2 else read_grey(path)


def decode(path: ImageFile, kind: str = "PNG", page: int = 0, *, places: bool = False) -> NDArray[np.generic]:
    """Read an image as it is stored, an opaque alpha channel dropped.

    Args:
        path: The file.
        kind: Pillow's name of its format, ``PNG`` or ``TIFF``.
        page: Which of the images in the file.
        places: Give the places in a palette that has colours, instead of the colours.

    Returns:
        (H, W) or (H, W, 3); of 8 bits where one pixel is grey, black or white, or coloured.

    Raises:
        UserError: the file is missing, broken, of another format, transparent, or of 16 bits per colour.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        content = path.read_bytes()
        with Image.open(BytesIO(content), formats=[kind]) as image:
            # Pillow cuts all but plain grey to 8 bits without a word; the header tells (IHDR: bit depth, colour type).
            if kind == "PNG" and content[24] == 16 and content[25] != 0:
                raise UserError(
                    f"{path}: 16 bits per channel where 8 are expected; convert it to 8 bits, or replace the file"
                )
            image.seek(page)
            if image.mode in _FOREIGN:
                raise UserError(f"{path}: colours as {image.mode}; save it as grey or RGB")
            if places and image.mode == "P" and not _grey_palette(image):
                return np.array(image)
            pixels = np.array(image.convert(_MODES.get((image.mode, "transparency" in image.info), image.mode)))
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    except UnidentifiedImageError as error:
        raise UserError(f"{path}: not a {kind} file, or only the beginning of one; replace it") from error
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise UserError(f"{path}: broken or truncated image ({error}); replace it") from error
    if pixels.ndim == 3 and pixels.shape[2] in (2, 4):
        if not (pixels[..., -1] == 255).all():
            raise UserError(f"{path}: an alpha channel that is not opaque; save the image without transparency")
        pixels = pixels[..., 0] if pixels.shape[2] == 2 else pixels[..., :3]
    return pixels


def _grey_palette(image: Image) -> bool:
    colours = np.array(image.getpalette("RGB")).reshape(-1, 3)
    return bool((colours == colours[:, :1]).all())


def narrow(path: ImageFile, pixels: NDArray[np.generic]) -> NDArray[np.uint8]:
    """16 bits to 8 where that loses nothing: values below 256, or 8 bits stretched by 257.

    Raises:
        UserError: it would lose something.
    """
    if pixels.dtype == np.uint8:
        return pixels.astype(np.uint8, copy=False)
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
