"""Masks that mark the classes with colours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lss_lightning.data.slices import ImageFile
from lss_lightning.errors import UserError

_MAX_COLOURS = 8  # colours in an error message


def convert_colours(file: ImageFile, pixels: NDArray[np.uint8], colours: Sequence[str]) -> NDArray[np.uint8]:
    """Convert a mask of colours to a mask of class codes.

    Args:
        file: The file, for error messages.
        pixels: (H, W, 3) or grey (H, W), uint8.
        colours: The colour of each code from 0, as ``#rrggbb``.

    Returns:
        (H, W), uint8.

    Raises:
        UserError: If a pixel has a colour that is not in ``colours``.
    """
    values = _pack(pixels)
    codes = np.full(values.shape, len(colours), np.uint8)
    for code, colour in enumerate(colours):
        codes[values == int(colour[1:], 16)] = code
    unknown = values[codes == len(colours)]
    if unknown.size:
        raise UserError(
            f"{file}: colours {_list_colours(unknown)} belong to no class; allowed: {', '.join(colours)}. Add them to "
            "data.classes, or save the mask without smoothing and lossy compression"
        )
    return codes


def refuse_colours(file: ImageFile, pixels: NDArray[np.uint8]) -> UserError:
    """Return the error for a mask that holds colours where codes are expected."""
    return UserError(
        f"{file}: a mask of colours ({_list_colours(_pack(pixels).ravel())}) where one code per pixel is expected; "
        "with data=folder give the colour of each class, e.g. data.classes={background: '#000000', disc: '#ff0000'}, "
        "or convert the mask to codes"
    )


def _pack(pixels: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Return each pixel's colour as a number, 0xrrggbb."""
    channels = np.broadcast_to(pixels if pixels.ndim == 3 else pixels[..., None], (*pixels.shape[:2], 3))
    red, green, blue = np.moveaxis(channels.astype(np.uint32), -1, 0)
    packed: NDArray[np.uint32] = (red << 16) | (green << 8) | blue
    return packed


def _list_colours(values: NDArray[np.uint32]) -> str:
    """Return a text that lists the most frequent colours, each with its number of pixels."""
    colours, counts = np.unique(values, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    listed = ", ".join(f"#{colours[index]:06x} ({counts[index]} px)" for index in order[:_MAX_COLOURS])
    return listed + (f" and {len(order) - _MAX_COLOURS} more" if len(order) > _MAX_COLOURS else "")
