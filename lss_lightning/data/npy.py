"""Reading of NPY files."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lss_lightning.data.guard import guard_parser
from lss_lightning.data.header import ImageHeader
from lss_lightning.data.slices import ImageFile
from lss_lightning.errors import UserError


def read_npy_header(path: Path) -> ImageHeader:
    """Read the shape and type of the array in a file.

    Raises:
        UserError: If the file is broken, or its array is not an image.
    """
    array = _load(path, path, mmap_mode="r")
    return ImageHeader(1, array.shape[1], array.shape[2] if array.ndim == 3 else 1, array.dtype == np.uint8)


def decode_npy(file: ImageFile) -> NDArray[Any]:
    """Read the array in a file as stored.

    Returns:
        (H, W) or (H, W, 3), boolean, integer or floating-point.

    Raises:
        UserError: If the file is missing or broken, or its array is not an image.
    """
    try:
        content = file.read_bytes()
    except FileNotFoundError as error:
        raise UserError(f"{file}: no such file") from error
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror or error}); replace it") from error
    return _load(file, BytesIO(content))


def _load(file: ImageFile, source: Path | BytesIO, **options: Any) -> NDArray[Any]:
    with guard_parser(lambda reason: UserError(f"{file}: not an array as numpy.save writes it ({reason}); replace it")):
        array = np.load(source, allow_pickle=False, **options)
        if not isinstance(array, np.ndarray):
            raise UserError(f"{file}: an archive of arrays (NPZ); save each array in a separate NPY file")
    if not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)) or array.dtype.kind not in "buif":
        raise UserError(
            f"{file}: an array of shape {array.shape} and type {array.dtype}; an image has the shape (height, width) "
            "or (height, width, 3) and holds numbers"
        )
    return array
