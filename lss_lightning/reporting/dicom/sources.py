"""The DICOM images that a study was read from, as far as SEG and SR may speak of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from pydicom.misc import is_dicom
from pydicom.valuerep import DA, TM

from lss_lightning.errors import UserError
from lss_lightning.reporting.dicom.flips import flipped, flips_between
from lss_lightning.stenosis.study import SliceResult, StudyResult

_GRID = (
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
    "Modality",
    "Rows",
    "Columns",
    "PixelSpacing",
    "ImageOrientationPatient",
    "ImagePositionPatient",
)
_THICKNESS = ("SliceThickness", "SpacingBetweenSlices")
# Patient and study as a file is filed under them; the standard wants them present, if need be empty.
_IDENTITY = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
)
# Optional ones, which tell equal numbers of two hospitals apart.
_IDENTITY_MORE = ("IssuerOfPatientID", "IssuerOfPatientIDQualifiersSequence", "IssuerOfAccessionNumberSequence")
_SEXES = ("M", "F", "O")
_DATES = {"PatientBirthDate": DA, "StudyDate": DA, "StudyTime": TM}


@dataclass(frozen=True)
class PlacedSlice:
    """A slice and its DICOM images.

    Attributes:
        result: The slice, its label map and what is drawn on it in the order of the image's pixels.
        image: What its label map lies on pixel by pixel, without pixels.
        others: What else it was made from, without pixels.
    """

    result: SliceResult
    image: Dataset
    others: tuple[Dataset, ...]


def place_slices(study: StudyResult, keep_identity: bool) -> list[PlacedSlice]:
    """The slices that were read from DICOM files, in the study's order.

    Of the files' headers only what tells the grid and the UIDs is read, and, where identity is kept, what the study is
    filed under; no text that somebody may have typed a name into goes on.

    Args:
        study: The study.
        keep_identity: Whether patient and study are read.

    Raises:
        UserError: a file lacks what a reference to it needs.
    """
    placed = []
    for result in study.slices:
        headers = [_read(path, result.name, keep_identity) for path in result.sources if is_dicom(path)]
        if headers:
            lying = ((header, flips) for header in headers if (flips := flips_between(header, result)) is not None)
            image, flips = next(lying, (None, ()))
            if image is None:
                raise UserError(
                    f"{study.name}, {result.name}: its label map lies on none of its {len(headers)} source images; SEG "
                    "and SR need the T1 images as they were exported"
                )
            others = tuple(header for header in headers if header is not image)
            placed.append(PlacedSlice(flipped(result, flips), image, others))
    return placed


def stacks(placed: Iterable[PlacedSlice]) -> list[list[PlacedSlice]]:
    """Slices by series, direction and grid: what a volume may hold together."""
    found: dict[tuple[object, ...], list[PlacedSlice]] = {}
    for one in placed:
        image = one.image
        numbers = (*image.ImageOrientationPatient, *image.PixelSpacing)
        key = (image.SeriesInstanceUID, image.FrameOfReferenceUID, image.Rows, image.Columns, *map(float, numbers))
        found.setdefault(key, []).append(one)
    return list(found.values())


def _read(path: Path, name: str, keep_identity: bool) -> Dataset:
    tags = [*_GRID, *_THICKNESS, *((*_IDENTITY, *_IDENTITY_MORE) if keep_identity else ())]
    header = pydicom.dcmread(path, specific_tags=list(tags), stop_before_pixels=True)
    lacking = [keyword for keyword in _GRID if not _given(header.get(keyword))]
    if lacking:
        raise UserError(
            f"{name}: its DICOM file lacks {' and '.join(lacking)}, so SEG and SR cannot refer to it; export it again, "
            "or leave them out: output.seg=false output.sr=false"
        )
    for keyword in _IDENTITY:
        setattr(header, keyword, _sound(keyword, str(header.get(keyword) or "")))
    if header.PatientSex not in _SEXES:
        header.PatientSex = ""
    for keyword in _THICKNESS:
        if keyword in header and not header[keyword].value:
            del header[keyword]
    if "SliceThickness" not in header:
        header.SliceThickness = header.get("SpacingBetweenSlices")
    return header


def _sound(keyword: str, value: str) -> str:
    """The value, or, where a date or time is none, an empty text: no file may hold it."""
    try:
        _DATES.get(keyword, str)(value)
    except ValueError:
        return ""
    return value


def _given(value: object) -> bool:
    return value is not None and (not isinstance(value, str | Sequence) or len(value) > 0)
