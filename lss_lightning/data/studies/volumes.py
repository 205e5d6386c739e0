"""A study as NIfTI: a stack of axial slices, or one of T1 and one of T2."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lss_lightning.data.composite import to_bytes
from lss_lightning.data.dicom.geometry import Plane
from lss_lightning.data.studies.assemble import AcquiredImage, assemble
from lss_lightning.data.studies.names import NamedFile
from lss_lightning.data.studies.record import IMAGE, InputRequirements, Study
from lss_lightning.errors import UserError

_AXIAL = "LPS"
"""Axes along which columns run to the patient's left, rows to the back and slices to the head."""

_THICK = 1.5
"""A voxel this many times as long as wide was acquired across its longest side."""


@dataclass(frozen=True)
class _Volume:
    """A file's voxels, in axial slices.

    Attributes:
        pixels: (N, H, W).
        planes: Where each slice lies.
        step: From one to the next, mm.
        orientation: The file's own axes.
        placed: Whether the file says how it lies in the patient.
    """

    pixels: NDArray[Any]
    planes: tuple[Plane, ...]
    step: float
    orientation: str
    placed: bool


@dataclass(frozen=True)
class VolumeStudy:
    """Files of one study: one for each weighting, or a single one."""

    files: tuple[NamedFile, ...]

    def read(self, wanted: InputRequirements, name: str) -> Study:
        """Read the slices, and pair and register them where there are two files.

        Args:
            wanted: What the checkpoint needs.
            name: Of the study, for the progress bar.

        Raises:
            UserError: a file cannot be read, is not axial, or the study lacks what is needed.
        """
        acquired: list[AcquiredImage] = []
        volumes: dict[str, _Volume] = {}
        for named in self.files:
            kind = named.kind if named.kind in ("T1", "T2") else _meant(wanted, len(self.files))
            volume = volumes[kind] = _read(named.path, whole=wanted.kinds == (IMAGE,))
            acquired += [
                AcquiredImage(
                    kind=kind if kind in ("T1", "T2") else "T1",
                    plane=plane,
                    slice_spacing=volume.step,
                    thickness=volume.step,
                    series=kind,
                    source=named.path,
                    pixels=partial(np.asarray, pixels),
                )
                for plane, pixels in zip(volume.planes, volume.pixels, strict=True)
            ]
        study = assemble(acquired, wanted, name)
        main = volumes.get(wanted.kinds[0]) or next(iter(volumes.values()))
        slices = study.slices
        if not main.placed:
            slices = tuple(replace(piece, image_left=None) for piece in slices)
        return replace(study, slices=slices, orientation=main.orientation)


def _meant(wanted: InputRequirements, files: int) -> str:
    """The kind of a file whose name does not tell: the only one that is wanted.

    Raises:
        UserError: more than one is, or there are several files.
    """
    if len(wanted.kinds) > 1 or files > 1:
        raise UserError(
            f"a NIfTI file whose name says neither T1 nor T2, where the checkpoint needs {' and '.join(wanted.kinds)}; "
            "name the two files alike but for T1 and T2, e.g. scan_T1.nii.gz and scan_T2.nii.gz"
        )
    return wanted.kinds[0]


def _read(path: Path, *, whole: bool) -> _Volume:
    """Read a file; ``whole`` stretches all of it to 8 bits at once, as training on such files does.

    Raises:
        UserError: it cannot be read, or was not acquired axially.
    """
    import SimpleITK

    # Its warnings name the file.
    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        image = SimpleITK.ReadImage(str(path), imageIO="NiftiImageIO")
    except RuntimeError as error:
        raise UserError(
            "a NIfTI file that cannot be read: broken, truncated, or with axes that are not at right angles; replace it"
        ) from error
    while image.GetDimension() > 3 and image.GetSize()[-1] == 1:
        image = image[..., 0]
    if image.GetDimension() == 2:
        image = SimpleITK.JoinSeries(image)
    channels = image.GetNumberOfComponentsPerPixel()
    if image.GetDimension() != 3 or channels != 1:
        raise UserError(
            f"a NIfTI file of {' × '.join(map(str, image.GetSize()))} voxels with {channels} "
            "value(s) each; save each image of a series on its own, grey, in three dimensions"
        )
    codes = [image.GetMetaData(key) for key in ("qform_code", "sform_code") if image.HasMetaDataKey(key)]
    orientation = SimpleITK.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(image.GetDirection())
    image = SimpleITK.DICOMOrient(image, _AXIAL)
    across, down, step = image.GetSpacing()
    if image.GetSize()[2] > 1 and max(across, down) > _THICK * step:
        raise UserError("a NIfTI file of sagittal or coronal slices; add the axial series")
    pixels = SimpleITK.GetArrayFromImage(image)
    if pixels.dtype != np.uint8:
        pixels = np.nan_to_num(pixels.astype(np.float32), posinf=0.0, neginf=0.0)
        if whole:
            pixels = to_bytes(pixels, np.ones(pixels.shape, dtype=np.bool_))
    axes = np.array(image.GetDirection()).reshape(3, 3)
    corners = (np.array(image.TransformIndexToPhysicalPoint((0, 0, k))) for k in range(len(pixels)))
    shape = pixels.shape[1], pixels.shape[2]
    planes = tuple(Plane(corner, axes[:, 0], axes[:, 1], (down, across), shape) for corner in corners)
    placed = not codes or any(int(code) > 0 for code in codes)
    return _Volume(pixels, planes, step, orientation, placed)
