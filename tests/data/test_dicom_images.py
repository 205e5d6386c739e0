"""From what a DICOM file stores to a grey image the right way round and up."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

from lss_lightning.data.dicom.archive import UnreadableError
from lss_lightning.data.dicom.geometry import Plane
from lss_lightning.data.dicom.images import read_dicom_image, read_pixels

GREY = np.arange(48, dtype=np.uint16).reshape(8, 6) * 20


def stored(pixels: np.ndarray, **attributes: Any) -> bytes:
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


def pixels_of(content: bytes) -> np.ndarray:
    return read_pixels("image", lambda _: content)


def test_numbers_stay_and_are_rescaled() -> None:
    assert (pixels_of(stored(GREY)) == GREY).all()
    assert pixels_of(stored(GREY)).dtype == np.float32
    assert (pixels_of(stored(GREY, RescaleSlope="2", RescaleIntercept="5")) == 2 * GREY + 5).all()


def test_what_goes_below_zero_is_lifted() -> None:
    signed = GREY.astype(np.int16) - 300
    assert (pixels_of(stored(signed)) == GREY).all()
    assert (pixels_of(stored(GREY, RescaleIntercept="-1000")) == GREY).all()


def test_monochrome1_is_turned_round() -> None:
    turned = (GREY.max() - GREY).astype(np.uint16)
    assert (pixels_of(stored(turned, PhotometricInterpretation="MONOCHROME1")) == GREY).all()


def test_padding_is_as_dark_as_the_darkest_pixel() -> None:
    padded = GREY.astype(np.int16) + 100
    padded[:2] = -2000
    expected = GREY.astype(np.int16) + 100
    expected[:2] = expected[2:].min()
    assert (pixels_of(stored(padded, PixelPaddingValue=-2000)) == expected).all()
    assert (pixels_of(stored(np.full_like(GREY, 7), PixelPaddingValue=7)) == 7).all()


@pytest.mark.parametrize("kind", ["RGB", "YBR_FULL"])
def test_colours_are_refused(kind: str) -> None:
    colours = np.zeros((8, 6, 3), dtype=np.uint8)
    content = stored(colours, SamplesPerPixel=3, PlanarConfiguration=0, PhotometricInterpretation=kind)
    with pytest.raises(UnreadableError, match=rf"an image in colour \({kind}\) where a grey one is expected"):
        pixels_of(content)
    with pytest.raises(UnreadableError, match="PALETTE COLOR"):
        pixels_of(stored(GREY, PhotometricInterpretation="PALETTE COLOR"))


def test_a_segmentation_counts_as_no_image() -> None:
    assert read_dicom_image("image", lambda _: stored(GREY, Modality="MR")).frames == 1
    assert read_dicom_image("image", lambda _: stored(GREY, Modality="SEG", NumberOfFrames=3)).frames == 0


@pytest.mark.parametrize("flips", [(), (0,), (1,), (0, 1)], ids=str)
def test_flipped_images_are_put_upright_where_they_lie(flips: tuple[int, ...]) -> None:
    angle = np.radians(12)
    across, down = np.array((np.cos(angle), np.sin(angle), 0)), np.array((-np.sin(angle), np.cos(angle), 0))
    upright = Plane(np.array((-3.0, 5.0, 7.0)), across, down, (0.5, 0.7), GREY.shape)
    corner = upright.corner + sum(
        ((GREY.shape[axis] - 1) * upright.spacing[axis] * (down, across)[axis] for axis in flips), np.zeros(3)
    )
    signs = [-1 if axis in flips else 1 for axis in (0, 1)]
    found, axes = Plane(corner, signs[1] * across, signs[0] * down, upright.spacing, upright.shape).upright()
    assert axes == flips
    for name in ("corner", "across", "down"):
        assert getattr(found, name) == pytest.approx(getattr(upright, name))
