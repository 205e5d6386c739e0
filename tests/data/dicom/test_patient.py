"""Tests of the conversion of a patient: pairing, damaged files, missing attributes and flags."""

from __future__ import annotations

import math
from pathlib import Path

import pydicom
import pytest

from lss_lightning.data.dicom import convert_studies
from lss_lightning.data.dicom.picks import PICKS_FOLDER, SLICES_CSV, read_picks
from lss_lightning.phantom.dicom import T1_SERIES, T2_SERIES
from tests.data.dicom.raw_studies import convert, edit_files, find_disc_file, find_study


def remove_spacing(dataset: pydicom.FileDataset) -> None:
    del dataset.PixelSpacing


def test_pairs_are_matched_by_position_and_not_by_number(raw: Path) -> None:
    sorted((find_study(raw) / T2_SERIES).iterdir())[0].unlink()
    record = convert(raw)["0001_D4"]
    assert (record.status, record.t2_slice) == ("registered", (record.t1_slice or 0) - 1)
    assert record.flags == "slice_number_differs;frame_of_reference_differs"


def test_file_that_is_not_dicom_is_counted_and_flagged(raw: Path) -> None:
    sorted((find_study(raw) / T1_SERIES).iterdir())[0].write_bytes(b"not an image")
    find_disc_file(raw, T1_SERIES, "D5").write_bytes(b"")
    records = convert(raw)
    assert records["0001_D3"].status == records["0001_D4"].status == "registered"
    assert records["0001_D4"].flags == "unreadable_file;frame_of_reference_differs"
    assert records["0001_D5"].problem.startswith(f"{T1_SERIES}/T1_TSE_TRA__0001_")
    assert "not a readable DICOM file" in records["0001_D5"].problem


@pytest.mark.parametrize("series", [T1_SERIES, T2_SERIES])
def test_slice_with_truncated_pixels_is_left_out(raw: Path, series: str) -> None:
    file = find_disc_file(raw, series)
    file.write_bytes(file.read_bytes()[:-1000])
    records = convert(raw)
    assert "pixel data truncated" in records["0001_D4"].problem
    assert f"{series}/{file.name}" in records["0001_D4"].problem
    assert records["0001_D3"].status == "registered"


def test_slice_without_pixel_spacing_is_left_out(raw: Path) -> None:
    numbers = read_picks(raw)[0].slice_numbers
    edit_files(find_study(raw) / T1_SERIES, remove_spacing, only=numbers["D3"])
    edit_files(find_study(raw) / T2_SERIES, remove_spacing, only=numbers["D5"])
    records = convert(raw)
    assert "PixelSpacing missing" in records["0001_D3"].problem
    assert records["0001_D4"].status == "registered"
    assert f"no image of {T2_SERIES} within 2.2 mm" in records["0001_D5"].problem
    assert "(1 of its" in records["0001_D5"].problem


def test_patient_with_a_series_without_pixel_spacing_is_left_out(raw: Path) -> None:
    edit_files(find_study(raw) / T1_SERIES, remove_spacing)
    assert convert(raw)["0001_D3"].problem.startswith(f"T1 series {T1_SERIES} is without PixelSpacing; export")


def test_slice_number_beyond_the_series_is_left_out(raw: Path) -> None:
    lines = (raw / PICKS_FOLDER / SLICES_CSV).read_text().splitlines()
    (raw / PICKS_FOLDER / SLICES_CSV).write_text("\n".join([lines[0].rsplit(",", 1)[0] + ",40", *lines[1:]]))
    records = convert(raw)
    assert f"{SLICES_CSV} names slice 40 of {T1_SERIES}, which has" in records["0001_D5"].problem
    assert records["0001_D4"].status == "registered"


def test_large_motion_and_failed_registrations_are_flagged(raw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import SimpleITK

    far = SimpleITK.Euler2DTransform()
    far.SetAngle(math.radians(6))
    far.SetTranslation((16.0, 0.0))
    monkeypatch.setattr("lss_lightning.data.dicom.registration._optimise", lambda *_: far)
    monkeypatch.setattr("lss_lightning.data.dicom.registration._compute_information", lambda *_: 1.0)
    records = {record.level: record for record in convert_studies(raw, raw, raw.parent / "far", workers=1)}
    assert records["D3"].flags.endswith("frame_of_reference_differs;shift_over_15_mm;rotation_over_5_deg")
    assert records["D3"].rotation_deg == pytest.approx(-6)

    values = iter([1.0, 0.5, 0.5] * 6)  # before registration, and after each of the two step lengths
    monkeypatch.setattr("lss_lightning.data.dicom.registration._compute_information", lambda *_: next(values))
    records = {record.level: record for record in convert_studies(raw, raw, raw.parent / "fell", workers=1)}
    assert records["D3"].status == "not_registered"
    assert records["D3"].flags.endswith("frame_of_reference_differs;information_fell")
    assert (records["D3"].shift_x_mm, records["D3"].shift_y_mm, records["D3"].rotation_deg) == (0, 0, 0)
    assert (records["D3"].information_before, records["D3"].information_after) == (1.0, 0.5)
