"""Tests of the choice of DICOM images: patients, echoes, variants, repeats, and the user's choice."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import generate_uid

from lss_lightning.data.studies import Study
from lss_lightning.errors import UserError
from tests.data.studies.reading import read_studies
from tests.workflows.prediction.studies import LOCALISER, SAGITTAL, T1_SERIES, T2_SERIES, edit, files, write_dicom

Change = Callable[[pydicom.FileDataset], None]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with three axial slices of T1 (series 5) and T2 (series 4)."""
    study = write_dicom(tmp_path_factory.mktemp("choice"))
    for series in (T1_SERIES, T2_SERIES):
        for path in files(study, series)[3:]:
            path.unlink()
    return study


@pytest.fixture
def study(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "study"))


def repeat(study: Path, series: str, number: int, change: Change = lambda dataset: None, count: int = 3) -> None:
    """Add a changed copy of a series in a folder that comes first."""
    copy = Path(shutil.copytree(study / series, study / f"A_{number}"))
    uid = generate_uid()
    for path in sorted(copy.iterdir())[count:]:
        path.unlink()

    def rename(dataset: pydicom.FileDataset) -> None:
        dataset.SeriesInstanceUID, dataset.SeriesNumber = uid, number
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        change(dataset)

    edit(sorted(copy.iterdir()), rename)


def set_values(**values: object) -> Change:
    def change(dataset: pydicom.FileDataset) -> None:
        for name, value in values.items():
            setattr(dataset, name, value)

    return change


def find_folders(study: Study, kind: str = "T2") -> set[str]:
    """Return the folders of the files used as a kind."""
    return {slice_.sources[0 if kind == "T1" else 1].parent.name for slice_ in study.slices}


@pytest.mark.parametrize("name", ["PatientID", "PatientName", "PatientBirthDate", "PatientSex"])
def test_patients_under_one_study_uid_are_separate_studies(study: Path, name: str) -> None:
    values = {"PatientID": "1", "PatientName": "A^B", "PatientBirthDate": "19500101", "PatientSex": "F"}
    other = {"PatientID": "2", "PatientName": "C^D", "PatientBirthDate": "19510101", "PatientSex": "M"}
    second = Path(shutil.copytree(study, study.parent / "cohort" / "b"))
    edit(files(study), set_values(**values))
    edit(files(second), set_values(**values | {name: other[name]}))
    shutil.move(study, second.with_name("a"))
    both = read_studies(study.parent / "cohort", "composite")
    assert [len(read.slices) for read in both] == [3, 3]
    assert {path.parts[-3] for path in both[0].slices[0].sources} == {"a"}
    assert all(read.remarks[0].startswith("2 patients (by PatientID,") for read in both)


def test_a_series_that_does_not_state_the_patient_stays_in_its_study(study: Path) -> None:
    edit(files(study, T2_SERIES), set_values(PatientID="", PatientName=""))
    (read,) = read_studies(study, "composite")
    assert len(read.slices) == 3
    assert not any("patients" in remark for remark in read.remarks)


def test_a_screen_capture_of_another_patient_makes_no_study(study: Path) -> None:
    capture = pydicom.dcmread(files(study, T2_SERIES)[0])
    capture.PatientID, capture.Modality, capture.SeriesDescription = "1", "OT", "screen"
    capture.SeriesInstanceUID, capture.SOPInstanceUID = generate_uid(), generate_uid()
    del capture.PixelSpacing, capture.ImageOrientationPatient, capture.RepetitionTime
    capture.save_as(study / "A.dcm")
    (read,) = read_studies(study, "composite")
    assert (len(read.slices), read.problems, read.remarks) == (3, (), ())


def test_dual_echo_series_is_divided_by_echo_time(study: Path) -> None:
    for path in files(study, T2_SERIES):
        dataset = pydicom.dcmread(path)
        dataset.EchoTime, dataset.SOPInstanceUID = 12, generate_uid()
        dataset.save_as(path.with_name(f"A{path.name}"))
    (read,) = read_studies(study, "composite")
    assert not any(slice_.sources[1].name.startswith("A") for slice_ in read.slices)
    assert "Not used as T2: series 4 (3 images, PD). series={t2: …} chooses another." in read.remarks
    (chosen,) = read_studies(study, "composite", series={"T2": "4"})
    assert not any(slice_.sources[1].name.startswith("A") for slice_ in chosen.slices)


def test_of_several_echoes_the_nearest_to_100_ms_is_t2(study: Path) -> None:
    for echo in (65, 180):
        for path in files(study, T2_SERIES)[:3]:
            dataset = pydicom.dcmread(path)
            dataset.EchoTime, dataset.SOPInstanceUID = echo, generate_uid()
            dataset.save_as(path.with_name(f"Z{echo}{path.name}"))
    (read,) = read_studies(study, "composite")
    assert not any(slice_.sources[1].name.startswith("Z") for slice_ in read.slices)
    assert "6 T2 images show the same slices as others and were left out: 6 of series 4 (another echo)." in read.remarks


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (set_values(ImageType=["DERIVED", "PRIMARY", "OTHER"]), "derived"),
        (set_values(ContrastBolusAgent="Gadovist"), "with contrast agent"),
        (set_values(ImageType=["ORIGINAL", "PRIMARY", "W"]), "water"),
        (set_values(SeriesDescription="t2_tse_tra_FS"), "fat-suppressed"),
        (set_values(SeriesDescription="t2_stir_tra"), "STIR"),
        (set_values(EchoTime=20), "PD"),
    ],
)
def test_plain_originals_are_used_and_variants_are_named(study: Path, change: Change, reason: str) -> None:
    repeat(study, T2_SERIES, 9, change)
    (read,) = read_studies(study, "composite")
    assert find_folders(read) == {T2_SERIES}
    assert f"Not used as T2: series 9 (3 images, {reason}). series={{t2: …}} chooses another." in read.remarks
    (chosen,) = read_studies(study, "composite", series={"T2": "9"})
    assert find_folders(chosen) == {"A_9"}
    assert "T2 is series 9, as set with series=." in chosen.remarks


