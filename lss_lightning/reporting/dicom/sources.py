"""The source images of a study's slices, reduced to the attributes that SEG and SR may copy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, EnhancedMRImageStorage, LegacyConvertedEnhancedMRImageStorage
from pydicom.valuerep import DA, TM

from lss_lightning.data.dicom.archive import UnreadableError
from lss_lightning.data.dicom.attributes import get_transfer_syntax, may_be_dicom, read_dataset
from lss_lightning.errors import UserError
from lss_lightning.reporting.dicom.pixel_order import find_turn_to_stored, turn_slice
from lss_lightning.stenosis.study import SliceResult, StudyResult

_GRID = (
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "Modality",
    "Rows",
    "Columns",
    "PixelSpacing",
    "ImageOrientationPatient",
    "ImagePositionPatient",
)
_FRAME = "FrameOfReferenceUID"  # required by SEG, but not by SR, whose coordinates are in pixels of an image
_ENHANCED = (EnhancedMRImageStorage, LegacyConvertedEnhancedMRImageStorage)
_THICKNESS = ("SliceThickness", "SpacingBetweenSlices")
# Patient and study attributes. The standard requires them to be present; they may be empty.
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
# Optional attributes that distinguish identical IDs or accession numbers of different hospitals.
_ISSUERS = ("IssuerOfPatientID", "IssuerOfPatientIDQualifiersSequence", "IssuerOfAccessionNumberSequence")
_SEXES = ("M", "F", "O")
_DATES = {"PatientBirthDate": DA, "StudyDate": DA, "StudyTime": TM}


@dataclass(frozen=True)
class MatchedSlice:
    """A slice with its DICOM source images.

    Attributes:
        result: The slice. Its label map, outlines and calipers are in the pixel order of ``image``.
        image: The header of the image with the same grid as the label map.
        others: The headers of the other source images.
    """

    result: SliceResult
    image: Dataset
    others: tuple[Dataset, ...]


def match_sources(study: StudyResult, keep_identity: bool) -> list[MatchedSlice]:
    """Match slices that were read from DICOM files to their source images.

    Only the grid, the UIDs and, if ``keep_identity`` is set, the patient and study attributes are read from headers.
    Free text, which may contain a name, is never copied.

    Args:
        study: The study.
        keep_identity: Whether to read the patient and study attributes.

    Returns:
        The slices that have DICOM sources, in the order of the study.

    Raises:
        UserError: If a file lacks an attribute that a reference requires, several files share one SOPInstanceUID, or a
            label map does not match the grid of any of its source images.
    """
    matched = []
    files: dict[str, Path] = {}
    for result in study.slices:
        paths = [path for path in result.sources if may_be_dicom(path)]
        headers = [_read_header(path, result.name, keep_identity) for path in paths]
        for path, header in zip(paths, headers, strict=True):
            if files.setdefault(header.SOPInstanceUID, path) != path:
                raise UserError(
                    f"{result.name}: its SOPInstanceUID is also that of another file, so SEG and SR cannot refer to "
                    "either; export the images again, each with its own"
                )
        if headers:
            same_grid = ((header, turn) for header in headers if (turn := find_turn_to_stored(header, result)))
            image, turn = next(same_grid, (None, None))
            if image is None or turn is None:
                raise UserError(
                    f"{study.name}, {result.name}: the label map matches the grid of none of its {len(headers)} source "
                    "images, which SEG and SR require; provide the original T1 images"
                )
            others = tuple(header for header in headers if header is not image)
            matched.append(MatchedSlice(turn_slice(result, turn), image, others))
    return matched


def group_by_grid(slices: Iterable[MatchedSlice]) -> list[list[MatchedSlice]]:
    """Group slices by series, orientation and pixel grid: one group per segmentation file."""
    groups: dict[tuple[object, ...], list[MatchedSlice]] = {}
    for slice_ in slices:
        image = slice_.image
        numbers = (*image.ImageOrientationPatient, *image.PixelSpacing)
        key = (image.SeriesInstanceUID, image.get(_FRAME), image.Rows, image.Columns, *map(float, numbers))
        groups.setdefault(key, []).append(slice_)
    return list(groups.values())


def _read_header(path: Path, name: str, keep_identity: bool) -> Dataset:
    tags = [*_GRID, *_THICKNESS, *((*_IDENTITY, *_ISSUERS) if keep_identity else ())]
    try:
        header = read_dataset(path.name, lambda _: path.read_bytes(), [_FRAME, *tags])
    except UnreadableError as error:
        raise UserError(f"{name}: {error}") from error
    # A single-frame file is referenced as a whole.
    header.pop("NumberOfFrames", None)
    if not hasattr(header, "file_meta"):
        header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = get_transfer_syntax(header)
    missing = [keyword for keyword in _GRID if not _has_value(header.get(keyword))]
    if missing:
        raise UserError(
            f"{name}: its DICOM file lacks {' and '.join(missing)}, which SEG and SR require; export the images again"
        )
    if UID(header.SOPClassUID).type != "SOP Class":
        raise UserError(
            f"{name}: SOPClassUID {header.SOPClassUID} is no class of the DICOM standard, whose modules SEG and SR "
            "copy; restore the original class, MR Image Storage is 1.2.840.10008.5.1.4.1.1.4"
        )
    for keyword in _IDENTITY:
        setattr(header, keyword, _drop_invalid_date(keyword, str(header.get(keyword) or "")))
    if header.PatientSex not in _SEXES:
        header.PatientSex = ""
    for keyword in _THICKNESS:
        if keyword in header and not header[keyword].value:
            del header[keyword]
    if "SliceThickness" not in header:
        header.SliceThickness = header.get("SpacingBetweenSlices")
    return header


def check_seg_sources(slices: Iterable[MatchedSlice]) -> None:
    """Check that a segmentation can refer to all images.

    Raises:
        UserError: If an image does not state its frame of reference or is an enhanced image.
    """
    for slice_ in slices:
        if slice_.image.SOPClassUID in _ENHANCED:
            raise UserError(
                f"{slice_.result.name}: SOPClassUID {slice_.image.SOPClassUID} is an enhanced image, to whose single "
                "files one SEG cannot refer; export them as MR Image Storage"
            )
        if not _has_value(slice_.image.get(_FRAME)):
            raise UserError(f"{slice_.result.name}: its DICOM file lacks {_FRAME}, which SEG requires; export it again")


def _drop_invalid_date(keyword: str, value: str) -> str:
    """Return the value, or an empty string if it is an invalid date or time, which DICOM does not allow."""
    try:
        _DATES.get(keyword, str)(value)
    except ValueError:
        return ""
    return value


def _has_value(value: object) -> bool:
    return value is not None and (not isinstance(value, str | Sequence) or len(value) > 0)
