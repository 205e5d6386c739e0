"""Reading of single DICOM files: header and pixels. Of what identifies the patient, only digests are kept."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from io import BytesIO
from pathlib import PurePosixPath

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.errors import InvalidDicomError
from pydicom.pixels import get_decoder

from lss_lightning.data.dicom.archive import FileReader, UnreadableError
from lss_lightning.data.dicom.geometry import Plane
from lss_lightning.data.dicom.traits import TRAITS_HEADER, ImageTraits, read_traits
from lss_lightning.errors import UserError

_HEADER = [
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
    "PixelData",
]
_GREY = ("MONOCHROME1", "MONOCHROME2")
# Exceptions that pydicom raises on damaged files, besides InvalidDicomError.
_DAMAGE = (EOFError, ValueError, KeyError, AttributeError, TypeError, IndexError, struct.error, NotImplementedError)


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
        slice_spacing: Distance between the centres of neighbouring slices in mm, or None if unknown.
        thickness: Slice thickness in mm, or None if unknown.
        number_of_frames: Number of images in the file. It is 0 for reports and segmentations.
        traits: Weighting, derivation and other properties that decide what the image is used for.
    """

    file: str
    study_uid: str
    series_uid: str
    frame_of_reference_uid: str
    repetition_time: float | None
    echo_time: float | None
    plane: Plane | None
    invalid_attributes: tuple[str, ...]
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
        """The plane.

        Raises:
            UserError: If an attribute that defines the plane is missing or invalid.
        """
        if self.plane is None:
            raise UserError(
                f"{short_name(self.file)}: {' and '.join(self.invalid_attributes)} missing or invalid; export it again"
            )
        return self.plane


def short_name(file: str) -> str:
    """Return the last two parts of a path, which name the series and the image but not the patient."""
    return "/".join(PurePosixPath(file).parts[-2:])


def read_dicom_image(file: str, read: FileReader) -> DicomImage:
    """Read a file's header.

    Raises:
        UnreadableError: If the file is not DICOM or is damaged.
    """
    dataset = _read_dataset(file, read, _HEADER + TRAITS_HEADER)
    try:
        plane, invalid_attributes = _read_plane(dataset)
        repetition_time, echo_time = _read_number(dataset, "RepetitionTime"), _read_number(dataset, "EchoTime")
        return DicomImage(
            file=file,
            study_uid=str(dataset.get("StudyInstanceUID") or ""),
            series_uid=str(dataset.get("SeriesInstanceUID") or ""),
            frame_of_reference_uid=str(dataset.get("FrameOfReferenceUID") or ""),
            repetition_time=repetition_time,
            echo_time=echo_time,
            plane=plane,
            invalid_attributes=invalid_attributes,
            slice_spacing=_read_number(dataset, "SpacingBetweenSlices") or _read_number(dataset, "SliceThickness"),
            thickness=_read_number(dataset, "SliceThickness"),
            number_of_frames=_count_frames(dataset),
            traits=read_traits(dataset, repetition_time, echo_time),
        )
    except _DAMAGE as error:
        raise UnreadableError("damaged DICOM header") from error


def read_pixels(file: str, read: FileReader) -> NDArray[np.float32]:
    """Read an image's pixels.

    Returns:
        float32 array of shape (H, W) in the scanner's units, shifted so that no value is negative. MONOCHROME1 is
        inverted, and padding has the value of the darkest pixel.

    Raises:
        UnreadableError: If the file is not DICOM, is truncated, is compressed in an unsupported way, is in colour, or
            has several frames.
    """
    dataset = _read_dataset(file, read, _PIXELS)
    try:
        pixels = dataset.pixel_array
    except (RuntimeError, *_DAMAGE) as error:
        raise UnreadableError(_explain_decoding_failure(dataset)) from error
    kind = str(dataset.get("PhotometricInterpretation"))
    if kind not in _GREY:
        raise UnreadableError(f"colour image ({kind}) where greyscale is expected; export the original series")
    if pixels.ndim != 2:
        raise UnreadableError(f"pixels of shape {pixels.shape} where one greyscale slice is expected")
    return _to_brightness(dataset, pixels)


def _to_brightness(dataset: pydicom.Dataset, stored: NDArray[np.integer]) -> NDArray[np.float32]:
    slope, intercept = float(dataset.get("RescaleSlope") or 1), float(dataset.get("RescaleIntercept") or 0)
    pixels = stored.astype(np.float32) * slope + intercept
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        pixels = -pixels
    padded = stored == dataset.get("PixelPaddingValue")
    pixels[padded] = pixels[~padded].min(initial=pixels.max())
    return pixels - min(pixels.min(), 0)


def _explain_decoding_failure(dataset: pydicom.FileDataset) -> str:
    """Explain why the pixels could not be decoded and give the remedy."""
    syntax = dataset.file_meta.get("TransferSyntaxUID")
    if syntax is not None and syntax.is_compressed:
        try:
            decoder = get_decoder(syntax)
        except NotImplementedError:
            return f"pixels compressed as {syntax.name}, which is not supported; export it uncompressed"
        if not decoder.is_available:
            decoders = sorted(decoder.missing_dependencies, key=lambda name: not name.startswith("pylibjpeg"))
            packages = " ".join(re.findall(r"[a-z][\w-]+(?=[<>=])", decoders[0]))
            return f"pixels compressed as {syntax.name}, for which no decoder is installed; pip install {packages}"
    return "pixel data missing or truncated; export it again"


def _read_dataset(file: str, read: FileReader, tags: list[str]) -> pydicom.FileDataset:
    # Old exports hold many irregular values; every attribute that matters is checked here, so warnings add nothing.
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    try:
        return pydicom.dcmread(
            BytesIO(read(file)), specific_tags=list(tags), stop_before_pixels="PixelData" not in tags
        )
    except InvalidDicomError as error:
        raise UnreadableError("not a DICOM file") from error
    except _DAMAGE as error:
        raise UnreadableError("damaged DICOM file") from error


def _read_plane(dataset: pydicom.Dataset) -> tuple[Plane | None, tuple[str, ...]]:
    """Return the plane, or None and the names of the attributes that are missing or invalid."""
    lengths = {"PixelSpacing": 2, "ImageOrientationPatient": 6, "ImagePositionPatient": 3}
    values = {name: np.array(dataset.get(name) or [], dtype=np.float64) for name in lengths}
    invalid = [name for name, length in lengths.items() if values[name].shape != (length,)]
    if not invalid:
        axes = values["ImageOrientationPatient"].reshape(2, 3)
        if not np.allclose(axes @ axes.T, np.eye(2), atol=1e-3):
            invalid.append("ImageOrientationPatient")
        if not (values["PixelSpacing"] > 0).all():
            invalid.append("PixelSpacing")
    shape = int(dataset.get("Rows") or 0), int(dataset.get("Columns") or 0)
    if min(shape) < 2:
        invalid.append("Rows and Columns")
    if invalid:
        return None, tuple(invalid)
    height, width = (float(step) for step in values["PixelSpacing"])
    return Plane(values["ImagePositionPatient"], axes[0], axes[1], (height, width), shape), ()


def _count_frames(dataset: pydicom.Dataset) -> int:
    if not dataset.get("Rows") or dataset.get("Modality") == "SEG":
        return 0
    return int(dataset.get("NumberOfFrames") or 1)


def _read_number(dataset: pydicom.Dataset, name: str) -> float | None:
    value = dataset.get(name)
    return None if value in (None, "") else float(value)
