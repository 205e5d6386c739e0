"""Label maps as PNG with a palette, and as NIfTI where the source lies."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from lss_lightning.labels import LabelSet
from lss_lightning.stenosis import Geometry, SliceResult, StudyResult

_SAME = 1e-3
"""mm by which slices of one volume may lie off their place in it: files round."""


def write_png(study: StudyResult, folder: Path) -> None:
    """Write a palette PNG of each slice: its pixels are the classes' codes, its colours theirs.

    Args:
        study: What was segmented.
        folder: To make.
    """
    folder.mkdir()
    palette = _palette(study.labels)
    about = PngInfo()
    about.add_text("Comment", provenance(study))
    for piece in study.slices:
        image = Image.fromarray(study.labels.to_codes(piece.classes), mode="P")
        image.putpalette(palette)
        image.save(folder / f"{piece.name}.png", pnginfo=about)


def write_nifti(study: StudyResult, path: Path, orientation: str | None = None) -> tuple[Path, ...]:
    """Write the classes' codes as volumes that overlie their source in the patient's coordinates.

    Slices that lie in parallel, at equal steps and on one grid, share a volume; a study with a group along each disc
    gives several.

    Args:
        study: What was segmented.
        path: File to write; of several, ``<stem>_1.nii.gz``, ``<stem>_2.nii.gz``, … beside it.
        orientation: Axes in which to store the voxels, as SimpleITK names them; None leaves them in axial slices.

    Returns:
        The files; none where the source has no place in a patient.
    """
    import SimpleITK

    volumes = _volumes([piece for piece in study.slices if piece.geometry and piece.spacing])
    paths = [path]
    if len(volumes) != 1:
        name = path.name.removesuffix(".nii.gz")
        paths = [path.with_name(f"{name}_{number}.nii.gz") for number in range(1, len(volumes) + 1)]
    for file, pieces in zip(paths, volumes, strict=True):
        image = SimpleITK.GetImageFromArray(np.stack([study.labels.to_codes(piece.classes) for piece in pieces]))
        first, (height, width) = _geometry(pieces[0]), pieces[0].spacing or (1.0, 1.0)
        step, normal = _step(pieces)
        image.SetOrigin(first.origin)
        image.SetSpacing((width, height, step))
        image.SetDirection(np.stack((first.row, first.column, normal), axis=1).ravel().tolist())
        if orientation:
            image = SimpleITK.DICOMOrient(image, orientation)
        image.SetMetaData("ITK_FileNotes", provenance(study)[:79])
        SimpleITK.WriteImage(image, str(file), imageIO="NiftiImageIO")
    return tuple(paths)


def provenance(study: StudyResult) -> str:
    """What made a file, in a line; the disclaimer first, as some fields are short."""
    models = ", ".join(f"{model.name} {model.sha256[:12]}" for model in study.models)
    return f"{study.disclaimer} {models}"


def _palette(labels: LabelSet) -> list[int]:
    colours = [0] * (3 * 256)
    for label in labels:
        colours[3 * label.code : 3 * label.code + 3] = bytes.fromhex(label.colour[1:])
    return colours


def _volumes(pieces: Sequence[SliceResult]) -> list[list[SliceResult]]:
    """Slices by volume, each from feet to head."""
    groups: list[list[SliceResult]] = []
    for piece in reversed(pieces):
        if groups and _continues(groups[-1], piece):
            groups[-1].append(piece)
        else:
            groups.append([piece])
    return groups[::-1]


def _continues(group: Sequence[SliceResult], piece: SliceResult) -> bool:
    last, own = group[-1], _geometry(piece)
    before = _geometry(last)
    alike = piece.classes.shape == last.classes.shape and piece.spacing == last.spacing
    if not alike or not np.allclose((*before.row, *before.column), (*own.row, *own.column), rtol=0, atol=_SAME):
        return False
    way = np.subtract(own.origin, before.origin)
    normal = _normal(before)
    # A volume's slices lie straight above one another.
    if not np.allclose(way, (way @ normal) * normal, rtol=0, atol=_SAME * 10):
        return False
    if len(group) == 1:
        return True
    step = np.subtract(before.origin, _geometry(group[-2]).origin)
    return bool(np.allclose(way, step, rtol=0, atol=_SAME * 10))


def _step(pieces: Sequence[SliceResult]) -> tuple[float, NDArray[np.float64]]:
    """How far it is from one slice to the next, mm, and the unit vector that way."""
    first = _geometry(pieces[0])
    normal = _normal(first)
    if len(pieces) == 1:
        return first.thickness or 1.0, normal
    step = float(np.subtract(_geometry(pieces[1]).origin, first.origin) @ normal)
    return abs(step), normal * np.sign(step)


def _geometry(piece: SliceResult) -> Geometry:
    assert piece.geometry is not None, "only slices with a place in the patient become volumes"
    return piece.geometry


def _normal(place: Geometry) -> NDArray[np.float64]:
    return np.cross(place.row, place.column)
