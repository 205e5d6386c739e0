"""Reading of the three CSV files in the data set's source code that identify the labelled slices of the raw data."""

from __future__ import annotations

import csv
import zipfile
from dataclasses import dataclass
from pathlib import Path

from lss_lightning.data.alkafri_layout import ALKAFRI_LEVELS
from lss_lightning.data.download import SOURCE_CODE
from lss_lightning.errors import UserError

PICKS_FOLDER = "09_Source_Code/03_Extract_Best_Slices"
"""Folder of the CSV files within the data set's source code."""

SLICES_CSV, T1_FOLDERS_CSV, T2_FOLDERS_CSV = "Slices Numbers.csv", "T1_Subfolders.csv", "T2_Subfolders.csv"


@dataclass(frozen=True)
class Pick:
    """The labelled slices of one patient.

    Attributes:
        patient: Name of the patient's folder, four digits.
        slice_numbers: Position of each level's slice among the files of the series in natural order, from 1.
        t1_folder: Name of the T1 folder, or the beginning of its name, or None if no CSV file specifies it.
        t2_folder: Name of the T2 folder, or the beginning of its name, or None if no CSV file specifies it.
    """

    patient: str
    slice_numbers: dict[str, int]
    t1_folder: str | None
    t2_folder: str | None


def read_picks(root: Path) -> list[Pick]:
    """Read ``Slices Numbers.csv`` and, if they exist, ``T1_Subfolders.csv`` and ``T2_Subfolders.csv``.

    Each row of the first file holds the patient and the slice numbers of D3, D4 and D5. Each row of the other two holds
    the patient and the folder, or only the folder, in the order of the first file.

    Args:
        root: The folder of the CSV files, or the folder that contains ``09_Source_Code`` or ``Source_Code.zip``.

    Returns:
        One pick per patient, in the order of ``Slices Numbers.csv``.

    Raises:
        UserError: If ``Slices Numbers.csv`` is missing, or a row is invalid.
    """
    folder = find_picks(root.expanduser())
    if folder is None:
        raise UserError(
            f"{root}: holds no {SLICES_CSV}; put {SOURCE_CODE.name} of {SOURCE_CODE.page} there, or its folder "
            f"{PICKS_FOLDER}"
        )
    slice_numbers: dict[str, dict[str, int]] = {}
    for line, row in _read_rows(folder / SLICES_CSV):
        numbers = [int(cell) if cell.isdecimal() else 0 for cell in row]
        if len(numbers) != 1 + len(ALKAFRI_LEVELS) or min(numbers) < 1:
            raise UserError(
                f"{folder / SLICES_CSV}, line {line}: {','.join(row)!r} is not a patient and the slice numbers of D3, "
                "D4 and D5, four numbers from 1; correct the row"
            )
        patient = f"{numbers[0]:04d}"
        if patient in slice_numbers:
            raise UserError(
                f"{folder / SLICES_CSV}, line {line}: patient {patient} is listed twice; remove one of the rows"
            )
        slice_numbers[patient] = dict(zip(ALKAFRI_LEVELS, numbers[1:], strict=True))
    if not slice_numbers:
        raise UserError(f"{folder / SLICES_CSV} is empty; give the file as downloaded")
    t1, t2 = (_read_folders(folder / name, list(slice_numbers)) for name in (T1_FOLDERS_CSV, T2_FOLDERS_CSV))
    return [Pick(patient, numbers, t1.get(patient), t2.get(patient)) for patient, numbers in slice_numbers.items()]


def find_picks(root: Path) -> Path | zipfile.Path | None:
    """Return the folder of the CSV files, unpacked or in ``Source_Code.zip``, or None if it is not found.

    Raises:
        UserError: If the zip is broken.
    """
    archive = root / SOURCE_CODE.name
    folders: list[Path | zipfile.Path] = [root / PICKS_FOLDER, root]
    if archive.is_file():
        try:
            top = zipfile.Path(archive)
        except zipfile.BadZipFile as error:
            raise UserError(f"{archive}: broken zip ({error}); download it again") from error
        folders += [top / PICKS_FOLDER, top / PICKS_FOLDER.partition("/")[2]]
    return next((folder for folder in folders if (folder / SLICES_CSV).is_file()), None)


def _read_folders(path: Path | zipfile.Path, patients: list[str]) -> dict[str, str]:
    """Return the series folder of each patient; empty if the file does not exist."""
    if not path.is_file():
        return {}
    rows = _read_rows(path)
    if all(len(row) == 1 for _, row in rows) and len(rows) == len(patients):
        return {patient: row[0] for patient, (_, row) in zip(patients, rows, strict=True)}
    folders = {}
    for line, row in rows:
        if len(row) != 2 or not row[0].isdecimal() or not row[1]:
            raise UserError(
                f"{path}, line {line}: {','.join(row)!r} is not a patient and a folder; correct the row, or give only "
                f"a folder in each of {len(patients)} rows, as many as {SLICES_CSV} has"
            )
        folders[row[0].zfill(4)] = row[1]
    return folders


def _read_rows(path: Path | zipfile.Path) -> list[tuple[int, list[str]]]:
    """Return the non-empty rows, with stripped cells, and their line numbers."""
    try:
        with path.open("r", newline="", encoding="utf-8-sig") as stream:
            rows = [(line, [cell.strip() for cell in row]) for line, row in enumerate(csv.reader(stream), start=1)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: not a CSV file in UTF-8 ({error}); save it in that format") from error
    return [(line, row) for line, row in rows if any(row)]
