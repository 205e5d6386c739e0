"""Raw phantom studies for tests of their conversion, and ways to damage them."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
from PIL import Image

from lss_lightning.data.dicom import REGISTRATION_CSV, RegistrationRecord, convert_studies
from lss_lightning.data.dicom.archive import RAW_FOLDER
from lss_lightning.data.dicom.patient import BLANK_LABELS
from lss_lightning.data.dicom.picks import read_picks

SIZE, T2_SIZE = 96, 112
SAGITTAL, LOCALISER = "T2_TSE_SAG_384_0002", "LOCALIZER_0001"
FOLDERS = {
    "T1": "04_Intermediary_Ground_Truth_Data/T1_Output",
    "T2": "04_Intermediary_Ground_Truth_Data/T2_Output",
    "C1": "05_Final_Ground_Truth_Data/Composite_Images",
    "B1": BLANK_LABELS[0],
}


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def read_table(root: Path) -> list[dict[str, str]]:
    with (root / REGISTRATION_CSV).open() as stream:
        return list(csv.DictReader(stream))


def read_pixels(root: Path, prefix: str, name: str) -> np.ndarray:
    return np.asarray(Image.open(root / FOLDERS[prefix] / f"{prefix}_{name}.png"))


def find_study(raw: Path, patient_id: int = 1) -> Path:
    (folder,) = (raw / RAW_FOLDER / f"{patient_id:04d}").iterdir()
    return folder


def find_disc_file(raw: Path, series: str, level: str = "D4") -> Path:
    number = next(pick for pick in read_picks(raw) if pick.patient == "0001").slice_numbers[level]
    return sorted((find_study(raw) / series).iterdir())[number - 1]


def edit_files(folder: Path, change: Callable[[pydicom.FileDataset], None], only: int | None = None) -> None:
    """Change the header of all files in a folder, or only of the file at a position, from 1."""
    for number, path in enumerate(sorted(folder.iterdir()), start=1):
        if only in (None, number):
            dataset = pydicom.dcmread(path)
            change(dataset)
            dataset.save_as(path)


def convert(raw: Path) -> dict[str, RegistrationRecord]:
    """Convert studies of which patient 0001 is damaged, check what must hold in any case, and return the records."""
    output = raw.parent / "out"
    records = {f"{record.patient}_{record.level}": record for record in convert_studies(raw, raw, output, workers=1)}
    assert all(records[f"0002_{level}"].status == "registered" for level in ("D3", "D4", "D5"))
    for name, record in records.items():
        assert (output / FOLDERS["T1"] / f"T1_{name}.png").exists() == (record.status != "left_out")
        assert bool(record.problem) == (record.status == "left_out")
        assert "\n" not in record.problem
    assert_no_identity(output)
    return records


def assert_no_identity(output: Path) -> None:
    for name, data in contents(output).items():
        for secret in (b"Phantom", b"PHANTOM", b"L-SPINE", b"20160309", b"1.2.826"):
            assert secret not in data
            assert secret.decode() not in name
