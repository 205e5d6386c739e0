"""Conversion of one patient's raw files to T1, registered T2 and composite images, with a record for each level."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import SimpleITK
from numpy.typing import NDArray
from PIL import Image as Pillow

from lss_lightning.data.alkafri_layout import IMAGES, INTERMEDIATE_FOLDER
from lss_lightning.data.composite import build_composite, stretch_to_uint8
from lss_lightning.data.dicom.archive import FileReader, UnreadableError, open_reader
from lss_lightning.data.dicom.geometry import FALLBACK_SLICE_SPACING, MAX_TILT, find_facing_plane
from lss_lightning.data.dicom.images import DicomImage, read_dicom_image, read_pixels, short_name
from lss_lightning.data.dicom.picks import SLICES_CSV, Pick
from lss_lightning.data.dicom.registration import Registration, register
from lss_lightning.data.dicom.series import DicomSeries, find_series_pair
from lss_lightning.errors import UserError
from lss_lightning.labels import LUMBAR
from lss_lightning.stenosis import MAX_ROTATION_DEG, MAX_SHIFT_MM

BLANK_LABELS = (f"{INTERMEDIATE_FOLDER}/Blank_Labels", "B1")
"""Folder and file-name prefix of label files in which Unregistered is marked and all other pixels are Other."""


@dataclass(frozen=True)
class RegistrationRecord:
    """The outcome of converting one slice. Values that were not computed are None.

    Attributes:
        patient: Name of the patient's folder, four digits.
        level: ``D3``, ``D4`` or ``D5``.
        status: ``registered``, ``not_registered`` (T2 keeps the position given by the headers) or ``left_out``.
        t1_slice: Position in the T1 series, from 1.
        t2_slice: Position of the matching image in the T2 series, from 1.
        gap_mm: Distance between the two images along T1's normal.
        shift_x_mm: Shift of T2 to the right of the image, relative to the position given by the headers.
        shift_y_mm: Downward shift of T2 in the image, relative to the same position.
        rotation_deg: Rotation of T2 about the centre of T1, applied before the shift. It is positive if the right
            edge moves down.
        information_before: Mattes mutual information of the pair at the position given by the headers, in nats.
        information_after: Mattes mutual information after registration, in nats. If this is less than before, the
            registration was discarded.
        uncovered: Fraction of T1's pixels for which T2 has no signal.
        flags: Quality flags, separated by semicolons.
        problem: Reason why the slice was left out, or an empty string.
    """

    patient: str
    level: str
    status: str = "left_out"
    t1_slice: int | None = None
    t2_slice: int | None = None
    gap_mm: float | None = None
    shift_x_mm: float | None = None
    shift_y_mm: float | None = None
    rotation_deg: float | None = None
    information_before: float | None = None
    information_after: float | None = None
    uncovered: float | None = None
    flags: str = ""
    problem: str = ""


def convert_patient(raw_data: Path, output: Path, job: tuple[Pick, list[str]]) -> list[RegistrationRecord]:
    """Write the slices of one patient.

    Args:
        raw_data: The folder or zip, as returned by :func:`~lss_lightning.data.dicom.archive.find_raw_data`.
        output: Root of the layout to write. Its folders must exist.
        job: The patient's labelled slices, and the names of the patient's files.

    Returns:
        One record per level. A slice that cannot be used has a record with the reason.
    """
    # Patients are converted in parallel processes, which share the cores.
    SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    pick, files = job
    records = [RegistrationRecord(pick.patient, level, t1_slice=number) for level, number in pick.slice_numbers.items()]
    with open_reader(raw_data) as read:
        try:
            t1, t2 = _find_series(pick, files, read)
        except UserError as error:
            return [replace(record, problem=str(error)) for record in records]
        return [_convert_slice(record, t1, t2, read, output) for record in records]


def _find_series(pick: Pick, files: list[str], read: FileReader) -> tuple[DicomSeries, DicomSeries]:
    if not files:
        raise UserError("no folder of this patient with .ima or .dcm files; add it, or leave the patient out")
    images, unreadable = [], []
    for file in files:
        try:
            images.append(read_dicom_image(file, read))
        except UnreadableError:
            unreadable.append(file)
    return find_series_pair(images, unreadable, pick.t1_folder, pick.t2_folder)


def _convert_slice(
    record: RegistrationRecord, t1: DicomSeries, t2: DicomSeries, read: FileReader, output: Path
) -> RegistrationRecord:
    flags = ["unreadable_file"] if t1.unreadable or t2.unreadable else []
    try:
        t1_image = _get_image(t1, record.t1_slice or 0)
        t2_image, gap = _find_match(t1_image, t2)
        record = replace(record, t2_slice=t2.files.index(t2_image.file) + 1, gap_mm=gap)
        pixels = _read_pixels(t1_image, read)
        registration = register(pixels, t1_image.required_plane, _read_pixels(t2_image, read), t2_image.required_plane)
    except UserError as error:
        return replace(record, flags=";".join(flags), problem=str(error))
    flags += _find_flags(record, t1_image, t2_image, registration)
    _write_images(output, f"{record.patient}_{record.level}", pixels, registration)
    return replace(
        record,
        status="registered" if registration.improved else "not_registered",
        shift_x_mm=registration.dx,
        shift_y_mm=registration.dy,
        rotation_deg=math.degrees(registration.rotation),
        information_before=registration.information_before,
        information_after=registration.information_after,
        uncovered=float(1 - registration.covered.mean()),
        flags=";".join(flags),
    )


def _read_pixels(image: DicomImage, read: FileReader) -> NDArray[np.float32]:
    try:
        return read_pixels(image.file, read)
    except UnreadableError as error:
        raise UserError(f"{short_name(image.file)}: {error}, or leave the patient out") from error


def _get_image(series: DicomSeries, number: int) -> DicomImage:
    """Return the image at a position in a series, counted from 1."""
    if number > len(series.files):
        raise UserError(
            f"{SLICES_CSV} names slice {number} of {series.name}, which has {len(series.files)} files; correct "
            f"{SLICES_CSV}, or complete the series"
        )
    file = series.files[number - 1]
    if file not in series.images:
        raise UserError(f"{short_name(file)}: not a readable DICOM file; download it again, or leave the patient out")
    return series.images[file]


def _find_match(t1_image: DicomImage, t2: DicomSeries) -> tuple[DicomImage, float]:
    """Return the T2 image that shows the same slice as a T1 image, and their distance in mm."""
    usable = [image for image in t2.images.values() if image.plane]
    planes = [image.required_plane.upright()[0] for image in usable]
    t1_plane = t1_image.required_plane.upright()[0]
    max_distance = (t1_image.slice_spacing or FALLBACK_SLICE_SPACING) / 2
    index = find_facing_plane(t1_plane, planes, max_distance)
    if index is None:
        unusable = len(t2.files) - len(usable)
        details = f" ({unusable} of its {len(t2.files)} images are unreadable or have no position)" if unusable else ""
        turned = [t1_plane.angle_to(plane) for plane in planes]
        near = [abs(t1_plane.height_of(plane)) <= max_distance for plane in planes]
        if any(near):
            angle = min(angle for angle, is_near in zip(turned, near, strict=True) if is_near)
            problem = f" that is turned by at most {MAX_TILT:.0f} degrees, only by {angle:.1f}"
            remedy = "choose another"
        else:
            problem, remedy = "", "complete the"
        raise UserError(
            f"no image of {t2.name} within {max_distance:.1f} mm of {short_name(t1_image.file)}{problem}{details}; "
            f"{remedy} series"
        )
    return usable[index], abs(t1_plane.height_of(planes[index]))


def _find_flags(
    record: RegistrationRecord, t1_image: DicomImage, t2_image: DicomImage, registration: Registration
) -> list[str]:
    conditions = {
        "slice_number_differs": record.t1_slice != record.t2_slice,
        "size_differs": t1_image.required_plane.shape != t2_image.required_plane.shape,
        "frame_of_reference_differs": t1_image.frame_of_reference_uid != t2_image.frame_of_reference_uid,
        "shift_over_15_mm": math.hypot(registration.dx, registration.dy) > MAX_SHIFT_MM,
        "rotation_over_5_deg": abs(math.degrees(registration.rotation)) > MAX_ROTATION_DEG,
        # The published labels are drawn on the stored pixels of T1, so the images are not turned upright.
        "not_upright": not t1_image.required_plane.upright()[1].changes_nothing,
        "information_fell": not registration.improved,
    }
    return [flag for flag, holds in conditions.items() if holds]


def _write_images(output: Path, name: str, pixels: np.ndarray, registration: Registration) -> None:
    covered = registration.covered
    t1, t2 = stretch_to_uint8(pixels, np.ones_like(covered)), stretch_to_uint8(registration.image, covered)
    other, unregistered = LUMBAR.keys.index("other"), LUMBAR.keys.index("unregistered")
    images = {
        IMAGES["t1"]: t1,
        IMAGES["t2"]: t2,
        IMAGES["composite"]: build_composite(t1, t2),
        BLANK_LABELS: LUMBAR.to_codes(np.where(covered, other, unregistered).astype(np.uint8)),
    }
    for (folder, prefix), image in images.items():
        Pillow.fromarray(image).save(output / folder / f"{prefix}_{name}.png")
