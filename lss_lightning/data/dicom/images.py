"""Reading of single DICOM files: header and pixels. Attributes that identify the patient are kept only as digests."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.pixels import get_decoder
from pydicom.uid import EnhancedMRImageStorage, LegacyConvertedEnhancedMRImageStorage, MRImageStorage

from lss_lightning.data.dicom.archive import FileReader, UnreadableError
from lss_lightning.data.dicom.attributes import (
    explain_value,
    get_transfer_syntax,
    guard_pydicom,
    read_dataset,
    read_number,
    read_numbers,
    read_text,
    read_value,
)
from lss_lightning.data.dicom.geometry import Plane
from lss_lightning.data.dicom.traits import TRAITS_HEADER, ImageTraits, read_traits
from lss_lightning.errors import UserError

_HEADER = [
    "SOPClassUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SeriesDescription",
    "ImageType",
    "Modality",
    "FrameOfReferenceUID",
    "RepetitionTime",
    "EchoTime",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "PixelSpacing",
    "ImageOrientationPatient",
    "ImagePositionPatient",
    "SliceThickness",
    "SpacingBetweenSlices",
]
_PIXELS = [
    "Rows",
    "Columns",
    "NumberOfFrames",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelPaddingValue",
    "RescaleSlope",
    "RescaleIntercept",
    "FloatPixelData",
    "DoubleFloatPixelData",
    "PixelData",
]
_GREY = ("MONOCHROME1", "MONOCHROME2")
_PLANE = {
    "PixelSpacing": (2, "two positive numbers in mm"),
    "ImageOrientationPatient": (6, "six numbers, two perpendicular unit vectors"),
    "ImagePositionPatient": (3, "three numbers in mm"),
}
"""Number of values of each attribute that defines the plane, and a description of the valid values."""
_NUMBERS = ("RepetitionTime", "EchoTime", "InversionTime", "SliceThickness", "SpacingBetweenSlices", "NumberOfFrames")
_FORMAT = ("SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated", "BitsStored", "PixelRepresentation")
"""The attributes that decoding requires."""
_UNIT_TOLERANCE = 1e-3
_MR_CLASSES = (MRImageStorage, EnhancedMRImageStorage, LegacyConvertedEnhancedMRImageStorage)
"""The SOP classes of MR images, which have the attribute Rows; reports and the scanner's raw data do not."""


@dataclass(frozen=True)
class DicomImage:
    """The header of a DICOM image.

    Attributes:
        file: File name, relative to the root of its reader.
        study_uid: StudyInstanceUID, or an empty string.
        series_uid: SeriesInstanceUID, or an empty string.
        frame_of_reference_uid: FrameOfReferenceUID, or an empty string.
        repetition_time: RepetitionTime in ms, or None.
        echo_time: EchoTime in ms, or None.
        plane: The image's pixel grid, or None if an attribute that defines it is missing or invalid.
        invalid_attributes: Names of the attributes of the plane that are missing or invalid.
        attribute_problems: A clause for each of these attributes, and for each other invalid attribute, that states its
            value and the valid values.
        slice_spacing: Distance between the centres of neighbouring slices in mm, or None if unknown.
        thickness: Slice thickness in mm, or None if unknown.
        number_of_frames: Number of images in the file; 0 for reports and segmentations.
        traits: Weighting, derivation and other properties that determine the use of the image.
    """

    file: str
    study_uid: str
    series_uid: str
    frame_of_reference_uid: str
    repetition_time: float | None
    echo_time: float | None
    plane: Plane | None
    invalid_attributes: tuple[str, ...]
    attribute_problems: tuple[str, ...]
    slice_spacing: float | None
    thickness: float | None
    number_of_frames: int
    traits: ImageTraits

    @property
    def folder(self) -> str:
        """The file's folder."""
        return str(PurePosixPath(self.file).parent)

    @property
    def required_plane(self) -> Plane:
        """The plane, which must be known.

        Raises:
            UserError: If an attribute that defines the plane is missing or invalid.
        """
        if self.plane is None:
            raise UserError(f"{short_name(self.file)}: {' and '.join(self.attribute_problems)}; export it again")
        return self.plane


