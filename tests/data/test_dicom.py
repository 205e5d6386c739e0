"""The DICOM route: raw studies to registered slices, with a row for whatever is wrong with one of them."""

from __future__ import annotations

import csv
import math
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image

from lss_lightning.data.dicom import REGISTRATION, RegistrationRecord, convert_studies
from lss_lightning.data.dicom.archive import RAW, files_by_patient
from lss_lightning.data.dicom.patient import BLANK_LABELS
from lss_lightning.data.dicom.picks import PICKS, SLICES, T1_FOLDERS, T2_FOLDERS, read_picks
from lss_lightning.data.dicom.series import Series
from lss_lightning.errors import UserError
from lss_lightning.phantom.dicom import T1_SERIES, T2_SERIES, write_studies
from lss_lightning.phantom.study import StudySlice

SIZE, T2_SIZE = 96, 112
SAGITTAL, LOCALISER = "T2_TSE_SAG_384_0002", "LOCALIZER_0001"
KINDS = {
    "T1": "04_Intermediary_Ground_Truth_Data/T1_Output",
    "T2": "04_Intermediary_Ground_Truth_Data/T2_Output",
    "C1": "05_Final_Ground_Truth_Data/Composite_Images",
    "B1": BLANK_LABELS[0],
}


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[StudySlice]]:
    root = tmp_path_factory.mktemp("dicom") / "raw"
    return root, write_studies(root, seed=8, patients=2, image_size=SIZE, t2_sizes={2: T2_SIZE}, workers=1)


