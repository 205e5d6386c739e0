"""Tests of odd DICOM files: values of another type, files without meta header, enhanced images, damaged pixels."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, EnhancedMRImageStorage

from lss_lightning.data.dicom.archive import UnreadableError
from lss_lightning.data.dicom.attributes import is_directory_file, may_be_dicom
from lss_lightning.data.dicom.images import DicomImage, read_dicom_image, read_pixels
from tests.data.dicom.test_images import GREY, encode_dicom

GEOMETRY = {
    "PixelSpacing": [0.5, 0.75],
    "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
    "ImagePositionPatient": [1, 2, 3],
}
TIMES = {"RepetitionTime": 500, "EchoTime": 12, "SliceThickness": 4, "StudyInstanceUID": "1.2", "Modality": "MR"}
SPACING_RULE = "must be two positive numbers in mm"


def encode(change: Callable[[pydicom.FileDataset], None] = lambda _: None, **options: Any) -> bytes:
    """Return a valid file after a change."""
    dataset = pydicom.dcmread(BytesIO(encode_dicom(GREY, **GEOMETRY, **TIMES)))
    change(dataset)
    stream = BytesIO()
    validation = pydicom.config.settings.writing_validation_mode
    pydicom.config.settings.writing_validation_mode = pydicom.config.IGNORE
    try:
        dataset.save_as(stream, **options)
    finally:
        pydicom.config.settings.writing_validation_mode = validation
    return stream.getvalue()


def read(content: bytes) -> DicomImage:
    return read_dicom_image("image", lambda _: content)


def store(name: str, vr: str, value: Any) -> Callable[[pydicom.FileDataset], None]:
    def change(dataset: pydicom.FileDataset) -> None:
        tag = dataset[name].tag
        dataset[tag] = DataElement(tag, vr, value)

    return change


@pytest.mark.parametrize("vr", ["UT", "LT", "ST", "UC", "UN"])
def test_numbers_stored_as_one_text_are_read(vr: str) -> None:
    text: Any = b"0.5\\0.75" if vr == "UN" else "0.5\\0.75"
    image = read(encode(store("PixelSpacing", vr, text)))
    assert repr(image) == repr(read(encode()))
    assert image.plane is not None
    assert image.plane.spacing == (0.5, 0.75)


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("PixelSpacing", "0,5\\0,75", f"PixelSpacing=0,5\\0,75, {SPACING_RULE}"),
        ("PixelSpacing", "0.5", f"PixelSpacing=0.5, {SPACING_RULE}"),
        ("PixelSpacing", "0\\0", f"PixelSpacing=0\\0, {SPACING_RULE}"),
        ("PixelSpacing", "-0.5\\0.75", f"PixelSpacing=-0.5\\0.75, {SPACING_RULE}"),
        ("PixelSpacing", "nan\\nan", f"PixelSpacing=nan\\nan, {SPACING_RULE}"),
        ("PixelSpacing", "Doe^John", "PixelSpacing holds other text, must be"),
        ("PixelSpacing", "", "PixelSpacing missing"),
        ("ImagePositionPatient", "1\\2", "ImagePositionPatient=1\\2, must be three numbers in mm"),
        ("ImageOrientationPatient", "1\\0\\0\\1\\0\\0", "ImageOrientationPatient=1\\0\\0\\1\\0\\0, must be six"),
        ("RepetitionTime", "5OO ms", "RepetitionTime holds other text, must be one number"),
        ("EchoTime", "10\\80", "EchoTime=10\\80, must be one number"),
        ("SliceThickness", "4,0", "SliceThickness=4,0, must be one number"),
    ],
)  # fmt: skip
def test_an_invalid_value_is_named_with_its_rule(name: str, value: str, problem: str) -> None:
    image = read(encode(store(name, "UT", value)))
    (stated,) = image.attribute_problems
    assert problem in stated
    assert "Doe" not in stated
    assert (image.plane is None) == (name in GEOMETRY)
    assert image.invalid_attributes == ((name,) if name in GEOMETRY else ())


@pytest.mark.parametrize("implicit", [True, False])
def test_files_without_meta_header_are_read(implicit: bool, tmp_path: Path) -> None:
    def strip(dataset: pydicom.FileDataset) -> None:
        del dataset.file_meta

    content = encode(strip, implicit_vr=implicit, little_endian=True, enforce_file_format=False)
    for variant in (content, content[132:] if content[128:132] == b"DICM" else content):
        assert repr(read(variant)) == repr(read(encode()))
        assert (read_pixels("image", {"image": variant}.__getitem__) == GREY).all()
        (tmp_path / "image").write_bytes(variant)
        assert may_be_dicom(tmp_path / "image")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "an empty file"),
        (b"no image", "not a DICOM file"),
        (b"\0" * 500, "not a DICOM file"),
        (bytes(range(256)) * 8, "not a DICOM file"),
        (b"\x08\0\x16\0UI\xff\xff" + b"1" * 300, "not a DICOM file"),
        (b"<html>" + b" " * 200 + b"</html>", "not a DICOM file"),
    ],
)
def test_files_that_are_not_dicom(content: bytes, reason: str) -> None:
    with pytest.raises(UnreadableError, match=reason):
        read(content)


def groups(**values: Any) -> list[Dataset]:
    item = Dataset()
    for name, value in values.items():
        setattr(item, name, value)
    return [item]


@pytest.mark.parametrize("shared", [True, False])
def test_enhanced_images_of_one_frame_are_read(shared: bool) -> None:
    def enhance(dataset: pydicom.FileDataset) -> None:
        moved = {
            "PixelMeasuresSequence": groups(PixelSpacing=dataset.PixelSpacing, SliceThickness=dataset.SliceThickness),
            "PlaneOrientationSequence": groups(ImageOrientationPatient=dataset.ImageOrientationPatient),
            "MRTimingAndRelatedParametersSequence": groups(RepetitionTime=500.0),
            "MREchoSequence": groups(EffectiveEchoTime=12.0),
            "PixelValueTransformationSequence": groups(RescaleSlope="2", RescaleIntercept="5"),
        }
        position = groups(ImagePositionPatient=dataset.ImagePositionPatient)
        for name in (*GEOMETRY, "RepetitionTime", "EchoTime", "SliceThickness"):
            delattr(dataset, name)
        dataset.SOPClassUID, dataset.NumberOfFrames = EnhancedMRImageStorage, 1
        dataset.SharedFunctionalGroupsSequence = groups(**(moved if shared else {}))
        own = {} if shared else moved
        dataset.PerFrameFunctionalGroupsSequence = groups(PlanePositionSequence=position, **own)

    content = encode(enhance)
    assert repr(read(content)) == repr(read(encode()))
    assert (read_pixels("image", lambda _: content) == 2 * GREY + 5).all()


def drop(*names: str) -> Callable[[pydicom.FileDataset], None]:
    def change(dataset: pydicom.FileDataset) -> None:
        for name in names:
            delattr(dataset, name)

    return change


def set_value(name: str, value: Any) -> Callable[[pydicom.FileDataset], None]:
    return lambda dataset: setattr(dataset, name, value)


def compress(content: bytes, syntax: str) -> Callable[[pydicom.FileDataset], None]:
    def change(dataset: pydicom.FileDataset) -> None:
        dataset.file_meta.TransferSyntaxUID = UID(syntax)
        dataset.PixelData = encapsulate([content])
        dataset["PixelData"].VR = "OB"

    return change


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (drop("PixelData"), "PixelData missing; export it again with its pixels"),
        (drop("BitsAllocated", "SamplesPerPixel"), "SamplesPerPixel and BitsAllocated missing"),
        (set_value("PixelData", b"12345678"), "pixel data truncated, 8 of 96 bytes"),
        (set_value("BitsAllocated", 12), r"pixels cannot be decoded \(ValueError: .*[Bb]its [Aa]llocated"),
        (store("Rows", "UT", "eight"), r"pixels cannot be decoded \("),
        (compress(b"\xff\xd8\xff\xf7\0\0\xff\xd9", "1.2.840.10008.1.2.4.80"), "JPEG-LS Lossless .* are damaged"),
        (compress(b"\xff\xd8\xff\xd9", "1.2.840.10008.1.2.4.50"), "JPEG Baseline .* are damaged"),
        (compress(b"\0", "1.2.840.10008.1.2.4.90"), "JPEG 2000 .* are damaged"),
        (compress(b"\0", "1.2.840.10008.1.2.5"), "RLE Lossless are damaged"),
        (compress(b"\0", "1.2.840.10008.1.2.4.100"), "MPEG2 .* not supported; export it uncompressed"),
    ],
)
def test_pixels_that_cannot_be_decoded(
    change: Callable[[pydicom.FileDataset], None], reason: str, capfd: pytest.CaptureFixture[str]
) -> None:
    content = encode(change)
    with pytest.raises(UnreadableError, match=reason):
        read_pixels("image", lambda _: content)
    assert capfd.readouterr() == ("", "")


def test_a_rescale_slope_that_is_no_number_is_named() -> None:
    content = encode(lambda dataset: dataset.add_new("RescaleSlope", "UT", "1,5"))
    with pytest.raises(UnreadableError, match="RescaleSlope=1,5, must be one number"):
        read_pixels("image", lambda _: content)


def test_a_missing_decoder_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    class Missing:
        is_available = False
        missing_dependencies = ("pylibjpeg - requires pylibjpeg>=2.0, pylibjpeg-openjpeg>=2.0",)

    monkeypatch.setattr("lss_lightning.data.dicom.images.get_decoder", lambda _: Missing)
    content = encode(compress(b"\0", "1.2.840.10008.1.2.4.201"))
    with pytest.raises(UnreadableError, match="pip install pylibjpeg pylibjpeg-openjpeg"):
        read_pixels("image", lambda _: content)


def test_pydicom_prints_nothing(tmp_path: Path) -> None:
    assert not logging.getLogger("pydicom").isEnabledFor(logging.CRITICAL)

    def spoil(dataset: pydicom.FileDataset) -> None:
        dataset.SpecificCharacterSet, dataset.SeriesDescription = "NONSENSE", "t2"

    (tmp_path / "image").write_bytes(encode(spoil))
    code = (
        "from pathlib import Path; from lss_lightning.data.dicom.images import read_dicom_image; "
        f"read_dicom_image({str(tmp_path / 'image')!r}, lambda name: Path(name).read_bytes())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_directory_files_are_recognised_by_name_or_class(tmp_path: Path) -> None:
    directory = pydicom.dcmread(BytesIO(encode_dicom(GREY)))
    directory.file_meta.MediaStorageSOPClassUID = pydicom.uid.MediaStorageDirectoryStorage
    directory.save_as(tmp_path / "index")
    (tmp_path / "image").write_bytes(encode_dicom(GREY))
    (tmp_path / "text").write_text("no image")
    (tmp_path / "dicomdir").write_text("")
    found = {path.name for path in tmp_path.iterdir() if is_directory_file(path)}
    assert found == {"index", "dicomdir"}
