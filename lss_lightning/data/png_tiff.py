"""Lossless decoding of PNG and TIFF files with Pillow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lss_lightning.data.guard import guard_parser
from lss_lightning.data.header import ImageHeader
from lss_lightning.data.slices import ImageFile
from lss_lightning.errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image

_SCREEN_RESOLUTIONS = (72.0, 96.0)
"""Resolutions in dots per inch that programs write if they do not know the pixel size."""

_8_BIT_MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA"}
"""Pillow's modes of 8 bits or fewer."""

_GREY_MODES = {"1", "L", "LA", "I", "F"}
"""Pillow's modes of one channel, except those of 16 bits (``I;16`` and the like)."""

_UNSUPPORTED_MODES = ("CMYK", "YCbCr", "LAB", "HSV")
"""Pillow's modes that are neither grey nor RGB."""

_EQUIVALENT_MODES = {
    ("1", False): "L",
    ("1", True): "LA",
    ("L", True): "LA",
    ("P", False): "RGB",
    ("P", True): "RGBA",
    ("RGB", True): "RGBA",
}
"""Modes that hold the same pixels, by Pillow's mode and whether one colour is declared transparent."""


def read_png_tiff_header(path: Path) -> ImageHeader:
    """Read the size, mode and resolution of a PNG or TIFF file.

    Raises:
        UserError: If the file is broken or has another format.
    """
    with _open_image(path, path, "PNG", "TIFF") as image:
        is_grey = image.mode in _GREY_MODES or image.mode.startswith("I;")
        spacing = _tiff_spacing(image) if image.format == "TIFF" else None
        pages = getattr(image, "n_frames", 1) if image.format == "TIFF" else 1
        return ImageHeader(pages, image.width, 1 if is_grey else 3, image.mode in _8_BIT_MODES, spacing)


@contextmanager
def _open_image(file: ImageFile, source: Path | BytesIO, *formats: str) -> Iterator[Any]:
    """Open an image with Pillow, and convert any exception while it is in use to a UserError that names the file."""
    from PIL import Image, UnidentifiedImageError

    with guard_parser(lambda reason: UserError(f"{file}: broken or truncated image ({reason}); replace it")):
        try:
            image = Image.open(source, formats=formats)
        except UnidentifiedImageError as error:
            kind = " or ".join(formats)
            raise UserError(f"{file}: not a {kind} file, or only the beginning of one; replace it") from error
        with image:
            yield image


def _tiff_spacing(image: Any) -> tuple[float, float] | None:
    tags = image.tag_v2
    # TIFF 6.0: XResolution, YResolution and ResolutionUnit, where 2 is the inch and 3 the centimetre.
    unit = {2: 25.4, 3: 10.0}.get(tags.get(296, 2))
    across, down = (float(tags.get(key, 0)) for key in (282, 283))
    if unit is None or across <= 0 or down <= 0 or round(across * 25.4 / unit, 1) in _SCREEN_RESOLUTIONS:
        return None
    return unit / across, unit / down


def decode_png_tiff(
    file: ImageFile, container: str, page: int = 0, *, palette_indices: bool = False
) -> NDArray[np.generic]:
    """Decode an image as it is stored, and drop an opaque alpha channel.

    Args:
        file: The file.
        container: Pillow's name of the file's format, ``PNG`` or ``TIFF``.
        page: Index of the image in the file.
        palette_indices: Whether to return the indices into a palette of colours instead of the colours.

    Returns:
        (H, W) or (H, W, 3). Colours and palettes have 8 bits.

    Raises:
        UserError: If the file is missing, broken, of another format, transparent, or has 16 bits per colour.
    """
    try:
        content = file.read_bytes()
    except FileNotFoundError as error:
        raise UserError(f"{file}: no such file") from error
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror or error}); replace it") from error
    with _open_image(file, BytesIO(content), container) as image:
        # Pillow silently reduces everything except plain grey to 8 bits, so check the header (IHDR: bit depth, colour
        # type).
        if container == "PNG" and content[24] == 16 and content[25] != 0:
            raise UserError(
                f"{file}: 16 bits per channel where 8 are expected; convert it to 8 bits, or replace the file"
            )
        image.seek(page)
        if image.mode in _UNSUPPORTED_MODES:
            raise UserError(f"{file}: colours as {image.mode}; save it as grey or RGB")
        if palette_indices and image.mode == "P" and not _has_grey_palette(image):
            return np.array(image)
        mode = _EQUIVALENT_MODES.get((image.mode, "transparency" in image.info), image.mode)
        pixels = np.array(image.convert(mode))
    return _drop_opaque_alpha(file, pixels)


def _has_grey_palette(image: Image) -> bool:
    colours = np.array(image.getpalette("RGB")).reshape(-1, 3)
    return bool((colours == colours[:, :1]).all())


def _drop_opaque_alpha(file: ImageFile, pixels: NDArray[np.generic]) -> NDArray[np.generic]:
    if pixels.ndim == 2 or pixels.shape[2] == 3:
        return pixels
    if not (pixels[..., -1] == 255).all():
        raise UserError(f"{file}: an alpha channel that is not opaque; save the image without transparency")
    return pixels[..., 0] if pixels.shape[2] == 2 else pixels[..., :3]