def test_derived_images_alone_are_used_with_a_remark(study: Path) -> None:
    edit(files(study, T1_SERIES, T2_SERIES), set_values(ImageType=["DERIVED", "SECONDARY", "MPR"]))
    (read,) = read_studies(study, "composite")
    assert len(read.slices) == 3
    assert "The T2 images used are not plain originals: derived (series 4)." in read.remarks


def test_complete_series_is_used_before_a_partial_one(study: Path) -> None:
    repeat(study, T2_SERIES, 9, set_values(AcquisitionTime="235959"), count=2)
    (read,) = read_studies(study, "composite")
    assert find_folders(read) == {T2_SERIES}
    assert any("2 of series 9 (fewer slices than series 4)" in remark for remark in read.remarks)


def test_copied_files_do_not_make_a_partial_series_complete(study: Path) -> None:
    repeat(study, T2_SERIES, 9, count=2)
    for path in files(study, "A_9"):
        shutil.copy(path, path.with_name(f"copy_{path.name}"))
    (read,) = read_studies(study, "composite")
    assert find_folders(read) == {T2_SERIES}


@pytest.mark.parametrize(("number", "folder"), [(9, "A_9"), (3, T2_SERIES)])
def test_the_later_of_two_equal_series_is_used(study: Path, number: int, folder: str) -> None:
    repeat(study, T2_SERIES, number)
    (read,) = read_studies(study, "composite")
    assert find_folders(read) == {folder}
    assert any("(acquired earlier)" in remark for remark in read.remarks)


def test_of_equal_series_the_first_file_is_used(study: Path) -> None:
    repeat(study, T2_SERIES, 4)
    (read,) = read_studies(study, "composite")
    assert find_folders(read) == {"A_4"}
    assert any("3 of series 4 (equal, but later by file name)" in remark for remark in read.remarks)


def test_time_decides_before_the_number(study: Path) -> None:
    edit(files(study, T2_SERIES), set_values(AcquisitionDate="20160309", AcquisitionTime="100000"))
    repeat(study, T2_SERIES, 3, set_values(AcquisitionTime="110000"))
    (read,) = read_studies(study, "composite")
    assert find_folders(read) == {"A_3"}


def test_blocks_of_one_weighting_in_several_series_are_all_used(study: Path) -> None:
    edit(files(study, T2_SERIES)[:1], set_values(SeriesInstanceUID="1.2.3.4", SeriesNumber=8))
    (read,) = read_studies(study, "composite")
    assert len(read.slices) == 3


def test_stir_and_pd_alone_are_refused_with_the_setting_that_uses_them(study: Path) -> None:
    edit(files(study, T2_SERIES), set_values(SeriesDescription="t2_stir_tra"))
    with pytest.raises(UserError, match=r"no axial T2 images.*Not used as T2: series 4 \(3 images, STIR\)"):
        read_studies(study, "composite")
    shutil.rmtree(study / T1_SERIES)
    shutil.rmtree(study / SAGITTAL)
    with pytest.raises(UserError, match=r"no axial T1 or T2 images.*3 axial STIR with STIR in Ser.*series={t2: …}"):
        read_studies(study, "t2")
    assert len(read_studies(study, "t2", series={"T2": "4"})[0].slices) == 3


@pytest.mark.parametrize("text", ["4", "t2_tse_tra_384", "TSE_TRA_384", "uid"])
def test_series_are_named_by_number_uid_or_description(study: Path, text: str) -> None:
    uid = str(pydicom.dcmread(files(study, T2_SERIES)[0]).SeriesInstanceUID)
    repeat(study, T2_SERIES, 9, set_values(SeriesDescription="ax"))
    (read,) = read_studies(study, "composite", series={"T2": uid if text == "uid" else text})
    assert find_folders(read) == {T2_SERIES}
    assert "Not used as T2: series 9 (3 images). series={t2: …} chooses another." in read.remarks


def test_unknown_and_sagittal_series_are_refused(study: Path) -> None:
    shutil.rmtree(study / LOCALISER)
    with pytest.raises(UserError, match=r"series={t1: …}: no series .* has series 2 \(T2, not axial\), series 4"):
        read_studies(study, "composite", series={"T1": "77"})
    with pytest.raises(UserError, match=r"series={t2: …}: series 2 is not axial"):
        read_studies(study, "composite", series={"T2": "2"})


def test_an_invalid_value_that_was_ignored_is_remarked(study: Path) -> None:
    def spoil(dataset: pydicom.FileDataset) -> None:
        dataset.add_new("InversionTime", "UT", "150 ms")

    edit(files(study, T2_SERIES), spoil)
    (result,) = read_studies(study, "t2")
    assert result.remarks[-1] == (
        "3 images used without values that are invalid: InversionTime holds other text, must be one number."
    )
