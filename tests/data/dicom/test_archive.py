"""Tests of access to the raw data."""

from __future__ import annotations

from pathlib import Path

from lss_lightning.data.dicom.archive import RAW_FOLDER, find_patient_files


def test_files_are_listed_in_natural_order(tmp_path: Path) -> None:
    folder = tmp_path / RAW_FOLDER / "0007" / "study" / "T1"
    folder.mkdir(parents=True)
    for name in ("t1_10.ima", "T1_9.IMA", "t1_1.ima", "._t1_1.ima", "notes.txt"):
        (folder / name).touch()
    (tmp_path / RAW_FOLDER / "Radiologists").mkdir()
    (tmp_path / RAW_FOLDER / "Radiologists" / "report.dcm").touch()
    names = {
        patient: [Path(file).name for file in files]
        for patient, files in find_patient_files(tmp_path / RAW_FOLDER).items()
    }
    assert names == {"0007": ["t1_1.ima", "T1_9.IMA", "t1_10.ima"]}
