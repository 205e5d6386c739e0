"""NIfTI, MHA and NRRD studies: one volume of axial slices, or a T1 volume and a T2 volume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lss_lightning.data.composite import stretch_to_uint8
from lss_lightning.data.dicom.geometry import Plane
from lss_lightning.data.guard import guard_parser
from lss_lightning.data.nifti import check_complete, find_volume_format, to_three_axes
from lss_lightning.data.orientation import (
    MAX_ANISOTROPY,
    find_main_axis,
    find_volume_turn,
    name_stored_axes,
    turn_volume,
)
from lss_lightning.data.studies.assemble import AcquiredImage, assemble_study
from lss_lightning.data.studies.names import NamedFile, describe_rule
from lss_lightning.data.studies.record import UNSPECIFIED_KIND, InputRequirements, Study
from lss_lightning.errors import UserError


@dataclass(frozen=True)
class _Volume:
    """The voxels of a file as axial slices.

    Attributes:
        pixels: Array of shape (N, H, W).
        planes: Position of each slice.
        step: Distance between neighbouring slices, in mm.
        orientation: Axes of the file, e.g. ``RAS``.
        has_position: Whether the file states its position in the patient.
    """

    pixels: NDArray[Any]
    planes: tuple[Plane, ...]
    step: float
    orientation: str
    has_position: bool


@dataclass(frozen=True)
class VolumeStudy:
    """A study of one or two volume files.

    Attributes:
        files: A single file, or one file for each weighting.
    """

    files: tuple[NamedFile, ...]

    def read(self, requirements: InputRequirements, name: str) -> Study:
        """Read the slices, and pair and register them if there are two files.

        Args:
            requirements: The images that the checkpoint needs.
            name: Name of the study, shown by the progress bar.

        Raises:
            UserError: If a file cannot be read or is not axial, or the study lacks images that the checkpoint needs.
        """
        acquired: list[AcquiredImage] = []
        volumes: dict[str, _Volume] = {}
        for named in self.files:
            named.check_weighting(requirements.kinds)
            if len(self.files) == 1 and len(requirements.kinds) == 2 and named.kind in requirements.kinds:
                (other,) = set(requirements.kinds) - {named.kind}
                raise UserError(
                    f"a {named.kind} volume without {other}; give the two files names that differ only in T1 and T2, "
                    "or choose both with series={t1: …, t2: …}, texts that only their names contain, or give a "
                    f"checkpoint of {named.kind} alone"
                )
            kind = named.kind if named.kind in ("T1", "T2") else _infer_kind(requirements, self.files)
            if kind in volumes:
                raise UserError(f"several {kind} volumes whose names are otherwise the same; keep one, or rename them")
            volume = _read_volume(named.path, stretch_whole=requirements.kinds == (UNSPECIFIED_KIND,))
            volumes[kind] = volume
            acquired += [
                AcquiredImage(
                    kind=kind if kind in ("T1", "T2") else "T1",
                    plane=plane,
                    slice_spacing=volume.step,
                    thickness=volume.step,
                    series=kind,
                    source=named.path,
                    read_pixels=partial(np.asarray, pixels),
                )
                for plane, pixels in zip(volume.planes, volume.pixels, strict=True)
            ]
        study = assemble_study(acquired, requirements, name)
        main = volumes.get(requirements.kinds[0]) or next(iter(volumes.values()))
        slices = study.slices
        if not main.has_position:
            slices = tuple(replace(slice_, image_left=None) for slice_ in slices)
        remarks = (*study.remarks, *describe_rule(self.files))
        return replace(study, slices=slices, remarks=remarks, orientation=main.orientation)


def _infer_kind(requirements: InputRequirements, files: Sequence[NamedFile]) -> str:
    """Return the kind of a file whose name does not state it: the only kind that is needed.

    Raises:
        UserError: If the checkpoint needs two kinds, or there are several files.
    """
    if len(requirements.kinds) > 1 or len(files) > 1:
        raise UserError(
            f"a {find_volume_format(files[0].path)[0]} file whose name says neither T1 nor T2, but the checkpoint "
            f"needs {' and '.join(requirements.kinds)}; give the two files the same name except for T1 and T2, e.g. "
            "scan_T1.nii.gz and scan_T2.nii.gz"
        )
    return requirements.kinds[0]


def _read_volume(path: Path, *, stretch_whole: bool) -> _Volume:
    """Read a file as axial slices.

    Args:
        path: The file.
        stretch_whole: Whether to stretch the whole volume to 8 bits at once, as training on such files does, rather
            than each slice separately.

    Raises:
        UserError: If the file cannot be read or was not acquired axially. The message does not name the file.
    """
    import SimpleITK

    kind, reader = find_volume_format(path)
    # The warnings would name the file.
    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)

    def refuse(reason: str) -> UserError:
        problem = "that is broken or truncated; replace it"
        if "orthonormal" in reason:
            problem = "whose affine is sheared: its axes are not perpendicular; resample it to a regular grid"
        elif "bytes" in reason:
            problem = f"that is {reason.partition(': ')[2]}; copy it again"
        return UserError(f"a {kind} file {problem}", [str(path)])

    with guard_parser(refuse):
        check_complete(path)
        image = SimpleITK.ReadImage(str(path), imageIO=reader)
    image = to_three_axes(image)
    channels = image.GetNumberOfComponentsPerPixel()
    if image.GetDimension() != 3 or channels != 1:
        raise UserError(
            f"a {kind} file of {' × '.join(map(str, image.GetSize()))} voxels with {channels} "
            "value(s) each; save each image of a series as a separate greyscale volume of three dimensions",
            [str(path)],
        )
    has_position = _has_position(image, kind)
    turn = find_volume_turn(image.GetDirection(), image.GetSpacing(), image.GetSize(), upwards=True)
    image = turn_volume(image, turn)
    across, down, step = image.GetSpacing()
    axes = np.array(image.GetDirection()).reshape(3, 3)
    if find_main_axis(axes[:, 2]) != 2 or (image.GetSize()[2] > 1 and max(across, down) > MAX_ANISOTROPY * step):
        raise UserError(f"a {kind} file of sagittal or coronal slices; add the axial series", [str(path)])
    pixels = SimpleITK.GetArrayFromImage(image)
    values = pixels[np.isfinite(pixels)]
    if np.iscomplexobj(pixels) or not values.size or values.min() == values.max():
        problem = "of complex numbers; save their magnitude" if np.iscomplexobj(pixels) else "without any contrast"
        raise UserError(f"a {kind} file {problem}", [str(path)])
    if pixels.dtype != np.uint8:
        pixels = np.nan_to_num(pixels.astype(np.float32), posinf=0.0, neginf=0.0)
        if stretch_whole:
            pixels = stretch_to_uint8(pixels, np.ones(pixels.shape, dtype=np.bool_))
    corners = (np.array(image.TransformIndexToPhysicalPoint((0, 0, k))) for k in range(len(pixels)))
    shape = pixels.shape[1], pixels.shape[2]
    planes = tuple(Plane(corner, axes[:, 0], axes[:, 1], (down, across), shape) for corner in corners)
    return _Volume(pixels, planes, step, name_stored_axes(turn), has_position)


def _has_position(image: Any, kind: str) -> bool:
    """Return whether a file states the directions of its axes in the patient. MetaImage files always do."""
    if kind == "NRRD":
        return bool(image.HasMetaDataKey("NRRD_space"))
    codes = [image.GetMetaData(key) for key in ("qform_code", "sform_code") if image.HasMetaDataKey(key)]
    return not codes or any(int(code) > 0 for code in codes)