def short_name(file: str) -> str:
    """Return the last two parts of a path, which name the series and the image but not the patient."""
    return "/".join(PurePosixPath(file).parts[-2:])


def read_dicom_image(file: str, read: FileReader) -> DicomImage:
    """Read a file's header.

    Raises:
        UnreadableError: If the file is not DICOM or is damaged.
    """
    dataset = read_dataset(file, read, _HEADER + TRAITS_HEADER)
    is_cut = read_value(dataset, "StudyInstanceUID") is None and read_value(dataset, "Rows") is None
    if is_cut and _find_class(dataset) in ("", *_MR_CLASSES):
        raise UnreadableError("StudyInstanceUID and Rows missing, so the file is truncated or no image; copy it again")
    with guard_pydicom("damaged DICOM header"):
        plane, problems = _read_plane(dataset)
        numbers = {name: read_number(dataset, name) for name in _NUMBERS}
        odd = [explain_value(dataset, name, "one number") for name in _NUMBERS if numbers[name] is None]
        return DicomImage(
            file=file,
            study_uid=read_text(dataset, "StudyInstanceUID"),
            series_uid=read_text(dataset, "SeriesInstanceUID"),
            frame_of_reference_uid=read_text(dataset, "FrameOfReferenceUID"),
            repetition_time=numbers["RepetitionTime"],
            echo_time=numbers["EchoTime"],
            plane=plane,
            invalid_attributes=tuple(problems),
            attribute_problems=(*problems.values(), *(text for text in odd if not text.endswith(" missing"))),
            slice_spacing=numbers["SpacingBetweenSlices"] or numbers["SliceThickness"],
            thickness=numbers["SliceThickness"],
            number_of_frames=_count_frames(dataset),
            traits=read_traits(dataset, numbers["RepetitionTime"], numbers["EchoTime"]),
        )


def read_pixels(file: str, read: FileReader) -> NDArray[np.float32]:
    """Read an image's pixels.

    Returns:
        float32 array of shape (H, W) in the scanner's units, shifted so that no value is negative. MONOCHROME1 is
        inverted, and padding has the value of the darkest pixel.

    Raises:
        UnreadableError: If the file is not DICOM, is truncated, is compressed in an unsupported way, is in colour, or
            has several frames.
    """
    dataset = read_dataset(file, read, _PIXELS)
    kind = read_text(dataset, "PhotometricInterpretation")
    if kind and kind not in _GREY:
        raise UnreadableError(f"colour image ({kind}) where greyscale is expected; export the original series")
    if floats := [name for name in ("FloatPixelData", "DoubleFloatPixelData") if name in dataset]:
        raise UnreadableError(f"{floats[0]} where PixelData is expected; export it with whole numbers")
    if missing := [name for name in (*_FORMAT, "PixelData") if name not in dataset]:
        raise UnreadableError(f"{' and '.join(missing)} missing; export it again with its pixels")
    with guard_pydicom("pixels cannot be decoded"):
        pixels = _decode(dataset)
        if pixels.ndim != 2:
            raise UnreadableError(f"pixels of shape {pixels.shape} where one greyscale slice is expected")
        return _to_brightness(dataset, pixels)


def _decode(dataset: pydicom.FileDataset) -> NDArray[np.integer]:
    """Return the pixels as stored."""
    if not hasattr(dataset, "file_meta"):
        dataset.file_meta = pydicom.dataset.FileMetaDataset()
    has_syntax = bool(dataset.file_meta.get("TransferSyntaxUID"))
    dataset.file_meta.TransferSyntaxUID = syntax = get_transfer_syntax(dataset)
    content = dataset["PixelData"].value or b""
    if not has_syntax and dataset["PixelData"].is_undefined_length:
        raise UnreadableError("compressed pixels, but TransferSyntaxUID missing in the meta header; export it again")
    if syntax.is_encapsulated:
        _check_decoder(syntax)
    else:
        samples = int(dataset.SamplesPerPixel) * int(dataset.get("NumberOfFrames") or 1)
        needed = int(dataset.Rows) * int(dataset.Columns) * samples * int(dataset.BitsAllocated) // 8
        if len(content) < needed:
            raise UnreadableError(f"pixel data truncated, {len(content):,} of {needed:,} bytes; export it again")
    try:
        return dataset.pixel_array
    except Exception as error:
        if syntax.is_encapsulated:
            raise UnreadableError(f"pixels compressed as {syntax.name} are damaged; export it again") from error
        raise


