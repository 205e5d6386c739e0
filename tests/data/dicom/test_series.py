"""Tests of the selection of the axial T1 and T2 series."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest

from lss_lightning.data.dicom import convert_studies
from lss_lightning.data.dicom.archive import RAW_FOLDER, open_reader
from lss_lightning.data.dicom.images import read_dicom_image
from lss_lightning.data.dicom.picks import PICKS_FOLDER, T1_FOLDERS_CSV, T2_FOLDERS_CSV
from lss_lightning.data.dicom.series import DicomSeries
from lss_lightning.phantom.dicom import T1_SERIES, T2_SERIES
from tests.data.dicom.raw_studies import LOCALISER, SAGITTAL, contents, convert, edit_files, find_study


def test_series_are_chosen_by_their_headers_without_csv_files(converted: Path, raw: Path) -> None:
    (raw / PICKS_FOLDER / T1_FOLDERS_CSV).unlink()
    (raw / PICKS_FOLDER / T2_FOLDERS_CSV).unlink()
    convert_studies(raw, raw, raw.parent / "out", workers=1)
    assert contents(raw.parent / "out") == contents(converted)


def test_folder_may_be_named_by_its_beginning_and_without_the_patient(converted: Path, raw: Path) -> None:
    (raw / PICKS_FOLDER / T1_FOLDERS_CSV).write_text("t1_tse_tra\nT1_TSE_TRA\n")
    (raw / PICKS_FOLDER / T2_FOLDERS_CSV).write_text("\ufeff1,T2_TSE_TRA\n0002, T2_TSE_TRA_384\n")
    convert_studies(raw, raw, raw.parent / "out", workers=1)
    assert contents(raw.parent / "out") == contents(converted)


def test_named_folder_is_one_series_regardless_of_its_uids(raw: Path, converted: Path) -> None:
    def change_uid(dataset: pydicom.FileDataset) -> None:
        dataset.SeriesInstanceUID += ".1"

    edit_files(find_study(raw) / T1_SERIES, change_uid, only=1)
    convert(raw)
    assert contents(raw.parent / "out") == contents(converted)


def no_t1(raw: Path) -> None:
    shutil.rmtree(find_study(raw) / T1_SERIES)


def sagittal_only(raw: Path) -> None:
    for name in (T1_SERIES, T2_SERIES, LOCALISER):
        shutil.rmtree(find_study(raw) / name)


def two_studies(raw: Path) -> None:
    second = shutil.copytree(find_study(raw), find_study(raw).with_name("second"))
    for path in second.rglob("*.ima"):
        dataset = pydicom.dcmread(path)
        dataset.StudyInstanceUID += ".1"
        dataset.save_as(path)


def second_t1(raw: Path) -> None:
    second = shutil.copytree(find_study(raw) / T1_SERIES, find_study(raw) / "T1_TSE_TRA_0009")
    for path in second.iterdir():
        dataset = pydicom.dcmread(path)
        dataset.SeriesInstanceUID += ".1"
        dataset.save_as(path)


def nothing_readable(raw: Path) -> None:
    for path in find_study(raw).rglob("*.ima"):
        path.write_bytes(b"\0" * 200)


def no_folder(raw: Path) -> None:
    shutil.rmtree(raw / RAW_FOLDER / "0001")


@pytest.mark.parametrize(
    ("damage", "by_name", "by_header"),
    [
        (no_t1, f"no readable series folder {T1_SERIES} for T1; found", "no axial T1 series; found"),
        (sagittal_only, f"found {SAGITTAL} (T2, not axial)", f"no axial T1 series; found {SAGITTAL} (T2, not axial)"),
        (two_studies, "2 studies hold an axial T1 and T2", "2 studies hold an axial T1 and T2"),
        (
            second_t1,
            "",
            f"more than one axial T1 series; found {T1_SERIES} (T1, axial), T1_TSE_TRA_0009 (T1, axial)",
        ),
        (nothing_readable, "no readable DICOM image", "no readable DICOM image"),
        (no_folder, "no folder of this patient", "no folder of this patient"),
    ],
)
@pytest.mark.parametrize("named", [True, False], ids=["by name", "by header"])
def test_patient_without_a_unique_pair_of_series_is_left_out(
    raw: Path, damage: Callable[[Path], None], by_name: str, by_header: str, named: bool
) -> None:
    damage(raw)
    if not named:
        for name in (T1_FOLDERS_CSV, T2_FOLDERS_CSV):
            (raw / PICKS_FOLDER / name).unlink()
    message = by_name if named else by_header
    records = convert(raw)
    for level in ("D3", "D4", "D5"):
        assert message in records[f"0001_{level}"].problem
        assert records[f"0001_{level}"].status == ("left_out" if message else "registered")


def test_named_series_that_is_not_axial_is_refused(raw: Path) -> None:
    (raw / PICKS_FOLDER / T2_FOLDERS_CSV).write_text(f"1,{SAGITTAL}\n2,{T2_SERIES}\n")
    assert f"T2 series {SAGITTAL} is not axial" in convert(raw)["0001_D3"].problem


def test_weighting_is_determined_by_times_and_then_by_description(raw: Path) -> None:
    def find_weighting(change: Callable[[pydicom.FileDataset], None]) -> str:
        edit_files(find_study(raw) / T1_SERIES, change, only=1)
        file = sorted((find_study(raw) / T1_SERIES).iterdir())[0]
        with open_reader(file.parent) as read:
            image = read_dicom_image(file.name, read)
        return DicomSeries((f"x/{file.name}",), {file.name: image}).weighting

    def set_times(repetition: float | None, echo: float | None) -> Callable[[pydicom.FileDataset], None]:
        def change(dataset: pydicom.FileDataset) -> None:
            dataset.RepetitionTime, dataset.EchoTime = repetition, echo

        return change

    def set_description(text: str) -> Callable[[pydicom.FileDataset], None]:
        return lambda dataset: setattr(dataset, "SeriesDescription", text)

    assert find_weighting(set_times(500, 10)) == "T1"
    assert find_weighting(set_times(3500, 90)) == "T2"
    assert find_weighting(set_times(3500, 20)) == "PD"
    assert find_weighting(set_times(8, 4)) == "other"
    assert find_weighting(set_times(None, None)) == "T1"
    assert find_weighting(set_description("T2 TSE TRA")) == "T2"
    assert find_weighting(set_description("")) == "T1"  # by ProtocolName
    assert find_weighting(lambda dataset: setattr(dataset, "ProtocolName", "")) == "other"
    assert find_weighting(set_times(3500, 90)) == "T2"
    assert find_weighting(set_description("POSDISP_[4]_T2_TSE_TRA_384")) == "other"
