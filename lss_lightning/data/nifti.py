"""NIfTI files, whose planes lie upright whichever way they are stored."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lss_lightning.data.header import Header
from lss_lightning.errors import UserError

_UPRIGHT = (1, 1, -1)
"""Which way columns and rows run on a screen, along the axes of a NIfTI file as SimpleITK gives them: to the patient's
left, back and feet, as in DICOM's axial slices."""


def read_nifti_header(path: Path) -> Header:
    """Look what a file holds.

    Raises:
        UserError: it is broken, or has another number of dimensions than an image or a stack.
    """
    import SimpleITK

    reader = SimpleITK.ImageFileReader()
    reader.SetImageIO("NiftiImageIO")
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise _broken_nifti(path, error) from error
    size, channels = reader.GetSize(), reader.GetNumberOfComponents()
    planes = _planes(path, size, channels)
    across, down = reader.GetSpacing()[:2]
    narrow = reader.GetPixelID() in (SimpleITK.sitkUInt8, SimpleITK.sitkVectorUInt8)
    return Header(planes, size[0], channels, narrow, (across, down), _corners(reader))


def _corners(volume: Any) -> tuple[float, ...]:
    origin, axes = np.array(volume.GetOrigin()), np.array(volume.GetDirection()).reshape(volume.GetDimension(), -1)
    reach = (np.array(volume.GetSize()) - 1) * volume.GetSpacing()
    return tuple(np.concatenate([origin, *(origin + reach * axes).T]).tolist())


def read_nifti(path: Path) -> NDArray[Any]:
    """Read all voxels: (N, H, W) or (N, H, W, 3) as stored, but upright.

    Raises:
        UserError: as :func:`read_nifti_header`.
    """
    import SimpleITK

    try:
        image = SimpleITK.ReadImage(str(path), imageIO="NiftiImageIO")
    except RuntimeError as error:
        raise _broken_nifti(path, error) from error
    size, channels = image.GetSize(), image.GetNumberOfComponentsPerPixel()
    planes = _planes(path, size, channels)
    pixels = SimpleITK.GetArrayFromImage(image).reshape(planes, size[1], size[0], *((3,) if channels == 3 else ()))
    return np.flip(pixels, _backwards(image))


def _backwards(image: Any) -> tuple[int, ...]:
    """Axes of (planes, rows, columns) that run the other way than on a screen; programs store them as they like."""
    axes = np.array(image.GetDirection()).reshape(image.GetDimension(), -1)[:, :2].T
    main = np.abs(axes).argmax(axis=1)
    return tuple(2 - index for index, axis in enumerate(axes) if axis[main[index]] * _UPRIGHT[main[index]] < 0)


def _planes(path: Path, size: Sequence[int], channels: int) -> int:
    """The number of planes in a volume of so many voxels along each axis."""
    if len(size) < 2 or any(length > 1 for length in size[3:]) or channels not in (1, 3):
        raise UserError(
            f"{path}: a volume of {' × '.join(map(str, size))} with {channels} value(s) each; it must have two or "
            "three dimensions and be grey or RGB: save each image of a series on its own"
        )
    return size[2] if len(size) > 2 else 1


def _broken_nifti(path: Path, error: RuntimeError) -> UserError:
    reason = str(error).strip().splitlines()[-1].strip()
    return UserError(f"{path}: not a NIfTI file that can be read ({reason}); replace it")
