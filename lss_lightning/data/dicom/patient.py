"""One patient: from the raw files to T1, registered T2 and composite of each level, and a row about each."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import SimpleITK
from numpy.typing import NDArray
from PIL import Image as Pillow

from lss_lightning.data.composite import composite, to_bytes
from lss_lightning.data.dicom.archive import Read, UnreadableError, reader
from lss_lightning.data.dicom.geometry import facing
from lss_lightning.data.dicom.images import DicomImage, read_dicom_image, read_pixels, short
from lss_lightning.data.dicom.picks import Pick
from lss_lightning.data.dicom.registration import Registration, register
from lss_lightning.data.dicom.series import Series, find_pair
from lss_lightning.data.slices import IMAGES, INTERMEDIATE
from lss_lightning.errors import UserError
from lss_lightning.labels import LUMBAR
from lss_lightning.stenosis import MOST_SHIFT_MM, MOST_TURN_DEG

BLANK_LABELS = (f"{INTERMEDIATE}/Blank_Labels", "B1")
"""Folder and file prefix of labels in which only Unregistered is marked yet, and all else is Other."""

_SLICE_SPACING = 4.4


@dataclass(frozen=True)
class RegistrationRecord:
    """What became of one slice; None where it did not come to that.

    Attributes:
        patient: Number of the folder.
        level: ``D3``, ``D4`` or ``D5``.
        status: ``registered``; ``not_registered`` (T2 left where the headers place it); ``left_out``.
        t1_slice: Its place in the T1 series, from 1.
        t2_slice: The place of its partner in the T2 series.
        gap_mm: Between the two along T1's normal.
        shift_x_mm: What T2 was moved by beyond what the headers say, to the right of the image.
        shift_y_mm: The same, down.
        rotation_deg: What it was turned by about T1's middle before; the right edge turned down is positive.
        information_before: Mattes mutual information as the headers place the pair, nats.
        information_after: The same once registered; the attempt's where it fell.
        uncovered: Share of T1's pixels for which T2 has no signal.
        flags: What a reader should know, separated by semicolons.
        problem: Why the slice was left out.
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


def convert_patient(place: Path, output: Path, job: tuple[Pick, list[str]]) -> list[RegistrationRecord]:
    """Write the slices of one patient; what cannot be written has a row that says why.

    Args:
        place: The raw data, as :func:`~lss_lightning.data.dicom.archive.find_raw` gives it.
        output: Folder of the layout to write, with its folders made.
        job: The slices wanted, and the patient's files.
    """
    # The processes that work on patients share the cores.
    SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    pick, files = job
    rows = [RegistrationRecord(pick.patient, level, t1_slice=number) for level, number in pick.places.items()]
    with reader(place) as read:
        try:
            t1, t2 = _find_series(pick, files, read)
        except UserError as error:
            return [replace(row, problem=str(error)) for row in rows]
        return [_convert_slice(row, t1, t2, read, output) for row in rows]


def _find_series(pick: Pick, files: list[str], read: Read) -> tuple[Series, Series]:
    if not files:
        raise UserError("no folder of this patient with .ima or .dcm files; add it, or leave the patient out")
    images, unreadable = [], []
    for file in files:
        try:
            images.append(read_dicom_image(file, read))
        except UnreadableError:
            unreadable.append(file)
    return find_pair(images, unreadable, pick.t1_folder, pick.t2_folder)


def _convert_slice(row: RegistrationRecord, t1: Series, t2: Series, read: Read, output: Path) -> RegistrationRecord:
    flags = ["unreadable_file"] if t1.unreadable or t2.unreadable else []
    try:
        first = _picked(t1, row.t1_slice or 0)
        second, gap = _partner(first, t2)
        row = replace(row, t2_slice=t2.files.index(second.file) + 1, gap_mm=gap)
        pixels = _pixels(first, read)
        registration = register(pixels, first.grid, _pixels(second, read), second.grid)
    except UserError as error:
        return replace(row, flags=";".join(flags), problem=str(error))
    flags += _flags(row, first, second, registration)
    _write(output, f"{row.patient}_{row.level}", pixels, registration)
    return replace(
        row,
        status="registered" if registration.improved else "not_registered",
        shift_x_mm=registration.dx,
        shift_y_mm=registration.dy,
        rotation_deg=math.degrees(registration.turn),
        information_before=registration.information_before,
        information_after=registration.information_after,
        uncovered=float(1 - registration.covered.mean()),
        flags=";".join(flags),
    )


def _pixels(image: DicomImage, read: Read) -> NDArray[np.float32]:
    try:
        return read_pixels(image.file, read)
    except UnreadableError as error:
        raise UserError(f"{short(image.file)}: {error}, or leave the patient out") from error


def _picked(t1: Series, number: int) -> DicomImage:
    if number > len(t1.files):
        raise UserError(
            f"slice {number} wanted of {t1.name}, which has {len(t1.files)}; correct Slices Numbers.csv, or complete "
            "the series"
        )
    file = t1.files[number - 1]
    if file not in t1.images:
        raise UserError(f"{short(file)}: not a readable DICOM file; download it again, or leave the patient out")
    return t1.images[file]


def _partner(first: DicomImage, t2: Series) -> tuple[DicomImage, float]:
    """The T2 image of the same slice, and how far it lies off, mm."""
    placed = [image for image in t2.images.values() if image.plane]
    planes = [image.grid for image in placed]
    within = (first.slice_spacing or _SLICE_SPACING) / 2
    found = facing(first.grid, planes, within)
    if found is None:
        lost = len(t2.files) - len(placed)
        more = f" ({lost} of its {len(t2.files)} images are unreadable or lack their place)" if lost else ""
        raise UserError(
            f"no image of {t2.name} within {within:.1f} mm of {short(first.file)}{more}; complete the series"
        )
    return placed[found], abs(first.grid.height_of(planes[found]))


def _flags(row: RegistrationRecord, first: DicomImage, second: DicomImage, registration: Registration) -> list[str]:
    conditions = {
        "slice_number_differs": row.t1_slice != row.t2_slice,
        "size_differs": first.grid.shape != second.grid.shape,
        "frame_of_reference_differs": first.frame != second.frame,
        "shift_over_15_mm": math.hypot(registration.dx, registration.dy) > MOST_SHIFT_MM,
        "rotation_over_5_deg": abs(math.degrees(registration.turn)) > MOST_TURN_DEG,
        "information_fell": not registration.improved,
    }
    return [flag for flag, holds in conditions.items() if holds]


def _write(output: Path, name: str, pixels: np.ndarray, registration: Registration) -> None:
    covered = registration.covered
    t1, t2 = to_bytes(pixels, np.ones_like(covered)), to_bytes(registration.image, covered)
    other, unregistered = LUMBAR.keys.index("other"), LUMBAR.keys.index("unregistered")
    images = {
        IMAGES["t1"]: t1,
        IMAGES["t2"]: t2,
        IMAGES["composite"]: composite(t1, t2),
        BLANK_LABELS: LUMBAR.to_codes(np.where(covered, other, unregistered).astype(np.uint8)),
    }
    for (folder, prefix), image in images.items():
        Pillow.fromarray(image).save(output / folder / f"{prefix}_{name}.png")
