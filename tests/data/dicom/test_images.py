"""Tests of reading single DICOM files: pixel values, photometric interpretation and refused files."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

from lss_lightning.data.dicom.archive import UnreadableError
from lss_lightning.data.dicom.images import read_dicom_image, read_pixels

GREY = np.arange(48, dtype=np.uint16).reshape(8, 6) * 20


def encode_dicom(pixels: np.ndarray, **attributes: Any) -> bytes:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = MRImageStorage, generate_uid(entropy_srcs=["image"])
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    bits = 8 * pixels.dtype.itemsize
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, bits, bits - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    for name, value in attributes.items():
        setattr(dataset, name, value)
    dataset.PixelData = pixels.tobytes()
    stream = BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def decode(content: bytes) -> np.ndarray:
    return read_pixels("image", lambda _: content)


def test_values_are_rescaled_by_slope_and_intercept() -> None:
    assert (decode(encode_dicom(GREY)) == GREY).all()
    assert decode(encode_dicom(GREY)).dtype == np.float32
    assert (decode(encode_dicom(GREY, RescaleSlope="2", RescaleIntercept="5")) == 2 * GREY + 5).all()


def test_negative_values_are_shifted_to_zero() -> None:
    signed = GREY.astype(np.int16) - 300
    assert (decode(encode_dicom(signed)) == GREY).all()
    assert (decode(encode_dicom(GREY, RescaleIntercept="-1000")) == GREY).all()


def test_monochrome1_is_inverted() -> None:
    inverted = (GREY.max() - GREY).astype(np.uint16)
    assert (decode(encode_dicom(inverted, PhotometricInterpretation="MONOCHROME1")) == GREY).all()


def test_padding_has_the_value_of_the_darkest_pixel() -> None:
    padded = GREY.astype(np.int16) + 100
    padded[:2] = -2000
    expected = GREY.astype(np.int16) + 100
    expected[:2] = expected[2:].min()
    assert (decode(encode_dicom(padded, PixelPaddingValue=-2000)) == expected).all()
    assert (decode(encode_dicom(np.full_like(GREY, 7), PixelPaddingValue=7)) == 7).all()


@pytest.mark.parametrize("kind", ["RGB", "YBR_FULL"])
def test_colour_images_are_refused(kind: str) -> None:
    pixels = np.zeros((8, 6, 3), dtype=np.uint8)
    content = encode_dicom(pixels, SamplesPerPixel=3, PlanarConfiguration=0, PhotometricInterpretation=kind)
    with pytest.raises(UnreadableError, match=rf"colour image \({kind}\) where greyscale is expected"):
        decode(content)
    with pytest.raises(UnreadableError, match="PALETTE COLOR"):
        decode(encode_dicom(GREY, PhotometricInterpretation="PALETTE COLOR"))


def test_segmentations_have_no_image_frames() -> None:
    assert read_dicom_image("image", lambda _: encode_dicom(GREY, Modality="MR")).number_of_frames == 1
    assert (
        read_dicom_image("image", lambda _: encode_dicom(GREY, Modality="SEG", NumberOfFrames=3)).number_of_frames == 0
    )
