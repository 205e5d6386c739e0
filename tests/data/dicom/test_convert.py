"""Tests of the conversion of raw studies to registered slices."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pydicom
import pytest

from lss_lightning.data.dicom import REGISTRATION_CSV, RegistrationRecord, convert_studies
from lss_lightning.data.dicom.archive import RAW_FOLDER, find_patient_files
from lss_lightning.data.dicom.picks import PICKS_FOLDER, SLICES_CSV
from lss_lightning.errors import UserError
from lss_lightning.phantom.dicom import T1_SERIES, T2_SERIES
from lss_lightning.phantom.study import StudySlice
from tests.data.dicom.raw_studies import (
    FOLDERS,
    SIZE,
    assert_no_identity,
    contents,
    convert,
    edit_files,
    find_study,
    read_pixels,
    read_table,
)


def test_slices_are_written_in_the_layout_of_the_data_set(converted: Path) -> None:
    names = [f"{patient}_{level}" for patient in ("0001", "0002") for level in ("D3", "D4", "D5")]
    files = {f"{folder}/{prefix}_{name}.png" for prefix, folder in FOLDERS.items() for name in names}
    assert set(contents(converted)) == files | {REGISTRATION_CSV}
    for name in names:
        t1, t2, composite, blank = (read_pixels(converted, prefix, name) for prefix in FOLDERS)
        assert t1.shape == t2.shape == blank.shape == (SIZE, SIZE)
        assert t1.dtype == t2.dtype == np.uint8
        assert (t1.min(), t1.max()) == (t2.min(), t2.max()) == (0, 255)
        third = np.maximum(t1.astype(int) - t2, 0)
        np.testing.assert_array_equal(composite, np.stack((t1, t2, third), axis=-1))
    assert_no_identity(converted)


def test_uncovered_border_is_black_and_unregistered(converted: Path) -> None:
    for row in read_table(converted):
        blank = read_pixels(converted, "B1", f"{row['patient']}_{row['level']}")
        assert set(np.unique(blank)) == {0, 250}
        assert (blank == 0).mean() == pytest.approx(float(row["uncovered"]), abs=1e-4)
        assert not read_pixels(converted, "T2", f"{row['patient']}_{row['level']}")[blank == 0].any()
        # 6 mm, 4 mm that the header states, and 2° over half the field of view give 14 mm or 6 of 96 pixels.
        assert (blank[7:-7, 7:-7] == 250).all()
        assert 0.005 < float(row["uncovered"]) < 0.2


def test_table_gives_the_known_offsets(converted: Path, phantom: tuple[Path, list[StudySlice]]) -> None:
    truth = [slice_ for slice_ in phantom[1] if slice_.content == "disc"]
    rows = read_table(converted)
    assert list(rows[0]) == list(RegistrationRecord.__dataclass_fields__)
    for row, true in zip(rows, truth, strict=True):
        assert (row["patient"], row["level"], row["status"]) == (f"{true.patient_id:04d}", true.level, "registered")
        assert row["t1_slice"] == row["t2_slice"] == str(true.number)
        assert float(row["gap_mm"]) == 0
        # A third of these coarse pixels. test_registration.py requires half a pixel of the real data.
        assert float(row["shift_x_mm"]) == pytest.approx(true.dx, abs=220 / SIZE / 3)
        assert float(row["shift_y_mm"]) == pytest.approx(true.dy, abs=220 / SIZE / 3)
        assert float(row["rotation_deg"]) == pytest.approx(true.rotation, abs=0.5)
        assert float(row["information_after"]) > float(row["information_before"]) > 0
        sizes = "size_differs;" if true.patient_id == 2 else ""
        assert (row["flags"], row["problem"]) == (f"{sizes}frame_of_reference_differs", "")


@pytest.mark.parametrize("series", [T1_SERIES, T2_SERIES])
def test_transposed_series_are_registered_on_the_pixels_of_t1(converted: Path, raw: Path, series: str) -> None:
    """The published labels are drawn on the stored pixels of T1, so its orientation is kept and flagged."""

    def transpose(dataset: pydicom.FileDataset) -> None:
        pixels = dataset.pixel_array.T.copy()
        first, second = dataset.ImageOrientationPatient[:3], dataset.ImageOrientationPatient[3:]
        dataset.ImageOrientationPatient = [*second, *first]
        dataset.PixelData = pixels.tobytes()

    edit_files(find_study(raw) / series, transpose)
    records = convert(raw)
    is_t1 = series == T1_SERIES
    for level in ("D3", "D4", "D5"):
        name = f"0001_{level}"
        assert records[name].status == "registered"
        assert ("not_upright" in records[name].flags) == is_t1
        for prefix in ("T1", "T2"):
            expected, actual = (read_pixels(root, prefix, name).astype(int) for root in (converted, raw.parent / "out"))
            actual = actual.T if is_t1 else actual
            assert np.abs(actual - expected).mean() < (1 if prefix == "T1" else 4)


def test_bytes_do_not_depend_on_the_workers(
    converted: Path, phantom: tuple[Path, list[StudySlice]], tmp_path: Path
) -> None:
    convert_studies(phantom[0] / RAW_FOLDER, phantom[0] / PICKS_FOLDER, tmp_path / "out", workers=2)
    assert contents(tmp_path / "out") == contents(converted)


def test_zip_gives_the_same_result_as_the_folder(converted: Path, raw: Path) -> None:
    with zipfile.ZipFile(raw / "MRI_Data.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted((raw / RAW_FOLDER).rglob("*.ima")):
            archive.write(path, path.relative_to(raw))
    shutil.rmtree(raw / RAW_FOLDER)
    convert_studies(raw / "MRI_Data.zip", raw, raw.parent / "out", workers=1)
    assert contents(raw.parent / "out") == contents(converted)
    assert find_patient_files(raw / "MRI_Data.zip").keys() == {"0001", "0002"}


def test_nothing_is_overwritten_and_nothing_remains_after_a_failure(raw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = raw.parent / "out"
    output.mkdir()
    (output / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match="nothing is overwritten"):
        convert_studies(raw, raw, output, workers=1)
    assert contents(output) == {"thesis.txt": b"years of work"}

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("lss_lightning.data.dicom.patient.register", fail)
    with pytest.raises(KeyboardInterrupt):
        convert_studies(raw, raw, raw.parent / "new", workers=1)
    assert {path.name for path in raw.parent.iterdir()} == {"raw", "out"}


def test_first_reason_is_given_if_no_slice_can_be_used(raw: Path) -> None:
    shutil.rmtree(raw / RAW_FOLDER / "0002")
    shutil.rmtree(find_study(raw) / T1_SERIES)
    with pytest.raises(UserError, match=r"none of 6 slices could be used; the first, 0001 D3: no readable") as error:
        convert_studies(raw, raw, raw.parent / "out", workers=1)
    assert "\n" not in str(error.value)
    assert not (raw.parent / "out").exists()


def test_missing_raw_data_or_csv_files_are_refused(raw: Path) -> None:
    output = raw.parent / "out"
    for path, message in (
        (raw / "nowhere", "no such file or folder"),
        (raw / PICKS_FOLDER, "neither a zip nor a folder"),
    ):
        with pytest.raises(UserError, match=message):
            convert_studies(path, raw, output)
    with pytest.raises(UserError, match=rf"holds no {SLICES_CSV}"):
        convert_studies(raw, raw / RAW_FOLDER, output)
    (raw / "MRI_Data.zip").write_bytes(b"PK\x05\x06" + b"\xff" * 18)
    with pytest.raises(UserError, match="broken zip"):
        convert_studies(raw / "MRI_Data.zip", raw, output)
