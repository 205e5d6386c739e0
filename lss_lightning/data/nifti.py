"""Reading of NIfTI, MHA and NRRD files, whose images are turned upright."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lss_lightning.data.guard import guard_parser
from lss_lightning.data.header import ImageHeader
from lss_lightning.data.orientation import find_volume_turn, turn_volume
from lss_lightning.errors import UserError

VOLUME_FORMATS = {".nii.gz": "NIfTI", ".nii": "NIfTI", ".mha": "MetaImage", ".nrrd": "NRRD"}
"""Names of the supported formats by suffix."""

_READERS = {"NIfTI": "NiftiImageIO", "MetaImage": "MetaImageIO", "NRRD": "NrrdImageIO"}


def read_volume_header(path: Path) -> ImageHeader:
    """Read a file's header: its size, spacing and position after its images are turned upright.

    Raises:
        UserError: If the file is broken, or is neither an image nor a stack of images.
    """
    import SimpleITK

    reader = SimpleITK.ImageFileReader()
    reader.SetImageIO(find_volume_format(path)[1])
    reader.SetFileName(str(path))
    with _guard_reader(path):
        reader.ReadImageInformation()
    _check_shape(path, reader.GetSize(), reader.GetNumberOfComponents())
    origin, directions, spacing, size = _read_grid(reader)
    turn = find_volume_turn(directions, spacing, size)
    for axis in turn.flips:
        stored = turn.order[axis]
        origin = origin + (size[stored] - 1) * spacing[stored] * directions[:, stored]
        directions[:, stored] *= -1
    order = list(turn.order)
    extents = ((size - 1) * spacing * directions)[:, order]
    stated = min(reader.GetDimension(), 3)  # a two-dimensional file states no third coordinate
    corners = np.stack([origin, *(origin[:, None] + extents).T])[: stated + 1, :stated]
    across, down, _ = spacing[order].tolist()
    width, _, planes = size[order].tolist()
    is_8_bit = reader.GetPixelID() in (SimpleITK.sitkUInt8, SimpleITK.sitkVectorUInt8)
    return ImageHeader(
        planes, width, reader.GetNumberOfComponents(), is_8_bit, (across, down), tuple(corners.ravel().tolist())
    )


def decode_volume(path: Path) -> NDArray[Any]:
    """Read all voxels of a file.

    Returns:
        (N, H, W) or (N, H, W, 3), values as stored, with each plane turned upright. Planes are ordered as in the file.

    Raises:
        UserError: If the file is broken, or is neither an image nor a stack of images.
    """
    import SimpleITK

    with _guard_reader(path):
        check_complete(path)
        image = SimpleITK.ReadImage(str(path), imageIO=find_volume_format(path)[1])
    _check_shape(path, image.GetSize(), image.GetNumberOfComponentsPerPixel())
    if "complex" in image.GetPixelIDTypeAsString():
        raise UserError(f"{path}: a volume of complex numbers; save their magnitude")
    image = to_three_axes(image)
    image = turn_volume(image, find_volume_turn(image.GetDirection(), image.GetSpacing(), image.GetSize()))
    return SimpleITK.GetArrayFromImage(image)


def find_volume_format(path: Path) -> tuple[str, str]:
    """Return the name of a file's format, e.g. ``NIfTI``, and the name of SimpleITK's reader for it."""
    name = next(name for suffix, name in VOLUME_FORMATS.items() if path.name.lower().endswith(suffix))
    return name, _READERS[name]


def read_nifti_step(path: Path) -> float:
    """Read the step between neighbouring values that a NIfTI file can store: the slope of its intensity scaling.

    Returns:
        The absolute slope, or 0 if the values are not scaled.

    Raises:
        UserError: If the file is broken.
    """
    with _guard_reader(path):
        slope, intercept = _read_nifti_numbers(path, "scl_slope", "scl_inter")
    return 0.0 if not np.isfinite(slope) or (slope, intercept) == (1, 0) else abs(slope)


def check_complete(path: Path) -> None:
    """Check that a NIfTI file holds all its voxels.

    SimpleITK reads missing voxels as 0. It rejects incomplete files of other formats itself.

    Raises:
        ValueError: If voxels are missing. The message does not name the file.
    """
    if find_volume_format(path)[0] != "NIfTI":
        return
    dimensions, bits, offset = _read_nifti_numbers(path, "dim[0]", "bitpix", "vox_offset")
    sizes = _read_nifti_numbers(path, *(f"dim[{axis}]" for axis in range(1, int(dimensions) + 1)))
    needed, stored = int(offset + np.prod(sizes) * bits / 8), path.stat().st_size
    with path.open("rb") as start:
        is_compressed = start.read(2) == b"\x1f\x8b"
    if is_compressed:
        stored = 0
        with gzip.open(path) as stream, suppress(EOFError):
            while block := stream.read(2**20):
                stored += len(block)
    if stored < needed:
        raise ValueError(f"truncated, it should have {needed:,} bytes")


def _read_nifti_numbers(path: Path, *keys: str) -> list[float]:
    """Return numbers from a NIfTI header, with 0 for those that are missing."""
    import SimpleITK

    reader = SimpleITK.ImageFileReader()
    reader.SetImageIO("NiftiImageIO")
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    return [float(reader.GetMetaData(key)) if reader.HasMetaDataKey(key) else 0.0 for key in keys]


def to_three_axes(image: Any) -> Any:
    """Return a SimpleITK image with three axes: trailing axes of one voxel are removed, or a third axis is added."""
    import SimpleITK

    while image.GetDimension() > 3 and image.GetSize()[-1] == 1:
        image = image[..., 0]
    return SimpleITK.JoinSeries(image) if image.GetDimension() == 2 else image


def _read_grid(reader: Any) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Return the origin, directions (in columns), spacing and size of the first three axes."""
    axes = min(reader.GetDimension(), 3)
    origin, directions, spacing, size = np.zeros(3), np.eye(3), np.ones(3), np.ones(3, np.int64)
    stored = np.reshape(reader.GetDirection(), (reader.GetDimension(), -1))
    directions[:axes, :axes] = stored[:axes, :axes]
    origin[:axes], spacing[:axes], size[:axes] = (
        values[:axes] for values in (reader.GetOrigin(), reader.GetSpacing(), reader.GetSize())
    )
    return origin, directions, spacing, size


def _check_shape(path: Path, size: Sequence[int], channels: int) -> None:
    if len(size) < 2 or any(length > 1 for length in size[3:]) or channels not in (1, 3):
        raise UserError(
            f"{path}: a volume of {' × '.join(map(str, size))} with {channels} value(s) each; it must have two or "
            "three dimensions and be grey or RGB: save each image of a series on its own"
        )


def _guard_reader(path: Path) -> AbstractContextManager[None]:
    kind = find_volume_format(path)[0]
    return guard_parser(lambda reason: UserError(f"{path}: not a {kind} file that can be read ({reason}); replace it"))