@pytest.fixture(scope="module")
def converted(phantom: tuple[Path, list[StudySlice]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("converted") / "out"
    convert_studies(phantom[0], phantom[0], output, workers=1)
    return output


@pytest.fixture
def raw(phantom: tuple[Path, list[StudySlice]], tmp_path: Path) -> Path:
    """A copy to damage: patient 0001 is the victim, 0002 must come through."""
    return Path(shutil.copytree(phantom[0], tmp_path / "raw"))


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def table(root: Path) -> list[dict[str, str]]:
    with (root / REGISTRATION).open() as stream:
        return list(csv.DictReader(stream))


def pixels(root: Path, kind: str, name: str) -> np.ndarray:
    return np.asarray(Image.open(root / KINDS[kind] / f"{kind}_{name}.png"))


def study(raw: Path, patient: int = 1) -> Path:
    (folder,) = (raw / RAW / f"{patient:04d}").iterdir()
    return folder


def convert(raw: Path) -> dict[str, RegistrationRecord]:
    """Rows by name; and what holds whatever happened to patient 0001."""
    output = raw.parent / "out"
    rows = {f"{row.patient}_{row.level}": row for row in convert_studies(raw, raw, output, workers=1)}
    assert all(rows[f"0002_{level}"].status == "registered" for level in ("D3", "D4", "D5"))
    for name, row in rows.items():
        assert (output / KINDS["T1"] / f"T1_{name}.png").exists() == (row.status != "left_out")
        assert bool(row.problem) == (row.status == "left_out")
        assert "\n" not in row.problem
    identity_is_absent(output)
    return rows


def identity_is_absent(output: Path) -> None:
    for name, data in contents(output).items():
        for secret in (b"Phantom", b"PHANTOM", b"L-SPINE", b"20160309", b"1.2.826"):
            assert secret not in data
            assert secret.decode() not in name


def edit(folder: Path, change: Callable[[pydicom.FileDataset], None], only: int | None = None) -> None:
    for number, path in enumerate(sorted(folder.iterdir()), start=1):
        if only in (None, number):
            dataset = pydicom.dcmread(path)
            change(dataset)
            dataset.save_as(path)


def disc_file(raw: Path, series: str, level: str = "D4") -> Path:
    place = next(pick for pick in read_picks(raw) if pick.patient == "0001").places[level]
    return sorted((study(raw) / series).iterdir())[place - 1]


def test_slices_are_written_in_the_layout_of_the_data_set(converted: Path) -> None:
    names = [f"{patient}_{level}" for patient in ("0001", "0002") for level in ("D3", "D4", "D5")]
    files = {f"{folder}/{kind}_{name}.png" for kind, folder in KINDS.items() for name in names}
    assert set(contents(converted)) == files | {REGISTRATION}
    for name in names:
        t1, t2, composite, blank = (pixels(converted, kind, name) for kind in KINDS)
        assert t1.shape == t2.shape == blank.shape == (SIZE, SIZE)
        assert t1.dtype == t2.dtype == np.uint8
        assert (t1.min(), t1.max()) == (t2.min(), t2.max()) == (0, 255)
        third = np.maximum(t1.astype(int) - t2, 0)
        np.testing.assert_array_equal(composite, np.stack((t1, t2, third), axis=-1))
    identity_is_absent(converted)


def test_the_uncovered_border_is_black_and_marked_unregistered(converted: Path) -> None:
    for row in table(converted):
        blank = pixels(converted, "B1", f"{row['patient']}_{row['level']}")
        assert set(np.unique(blank)) == {0, 250}
        assert (blank == 0).mean() == pytest.approx(float(row["uncovered"]), abs=1e-4)
        assert not pixels(converted, "T2", f"{row['patient']}_{row['level']}")[blank == 0].any()
        # 6 mm, 4 mm known to the header, and 2° over half the field of view: 14 mm, 6 of 96 pixels.
        assert (blank[7:-7, 7:-7] == 250).all()
        assert 0.005 < float(row["uncovered"]) < 0.2


def test_the_table_gives_the_known_offsets(converted: Path, phantom: tuple[Path, list[StudySlice]]) -> None:
    truth = [row for row in phantom[1] if row.content == "disc"]
    rows = table(converted)
    assert list(rows[0]) == list(RegistrationRecord.__dataclass_fields__)
    for row, true in zip(rows, truth, strict=True):
        assert (row["patient"], row["level"], row["status"]) == (f"{true.patient:04d}", true.level, "registered")
        assert row["t1_slice"] == row["t2_slice"] == str(true.number)
        assert float(row["gap_mm"]) == 0
        # A third of these coarse pixels; test_registration.py asks for half a pixel of the real data.
        assert float(row["shift_x_mm"]) == pytest.approx(true.dx, abs=220 / SIZE / 3)
        assert float(row["shift_y_mm"]) == pytest.approx(true.dy, abs=220 / SIZE / 3)
        assert float(row["rotation_deg"]) == pytest.approx(true.turn, abs=0.5)
        assert float(row["information_after"]) > float(row["information_before"]) > 0
        sizes = "size_differs;" if true.patient == 2 else ""
        assert (row["flags"], row["problem"]) == (f"{sizes}frame_of_reference_differs", "")


def test_bytes_do_not_depend_on_the_workers(
    converted: Path, phantom: tuple[Path, list[StudySlice]], tmp_path: Path
) -> None:
    convert_studies(phantom[0] / RAW, phantom[0] / PICKS, tmp_path / "out", workers=2)
    assert contents(tmp_path / "out") == contents(converted)


def test_the_zip_is_read_as_the_folder_is(converted: Path, raw: Path) -> None:
    with zipfile.ZipFile(raw / "MRI_Data.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted((raw / RAW).rglob("*.ima")):
            archive.write(path, path.relative_to(raw))
    shutil.rmtree(raw / RAW)
    convert_studies(raw / "MRI_Data.zip", raw, raw.parent / "out", workers=1)
    assert contents(raw.parent / "out") == contents(converted)
    assert files_by_patient(raw / "MRI_Data.zip").keys() == {"0001", "0002"}


def test_series_are_told_by_their_headers_where_no_csv_names_them(converted: Path, raw: Path) -> None:
    (raw / PICKS / T1_FOLDERS).unlink()
    (raw / PICKS / T2_FOLDERS).unlink()
    convert_studies(raw, raw, raw.parent / "out", workers=1)
    assert contents(raw.parent / "out") == contents(converted)


def test_a_folder_may_be_named_by_its_beginning_and_without_the_patient(converted: Path, raw: Path) -> None:
    (raw / PICKS / T1_FOLDERS).write_text("t1_tse_tra\nT1_TSE_TRA\n")
    (raw / PICKS / T2_FOLDERS).write_text("\ufeff1,T2_TSE_TRA\n0002, T2_TSE_TRA_384\n")
    convert_studies(raw, raw, raw.parent / "out", workers=1)
    assert contents(raw.parent / "out") == contents(converted)


def test_pairs_are_made_by_place_and_not_by_number(raw: Path) -> None:
    first = sorted((study(raw) / T2_SERIES).iterdir())[0]
    first.unlink()
    row = convert(raw)["0001_D4"]
    assert (row.status, row.t2_slice) == ("registered", (row.t1_slice or 0) - 1)
    assert row.flags == "slice_number_differs;frame_of_reference_differs"


def test_a_file_that_is_no_dicom_is_counted_and_flagged(raw: Path) -> None:
    sorted((study(raw) / T1_SERIES).iterdir())[0].write_bytes(b"not an image")
    disc_file(raw, T1_SERIES, "D5").write_bytes(b"")
    rows = convert(raw)
    assert rows["0001_D3"].status == rows["0001_D4"].status == "registered"
    assert rows["0001_D4"].flags == "unreadable_file;frame_of_reference_differs"
    assert rows["0001_D5"].problem.startswith(f"{T1_SERIES}/T1_TSE_TRA__0001_")
    assert "not a readable DICOM file" in rows["0001_D5"].problem


@pytest.mark.parametrize("series", [T1_SERIES, T2_SERIES])
def test_truncated_pixels_leave_the_slice_out(raw: Path, series: str) -> None:
    file = disc_file(raw, series)
    file.write_bytes(file.read_bytes()[:-1000])
    rows = convert(raw)
    assert "pixel data missing or truncated" in rows["0001_D4"].problem
    assert f"{series}/{file.name}" in rows["0001_D4"].problem
    assert rows["0001_D3"].status == "registered"


def test_missing_pixel_spacing_leaves_the_slice_out(raw: Path) -> None:
    def strip(dataset: pydicom.FileDataset) -> None:
        del dataset.PixelSpacing

    place = read_picks(raw)[0].places
    edit(study(raw) / T1_SERIES, strip, only=place["D3"])
    edit(study(raw) / T2_SERIES, strip, only=place["D5"])
    rows = convert(raw)
    assert "PixelSpacing missing" in rows["0001_D3"].problem
    assert rows["0001_D4"].status == "registered"
    assert f"no image of {T2_SERIES} within 2.2 mm" in rows["0001_D5"].problem
    assert "(1 of its" in rows["0001_D5"].problem


def test_a_series_without_pixel_spacing_leaves_the_patient_out(raw: Path) -> None:
    def strip(dataset: pydicom.FileDataset) -> None:
        del dataset.PixelSpacing

    edit(study(raw) / T1_SERIES, strip)
    assert convert(raw)["0001_D3"].problem.startswith(f"T1 series {T1_SERIES} is without PixelSpacing; export")


def test_a_named_folder_is_one_series_whatever_its_files_say(raw: Path, converted: Path) -> None:
    def rename(dataset: pydicom.FileDataset) -> None:
        dataset.SeriesInstanceUID += ".1"

    edit(study(raw) / T1_SERIES, rename, only=1)
    convert(raw)
    assert contents(raw.parent / "out") == contents(converted)


def test_a_slice_beyond_the_series_is_left_out(raw: Path) -> None:
    numbers = (raw / PICKS / SLICES).read_text().splitlines()
    (raw / PICKS / SLICES).write_text("\n".join([numbers[0].rsplit(",", 1)[0] + ",40", *numbers[1:]]))
    rows = convert(raw)
    assert f"slice 40 wanted of {T1_SERIES}, which has" in rows["0001_D5"].problem
    assert rows["0001_D4"].status == "registered"


def no_t1(raw: Path) -> None:
    shutil.rmtree(study(raw) / T1_SERIES)


def sagittal_only(raw: Path) -> None:
    for name in (T1_SERIES, T2_SERIES, LOCALISER):
        shutil.rmtree(study(raw) / name)


def two_studies(raw: Path) -> None:
    other = shutil.copytree(study(raw), study(raw).with_name("second"))
    for path in other.rglob("*.ima"):
        dataset = pydicom.dcmread(path)
        dataset.StudyInstanceUID += ".1"
        dataset.save_as(path)


def second_t1(raw: Path) -> None:
    again = shutil.copytree(study(raw) / T1_SERIES, study(raw) / "T1_TSE_TRA_0009")
    for path in again.iterdir():
        dataset = pydicom.dcmread(path)
        dataset.SeriesInstanceUID += ".1"
        dataset.save_as(path)


def nothing_readable(raw: Path) -> None:
    for path in study(raw).rglob("*.ima"):
        path.write_bytes(b"\0" * 200)


def no_folder(raw: Path) -> None:
    shutil.rmtree(raw / RAW / "0001")


@pytest.mark.parametrize(
    ("damage", "by_name", "by_header"),
    [
        (no_t1, f"no readable series folder {T1_SERIES} for T1; found", "no axial T1 series; found"),
        (sagittal_only, f"found {SAGITTAL} (T2, not axial)", f"no axial T1 series; found {SAGITTAL} (T2, not axial)"),
        (two_studies, "2 studies hold an axial T1 and T2", "2 studies hold an axial T1 and T2"),
        (second_t1, "", f"several fit axial T1 series; found {T1_SERIES} (T1, axial), T1_TSE_TRA_0009 (T1, axial)"),
        (nothing_readable, "no readable DICOM image", "no readable DICOM image"),
        (no_folder, "no folder of this patient", "no folder of this patient"),
    ],
)
@pytest.mark.parametrize("named", [True, False], ids=["by name", "by header"])
def test_a_patient_without_one_pair_of_series_is_left_out(
    raw: Path, damage: Callable[[Path], None], by_name: str, by_header: str, named: bool
) -> None:
    damage(raw)
    if not named:
        for name in (T1_FOLDERS, T2_FOLDERS):
            (raw / PICKS / name).unlink()
    message = by_name if named else by_header
    rows = convert(raw)
    for level in ("D3", "D4", "D5"):
        assert message in rows[f"0001_{level}"].problem
        assert rows[f"0001_{level}"].status == ("left_out" if message else "registered")


def test_a_named_series_that_is_not_axial_is_refused(raw: Path) -> None:
    (raw / PICKS / T2_FOLDERS).write_text(f"1,{SAGITTAL}\n2,{T2_SERIES}\n")
    assert f"T2 series {SAGITTAL} is not axial" in convert(raw)["0001_D3"].problem


def test_large_and_useless_registrations_are_flagged(raw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import SimpleITK

    far = SimpleITK.Euler2DTransform()
    far.SetAngle(math.radians(6))
    far.SetTranslation((16.0, 0.0))
    monkeypatch.setattr("lss_lightning.data.dicom.registration._optimise", lambda *_: far)
    monkeypatch.setattr("lss_lightning.data.dicom.registration._information", lambda *_: 1.0)
    rows = {row.level: row for row in convert_studies(raw, raw, raw.parent / "far", workers=1)}
    assert rows["D3"].flags.endswith("frame_of_reference_differs;shift_over_15_mm;rotation_over_5_deg")
    assert rows["D3"].rotation_deg == pytest.approx(-6)

    values = iter([1.0, 0.5, 0.5] * 6)  # before, and after each of two strides
    monkeypatch.setattr("lss_lightning.data.dicom.registration._information", lambda *_: next(values))
    rows = {row.level: row for row in convert_studies(raw, raw, raw.parent / "fell", workers=1)}
    assert rows["D3"].status == "not_registered"
    assert rows["D3"].flags.endswith("frame_of_reference_differs;information_fell")
    assert (rows["D3"].shift_x_mm, rows["D3"].shift_y_mm, rows["D3"].rotation_deg) == (0, 0, 0)
    assert (rows["D3"].information_before, rows["D3"].information_after) == (1.0, 0.5)


def test_series_are_weighted_by_times_then_by_description(raw: Path) -> None:
    from lss_lightning.data.dicom.archive import reader
    from lss_lightning.data.dicom.images import read_dicom_image

    def weighting(change: Callable[[pydicom.FileDataset], None]) -> str:
        edit(study(raw) / T1_SERIES, change, only=1)
        file = sorted((study(raw) / T1_SERIES).iterdir())[0]
        with reader(file.parent) as read:
            image = read_dicom_image(file.name, read)
        return Series((f"x/{file.name}",), {file.name: image}).weighting

    def times(repetition: float | None, echo: float | None) -> Callable[[pydicom.FileDataset], None]:
        def change(dataset: pydicom.FileDataset) -> None:
            dataset.RepetitionTime, dataset.EchoTime = repetition, echo

        return change

    assert weighting(times(500, 10)) == "T1"
    assert weighting(times(3500, 90)) == "T2"
    assert weighting(times(3500, 20)) == "other"
    assert weighting(times(8, 4)) == "other"
    assert weighting(times(None, None)) == "T1"
    assert weighting(lambda dataset: setattr(dataset, "SeriesDescription", "T2 TSE TRA")) == "T2"
    assert weighting(lambda dataset: setattr(dataset, "SeriesDescription", "")) == "other"
    assert weighting(times(3500, 90)) == "T2"
    assert weighting(lambda dataset: setattr(dataset, "SeriesDescription", "POSDISP_[4]_T2_TSE_TRA_384")) == "other"


def test_slices_are_counted_in_natural_order(tmp_path: Path) -> None:
    folder = tmp_path / RAW / "0007" / "study" / "T1"
    folder.mkdir(parents=True)
    for name in ("t1_10.ima", "T1_9.IMA", "t1_1.ima", "._t1_1.ima", "notes.txt"):
        (folder / name).touch()
    (tmp_path / RAW / "Radiologists").mkdir()
    (tmp_path / RAW / "Radiologists" / "report.dcm").touch()
    names = {
        patient: [Path(file).name for file in files] for patient, files in files_by_patient(tmp_path / RAW).items()
    }
    assert names == {"0007": ["t1_1.ima", "T1_9.IMA", "t1_10.ima"]}


def test_nothing_is_overwritten_and_nothing_half_made_stays(raw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_where_no_slice_can_be_used_the_first_reason_is_given(raw: Path) -> None:
    shutil.rmtree(raw / RAW / "0002")
    no_t1(raw)
    with pytest.raises(UserError, match=r"none of 6 slices could be used; the first, 0001 D3: no readable") as refusal:
        convert_studies(raw, raw, raw.parent / "out", workers=1)
    assert "\n" not in str(refusal.value)
    assert not (raw.parent / "out").exists()


def test_missing_raw_data_or_csvs_are_refused(raw: Path) -> None:
    output = raw.parent / "out"
    for place, message in ((raw / "nowhere", "no such file or folder"), (raw / PICKS, "neither a zip nor a folder")):
        with pytest.raises(UserError, match=message):
            convert_studies(place, raw, output)
    with pytest.raises(UserError, match=rf"holds no {SLICES}"):
        convert_studies(raw, raw / RAW, output)
    (raw / "MRI_Data.zip").write_bytes(b"PK\x05\x06" + b"\xff" * 18)
    with pytest.raises(UserError, match="broken zip"):
        convert_studies(raw / "MRI_Data.zip", raw, output)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (SLICES, "1,2,3\n", "line 1: '1,2,3' is not a patient and the places"),
        (SLICES, "1,2,3,4\n2,0,3,4\n", "line 2: '2,0,3,4' is not"),
        (SLICES, "patient,D3,D4,D5\n", "line 1"),
        (SLICES, "1,2,3,4\n1,2,3,4\n", "line 2: patient 0001 a second time"),
        (SLICES, "\n", "is empty"),
        (SLICES, b"1,2,3,\xff\n", "not a CSV in UTF-8"),
        (T1_FOLDERS, "T1_TSE_TRA\n", "line 1: 'T1_TSE_TRA' is not a patient and a folder"),
        (T2_FOLDERS, "1,T2,more\n", "line 1"),
    ],
)
def test_senseless_csvs_are_refused_in_one_line(raw: Path, name: str, text: str | bytes, message: str) -> None:
    (raw / PICKS / name).write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(UserError, match=message) as refusal:
        read_picks(raw)
    assert "\n" not in str(refusal.value)
    assert name in str(refusal.value)