def _to_brightness(dataset: pydicom.Dataset, stored: NDArray[np.integer]) -> NDArray[np.float32]:
    slope, intercept = (_read_rescale(dataset, name) for name in ("RescaleSlope", "RescaleIntercept"))
    pixels = stored.astype(np.float32) * (slope or 1) + (intercept or 0)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        pixels = -pixels
    padded = stored == dataset.get("PixelPaddingValue")
    pixels[padded] = pixels[~padded].min(initial=pixels.max())
    return pixels - min(pixels.min(), 0)


def _read_rescale(dataset: pydicom.Dataset, name: str) -> float | None:
    value = read_number(dataset, name)
    if value is None and read_text(dataset, name):
        raise UnreadableError(f"{explain_value(dataset, name, 'one number')}; export it again")
    return value


def _check_decoder(syntax: pydicom.uid.UID) -> None:
    """Check that pixels of a compressed transfer syntax can be decoded.

    Raises:
        UnreadableError: If no decoder exists or none is installed. The message names the package to install.
    """
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError as error:
        raise UnreadableError(
            f"pixels compressed as {syntax.name}, which is not supported; export it uncompressed"
        ) from error
    if not decoder.is_available:
        needed = " ".join(decoder.missing_dependencies)
        package = "python-gdcm" if "gdcm" in needed else " ".join(re.findall(r"pylibjpeg[\w-]*(?=>)", needed))
        raise UnreadableError(
            f"pixels compressed as {syntax.name}, for which no decoder is installed; pip install {package} (part of "
            "lss-lightning[codecs]), or export it uncompressed"
        )


def _read_plane(dataset: pydicom.Dataset) -> tuple[Plane | None, dict[str, str]]:
    """Return the plane or None, and a clause for each missing or invalid attribute that states the problem."""
    values = {name: np.array(read_numbers(dataset, name) or (), dtype=np.float64) for name in _PLANE}
    invalid = [name for name, (length, _) in _PLANE.items() if values[name].shape != (length,)]
    if "ImageOrientationPatient" not in invalid:
        axes = values["ImageOrientationPatient"].reshape(2, 3)
        if not np.allclose(axes @ axes.T, np.eye(2), atol=_UNIT_TOLERANCE):
            invalid.append("ImageOrientationPatient")
    if not (values["PixelSpacing"] > 0).all():
        invalid.append("PixelSpacing")
    problems = {name: explain_value(dataset, name, _PLANE[name][1]) for name in invalid}
    shape = int(read_number(dataset, "Rows") or 0), int(read_number(dataset, "Columns") or 0)
    for name, length in zip(("Rows", "Columns"), shape, strict=True):
        if length < 2:
            problems[name] = explain_value(dataset, name, "a whole number from 2")
    if problems:
        return None, problems
    height, width = (float(step) for step in values["PixelSpacing"])
    return Plane(values["ImagePositionPatient"], axes[0], axes[1], (height, width), shape), {}


def _find_class(dataset: pydicom.Dataset) -> str:
    """Return the SOP class of a file from its data set or else its meta header, or an empty string."""
    meta = getattr(dataset, "file_meta", pydicom.Dataset())
    return read_text(dataset, "SOPClassUID") or read_text(meta, "MediaStorageSOPClassUID")


def _count_frames(dataset: pydicom.Dataset) -> int:
    is_mr = _find_class(dataset) in _MR_CLASSES
    if (read_value(dataset, "Rows") is None and not is_mr) or read_text(dataset, "Modality") == "SEG":
        return 0
    return int(read_number(dataset, "NumberOfFrames") or 1)
