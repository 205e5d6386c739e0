"""Prediction gives the same label maps for any order in which a DICOM series is stored."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.uid import UID, generate_uid

from lss_lightning.workflows.prediction import findings
from tests.workflows.prediction.studies import T1_SERIES, T2_SERIES, files, run, write_checkpoint, write_dicom

ORDERS = list(product((False, True), ((), (0,), (1,), (0, 1))))
_CUT = 10  # rows, so that images are not square
_SLICES = 4


def store(pixels: np.ndarray, order: tuple[bool, tuple[int, ...]]) -> np.ndarray:
    transposed, flips = order
    return np.flip(pixels.T if transposed else pixels, flips)


def store_image(source: Path, target: Path, order: tuple[bool, tuple[int, ...]], study: str, number: int) -> None:
    """Write an image with its pixels in another order, at the same position in the patient."""
    dataset = pydicom.dcmread(source)
    upright = dataset.pixel_array[:-_CUT]
    pixels = store(upright, order)
    transposed, flips = order
    directions = np.reshape(dataset.ImageOrientationPatient, (2, 3)).astype(float)[:: 1 if transposed else -1].copy()
    corner = np.array(dataset.ImagePositionPatient, dtype=float)
    for axis in flips:
        corner += (pixels.shape[axis] - 1) * float(dataset.PixelSpacing[0]) * directions[axis]
        directions[axis] *= -1
    dataset.ImagePositionPatient = [f"{value:.8f}" for value in corner]
    dataset.ImageOrientationPatient = [f"{value:.8f}" for value in directions[::-1].ravel()]
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.PixelData = pixels.tobytes()
    dataset.InstanceNumber, dataset.StudyInstanceUID = number, UID(study)
    dataset.SeriesInstanceUID = UID(f"{study}.{source.parent.name[-1]}")
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID(f"{dataset.SeriesInstanceUID}.{number}")
    target.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(target)


def read_maps(folder: Path) -> list[np.ndarray]:
    return [np.asarray(Image.open(path)) for path in sorted((folder / "label_maps").iterdir())]


def test_a_series_is_read_the_same_from_any_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight orders of rows and columns, with the files from head to feet and from feet to head."""
    sources = files(write_dicom(tmp_path / "source"), T1_SERIES)[:_SLICES]
    stored = list(product(ORDERS, (1, -1)))
    for index, (order, step) in enumerate(stored):
        study = generate_uid()[:50]
        for number, source in enumerate(sources[::step], start=1):
            store_image(source, tmp_path / f"input/{index:02d}/{number}.dcm", order, study, number)
    checkpoint = write_checkpoint(tmp_path / "best.ckpt", "t1")
    # Otherwise what an untrained network finds has no segmentation.
    monkeypatch.setattr(findings, "flag_plausibility", lambda *_: iter(()))
    output = run(checkpoint, tmp_path / "input", tmp_path / "out", "output.seg=true", "output.overlays=false")
    expected = read_maps(output / "study_1")
    assert len(expected) == _SLICES
    assert len(np.unique(expected)) > 1
    for index, (order, step) in enumerate(stored):
        folder = output / f"study_{index + 1}"
        np.testing.assert_array_equal(read_maps(folder), expected)
        about = json.loads((folder / "measurements.json").read_text())
        assert [entry["image_left"] for entry in about["slices"]] == ["right"] * _SLICES
        codes = {entry["name"]: entry["code"] for entry in about["classes"]}
        headers = [pydicom.dcmread(tmp_path / f"input/{index:02d}/{number + 1}.dcm") for number in range(_SLICES)]
        segs = [hd.seg.segread(path) for path in folder.glob("segmentation*.dcm")]
        segmented = {uid: seg for seg in segs for _, _, uid in seg.get_source_image_uids()}
        for header, classes in zip(headers[::step], expected, strict=True):
            seg = segmented[header.SOPInstanceUID]
            pixels = seg.get_pixels_by_source_instance([header.SOPInstanceUID])[0]
            for number in seg.segment_numbers:
                code = codes[seg.get_segment_description(number).segment_label]
                np.testing.assert_array_equal(pixels[..., number - 1] > 0, store(classes == code, order))


@pytest.mark.parametrize("weighting", ["T1", "T2"])
def test_t1_and_t2_may_be_stored_in_different_orders(tmp_path: Path, weighting: str) -> None:
    source = write_dicom(tmp_path / "source")
    study = generate_uid()[:50]
    for name, turned_kind in (("upright", ""), ("turned", weighting)):
        for kind, series in (("T1", T1_SERIES), ("T2", T2_SERIES)):
            for number, path in enumerate(files(source, series)[:_SLICES], start=1):
                order = ORDERS[5] if kind == turned_kind else ORDERS[0]
                store_image(path, tmp_path / f"{name}/{series}/{number}.dcm", order, study, number)
    checkpoint = write_checkpoint(tmp_path / "best.ckpt")
    upright, turned = (run(checkpoint, tmp_path / name, tmp_path / f"{name}_out") for name in ("upright", "turned"))
    expected, actual = (np.stack(read_maps(output / "study_1")) for output in (upright, turned))
    # The registration starts from positions that the files round.
    assert (actual == expected).mean() > 0.99
