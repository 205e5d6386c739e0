"""What a DICOM file says about its image, and the image itself; nothing that identifies the patient is read."""

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

from lss_lightning.data.dicom.archive import Read, UnreadableError
from lss_lightning.data.dicom.geometry import Plane
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
# What pydicom raises on damaged files, beside InvalidDicomError.
_DAMAGE = (EOFError, ValueError, KeyError, AttributeError, TypeError, IndexError, struct.error, NotImplementedError)


@dataclass(frozen=True)
class DicomImage:
    """A DICOM image without its pixels.

    Attributes:
        file: Name of the file.
        study: StudyInstanceUID.
        series: SeriesInstanceUID.
        description: SeriesDescription and ImageType in one, lower case.
        frame: FrameOfReferenceUID; empty where none is given.
        repetition: RepetitionTime in ms, or None.
        echo: EchoTime in ms, or None.
        plane: Where it lies, or None where something for that is missing.
        lacking: The attributes that are missing or make no sense.
        slice_spacing: Between the middles of neighbouring slices, mm, or None where unknown.
        thickness: Of the slice, mm, or None where unknown.
        frames: Images in the file; 0 where it holds none, as a report or a segmentation.
    """

    file: str
    study: str
    series: str
    description: str
    frame: str
    repetition: float | None
    echo: float | None
    plane: Plane | None
    lacking: tuple[str, ...]
    slice_spacing: float | None
    thickness: float | None
    frames: int

    @property
    def folder(self) -> str:
        """The folder that the file lies in."""
        return str(PurePosixPath(self.file).parent)

    @property
    def grid(self) -> Plane:
        """The plane.

        Raises:
            UserError: something for it is missing.
        """
        if self.plane is None:
            raise UserError(f"{short(self.file)}: {' and '.join(self.lacking)} missing or senseless; export it again")
        return self.plane


def short(file: str) -> str:
    """A file by its own name and its folder's, which name series and image but no person."""
    return "/".join(PurePosixPath(file).parts[-2:])


def read_dicom_image(file: str, read: Read) -> DicomImage:
    """Read what a file says about its image.

    Raises:
        UnreadableError: not DICOM, or damaged.
    """
    dataset = _read(file, read, _HEADER)
    try:
        plane, lacking = _plane(dataset)
        kinds = dataset.get("ImageType") or []
        description = " ".join((str(dataset.get("SeriesDescription") or ""), *kinds)).lower()
        return DicomImage(
            file=file,
            study=str(dataset.get("StudyInstanceUID") or ""),
            series=str(dataset.get("SeriesInstanceUID") or ""),
            description=description,
            frame=str(dataset.get("FrameOfReferenceUID") or ""),
            repetition=_number(dataset, "RepetitionTime"),
            echo=_number(dataset, "EchoTime"),
            plane=plane,
            lacking=lacking,
            slice_spacing=_number(dataset, "SpacingBetweenSlices") or _number(dataset, "SliceThickness"),
            thickness=_number(dataset, "SliceThickness"),
            frames=_frames(dataset),
        )
    except _DAMAGE as error:
        raise UnreadableError("a damaged DICOM header") from error


def read_pixels(file: str, read: Read) -> NDArray[np.float32]:
    """Read an image's pixels.

    Returns:
        (H, W), float32, in the scanner's units, lifted where these go below 0; bright is bright, padding is dark.

    Raises:
        UnreadableError: not DICOM, truncated, compressed in a way that cannot be read, in colour, or of several frames.
    """
    dataset = _read(file, read, _PIXELS)
    try:
        pixels = dataset.pixel_array
    except (RuntimeError, *_DAMAGE) as error:
        raise UnreadableError(_undecoded(dataset)) from error
    kind = str(dataset.get("PhotometricInterpretation"))
    if kind not in _GREY:
        raise UnreadableError(f"an image in colour ({kind}) where a grey one is expected; export the original series")
    if pixels.ndim != 2:
        raise UnreadableError(f"pixels of shape {pixels.shape} where one grey slice is expected")
    return _brightness(dataset, pixels)


def _brightness(dataset: pydicom.Dataset, stored: NDArray[np.integer]) -> NDArray[np.float32]:
    slope, intercept = float(dataset.get("RescaleSlope") or 1), float(dataset.get("RescaleIntercept") or 0)
    pixels = stored.astype(np.float32) * slope + intercept
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        pixels = -pixels
    padded = stored == dataset.get("PixelPaddingValue")
    pixels[padded] = pixels[~padded].min(initial=pixels.max())
    return pixels - min(pixels.min(), 0)


def _undecoded(dataset: pydicom.FileDataset) -> str:
    """Why the pixels could not be decoded, and what would help."""
    syntax = dataset.file_meta.get("TransferSyntaxUID")
    if syntax is not None and syntax.is_compressed:
        try:
            decoder = get_decoder(syntax)
        except NotImplementedError:
            return f"pixels compressed as {syntax.name}, which cannot be read; export it uncompressed"
        if not decoder.is_available:
            ways = sorted(decoder.missing_dependencies, key=lambda way: not way.startswith("pylibjpeg"))
            packages = " ".join(re.findall(r"[a-z][\w-]+(?=[<>=])", ways[0]))
            return f"pixels compressed as {syntax.name}, for which no decoder is installed; pip install {packages}"
    return "pixel data missing or truncated; export it again"


def _read(file: str, read: Read, tags: list[str]) -> pydicom.FileDataset:
    # Odd values in old exports are no reason to warn: what matters is checked by name.
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    try:
        return pydicom.dcmread(
            BytesIO(read(file)), specific_tags=list(tags), stop_before_pixels="PixelData" not in tags
        )
    except InvalidDicomError as error:
        raise UnreadableError("not a DICOM file") from error
    except _DAMAGE as error:
        raise UnreadableError("a damaged DICOM file") from error


def _plane(dataset: pydicom.Dataset) -> tuple[Plane | None, tuple[str, ...]]:
    """The plane, or the names of what it lacks."""
    wanted = {"PixelSpacing": 2, "ImageOrientationPatient": 6, "ImagePositionPatient": 3}
    given = {name: np.array(dataset.get(name) or [], dtype=np.float64) for name in wanted}
    lacking = [name for name, count in wanted.items() if given[name].shape != (count,)]
    if not lacking:
        axes = given["ImageOrientationPatient"].reshape(2, 3)
        if not np.allclose(axes @ axes.T, np.eye(2), atol=1e-3):
            lacking.append("ImageOrientationPatient")
        if not (given["PixelSpacing"] > 0).all():
            lacking.append("PixelSpacing")
    shape = int(dataset.get("Rows") or 0), int(dataset.get("Columns") or 0)
    if min(shape) < 2:
        lacking.append("Rows and Columns")
    if lacking:
        return None, tuple(lacking)
    height, width = (float(step) for step in given["PixelSpacing"])
    return Plane(given["ImagePositionPatient"], axes[0], axes[1], (height, width), shape), ()


def _frames(dataset: pydicom.Dataset) -> int:
    if not dataset.get("Rows") or dataset.get("Modality") == "SEG":
        return 0
    return int(dataset.get("NumberOfFrames") or 1)


def _number(dataset: pydicom.Dataset, name: str) -> float | None:
    value = dataset.get(name)
    return None if value in (None, "") else float(value)
