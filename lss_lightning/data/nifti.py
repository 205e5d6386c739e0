"""NIfTI files, with planes turned upright."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lss_lightning.data.header import ImageHeader
from lss_lightning.errors import UserError

_UPRIGHT = (1, 1, -1)
"""Directions of columns and rows on a screen along the axes of a NIfTI file as SimpleITK returns them: to the patient's
left, back and feet, as in DICOM's axial slices."""


def read_nifti_header(path: Path) -> ImageHeader:
    """Read the size, spacing and position of a file.

    Raises:
        UserError: If the file is broken, or is neither an image nor a stack of images.
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
    planes = _count_planes(path, size, channels)
    across, down = reader.GetSpacing()[:2]
    is_8_bit = reader.GetPixelID() in (SimpleITK.sitkUInt8, SimpleITK.sitkVectorUInt8)
    return ImageHeader(planes, size[0], channels, is_8_bit, (across, down), _corners(reader))


def _corners(volume: Any) -> tuple[float, ...]:
    origin, axes = np.array(volume.GetOrigin()), np.array(volume.GetDirection()).reshape(volume.GetDimension(), -1)
    extent = (np.array(volume.GetSize()) - 1) * volume.GetSpacing()
    return tuple(np.concatenate([origin, *(origin + extent * axes).T]).tolist())


def decode_nifti(path: Path) -> NDArray[Any]:
    """Read all voxels of a file.

    Returns:
        (N, H, W) or (N, H, W, 3), values as stored, with each plane turned upright.

    Raises:
        UserError: If the file is broken, or is neither an image nor a stack of images.
    """
    import SimpleITK

    try:
        image = SimpleITK.ReadImage(str(path), imageIO="NiftiImageIO")
    except RuntimeError as error:
        raise _broken_nifti(path, error) from error
    size, channels = image.GetSize(), image.GetNumberOfComponentsPerPixel()
    planes = _count_planes(path, size, channels)
    pixels = SimpleITK.GetArrayFromImage(image).reshape(planes, size[1], size[0], *((3,) if channels == 3 else ()))
    return np.flip(pixels, _reversed_axes(image))


def read_nifti_step(path: Path) -> float:
    """Read the difference between neighbouring values that a file can store: the slope of its scale factor.

    Returns:
        The slope, or 0 without a scale factor.

    Raises:
        UserError: If the file is broken.
    """
    import SimpleITK

    reader = SimpleITK.ImageFileReader()
    reader.SetImageIO("NiftiImageIO")
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
        stated = [float(reader.GetMetaData(key)) for key in ("scl_slope", "scl_inter") if reader.HasMetaDataKey(key)]
    except (RuntimeError, ValueError) as error:
        raise _broken_nifti(path, RuntimeError(str(error))) from error
    slope, intercept = [*stated, 0.0, 0.0][:2]
    return 0.0 if not np.isfinite(slope) or (slope, intercept) == (1, 0) else abs(slope)


def _reversed_axes(image: Any) -> tuple[int, ...]:
    """Return the axes of (planes, rows, columns) that are stored in the opposite direction to a screen's."""
    axes = np.array(image.GetDirection()).reshape(image.GetDimension(), -1)[:, :2].T
    main = np.abs(axes).argmax(axis=1)
    return tuple(2 - index for index, axis in enumerate(axes) if axis[main[index]] * _UPRIGHT[main[index]] < 0)


def _count_planes(path: Path, size: Sequence[int], channels: int) -> int:
    if len(size) < 2 or any(length > 1 for length in size[3:]) or channels not in (1, 3):
        raise UserError(
            f"{path}: a volume of {' × '.join(map(str, size))} with {channels} value(s) each; it must have two or "
            "three dimensions and be grey or RGB: save each image of a series on its own"
        )
    return size[2] if len(size) > 2 else 1


def _broken_nifti(path: Path, error: RuntimeError) -> UserError:
    reason = str(error).strip().splitlines()[-1].strip()
    return UserError(f"{path}: not a NIfTI file that can be read ({reason}); replace it")
