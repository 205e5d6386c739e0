"""Label maps as palette PNGs and as NIfTI volumes in patient coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from lss_lightning.data.orientation import find_turn_to, turn_volume
from lss_lightning.labels import LabelSet
from lss_lightning.stenosis import Geometry, SliceResult, StudyResult

_SAME = 1e-3  # mm; files round their coordinates
_MAX_NOTES = 79  # characters of a NIfTI description


def write_label_maps(study: StudyResult, folder: Path) -> None:
    """Write a palette PNG for each slice, with class codes as pixel values and class colours as the palette.

    Args:
        study: The segmented study.
        folder: The folder to create.
    """
    folder.mkdir()
    palette = _palette(study.labels)
    metadata = PngInfo()
    metadata.add_text("Comment", format_provenance(study))
    for slice_ in study.slices:
        image = Image.fromarray(study.labels.to_codes(slice_.classes), mode="P")
        image.putpalette(palette)
        image.save(folder / f"{slice_.name}.png", pnginfo=metadata)


def write_nifti(study: StudyResult, path: Path, orientation: str | None = None) -> tuple[Path, ...]:
    """Write the class codes as NIfTI volumes that overlay the source images in patient coordinates.

    Parallel slices on the same grid with equal spacing form one volume. A study with a group of slices along each disc
    results in several volumes.

    Args:
        study: The segmented study.
        path: The file to write. If there are several files, they are named ``<stem>_1.nii.gz``, ``<stem>_2.nii.gz``
            and so on.
        orientation: The axes of the file from which the study was read, e.g. ``RAS``. If None, slices remain axial.

    Returns:
        The paths of the files. Empty if no slice has both a geometry and a pixel spacing.
    """
    import SimpleITK

    # SimpleITK would warn about directions that the source states with few digits.
    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    volumes = _volumes([slice_ for slice_ in study.slices if slice_.geometry and slice_.spacing])
    paths = [path]
    if len(volumes) != 1:
        name = path.name.removesuffix(".nii.gz")
        paths = [path.with_name(f"{name}_{number}.nii.gz") for number in range(1, len(volumes) + 1)]
    for file, slices in zip(paths, volumes, strict=True):
        image = SimpleITK.GetImageFromArray(np.stack([study.labels.to_codes(slice_.classes) for slice_ in slices]))
        first, (height, width) = _geometry(slices[0]), slices[0].spacing or (1.0, 1.0)
        step, normal = _step(slices)
        image.SetOrigin(first.origin)
        image.SetSpacing((width, height, step))
        image.SetDirection(np.stack((first.row, first.column, normal), axis=1).ravel().tolist())
        if orientation:
            image = turn_volume(image, find_turn_to(orientation))
        image.SetMetaData("ITK_FileNotes", format_provenance(study)[:_MAX_NOTES])
        SimpleITK.WriteImage(image, str(file), imageIO="NiftiImageIO")
    return tuple(paths)


def format_provenance(study: StudyResult) -> str:
    """Return the disclaimer and the checkpoints in one line.

    The disclaimer comes first because fields of limited length, as in NIfTI headers, cut off the end.
    """
    models = ", ".join(f"{model.name} {model.sha256[:12]}" for model in study.models)
    return f"{study.disclaimer} {models}"


def _palette(labels: LabelSet) -> list[int]:
    colours = [0] * (3 * 256)
    for label in labels:
        colours[3 * label.code : 3 * label.code + 3] = bytes.fromhex(label.colour[1:])
    return colours


def _volumes(slices: Sequence[SliceResult]) -> list[list[SliceResult]]:
    """Group slices into volumes, each ordered from feet to head."""
    volumes: list[list[SliceResult]] = []
    for slice_ in reversed(slices):
        if volumes and _continues(volumes[-1], slice_):
            volumes[-1].append(slice_)
        else:
            volumes.append([slice_])
    return volumes[::-1]


def _continues(volume: Sequence[SliceResult], slice_: SliceResult) -> bool:
    """Return whether a slice is the next slice of a volume."""
    last = volume[-1]
    before, geometry = _geometry(last), _geometry(slice_)
    same_grid = slice_.classes.shape == last.classes.shape and slice_.spacing == last.spacing
    if not same_grid or not np.allclose(
        (*before.row, *before.column), (*geometry.row, *geometry.column), rtol=0, atol=_SAME
    ):
        return False
    shift = np.subtract(geometry.origin, before.origin)
    normal = _normal(before)
    # The slices of a volume are shifted only along their normal.
    if not np.allclose(shift, (shift @ normal) * normal, rtol=0, atol=_SAME * 10):
        return False
    if len(volume) == 1:
        return True
    step = np.subtract(before.origin, _geometry(volume[-2]).origin)
    return bool(np.allclose(shift, step, rtol=0, atol=_SAME * 10))


def _step(slices: Sequence[SliceResult]) -> tuple[float, NDArray[np.float64]]:
    """Return the distance between consecutive slices in mm, and the unit vector from one slice to the next."""
    first = _geometry(slices[0])
    normal = _normal(first)
    if len(slices) == 1:
        return first.thickness or 1.0, normal
    step = float(np.subtract(_geometry(slices[1]).origin, first.origin) @ normal)
    return abs(step), normal * np.sign(step)


def _geometry(slice_: SliceResult) -> Geometry:
    assert slice_.geometry is not None, "a volume requires slices with a geometry"
    return slice_.geometry


def _normal(geometry: Geometry) -> NDArray[np.float64]:
    return np.cross(geometry.row, geometry.column)
