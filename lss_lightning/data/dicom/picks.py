"""Which slices of the raw data were labelled: the three CSVs of the data set's own source code."""

from __future__ import annotations

import csv
import zipfile
from dataclasses import dataclass
from pathlib import Path

from lss_lightning.data.download import SOURCE_CODE
from lss_lightning.errors import UserError

PICKS = "09_Source_Code/03_Extract_Best_Slices"
SLICES, T1_FOLDERS, T2_FOLDERS = "Slices Numbers.csv", "T1_Subfolders.csv", "T2_Subfolders.csv"
LEVELS = ("D3", "D4", "D5")


@dataclass(frozen=True)
class Pick:
    """A patient's labelled slices.

    Attributes:
        patient: Number of the folder, four digits.
        places: 1-based place of each level's slice among the series' files in natural order.
        t1_folder: Name of T1's folder or how it begins; None where no CSV says.
        t2_folder: The same for T2.
    """

    patient: str
    places: dict[str, int]
    t1_folder: str | None
    t2_folder: str | None


def read_picks(root: Path) -> list[Pick]:
    """Read ``Slices Numbers.csv`` and, where they are there, ``T1_Subfolders.csv`` and ``T2_Subfolders.csv``.

    Rows of the first are patient, slice of D3, of D4, of D5. Rows of the others are patient and folder, or the folder
    alone, in the order of the first file.

    Args:
        root: The folder that holds them, or the one around ``09_Source_Code`` or ``Source_Code.zip``.

    Raises:
        UserError: a file is missing, or a row makes no sense.
    """
    folder = find_picks(root.expanduser())
    if folder is None:
        raise UserError(
            f"{root}: holds no {SLICES}; put {SOURCE_CODE.name} of {SOURCE_CODE.page} there, or its folder {PICKS}"
        )
    places: dict[str, dict[str, int]] = {}
    for line, row in _rows(folder / SLICES):
        numbers = [int(cell) if cell.isdecimal() else 0 for cell in row]
        if len(numbers) != 1 + len(LEVELS) or min(numbers) < 1:
            raise UserError(
                f"{folder / SLICES}, line {line}: {','.join(row)!r} is not a patient and the places of D3, D4 and D5, "
                "four numbers from 1; correct the row"
            )
        patient = f"{numbers[0]:04d}"
        if patient in places:
            raise UserError(f"{folder / SLICES}, line {line}: patient {patient} a second time; remove one row")
        places[patient] = dict(zip(LEVELS, numbers[1:], strict=True))
    if not places:
        raise UserError(f"{folder / SLICES} is empty; give the file as downloaded")
    t1, t2 = (_folders(folder / name, list(places)) for name in (T1_FOLDERS, T2_FOLDERS))
    return [Pick(patient, slices, t1.get(patient), t2.get(patient)) for patient, slices in places.items()]


def find_picks(root: Path) -> Path | zipfile.Path | None:
    """The folder of the CSVs, unpacked or in ``Source_Code.zip``; None where there is none.

    Raises:
        UserError: a broken zip.
    """
    archive = root / SOURCE_CODE.name
    places: list[Path | zipfile.Path] = [root / PICKS, root]
    if archive.is_file():
        try:
            top = zipfile.Path(archive)
        except zipfile.BadZipFile as error:
            raise UserError(f"{archive}: a broken zip ({error}); download it again") from error
        places += [top / PICKS, top / PICKS.partition("/")[2]]
    return next((place for place in places if (place / SLICES).is_file()), None)


def _folders(path: Path | zipfile.Path, patients: list[str]) -> dict[str, str]:
    """Folder by patient; nothing where there is no such file."""
    if not path.is_file():
        return {}
    rows = _rows(path)
    if all(len(row) == 1 for _, row in rows) and len(rows) == len(patients):
        return {patient: row[0] for patient, (_, row) in zip(patients, rows, strict=True)}
    found = {}
    for line, row in rows:
        if len(row) != 2 or not row[0].isdecimal() or not row[1]:
            raise UserError(
                f"{path}, line {line}: {','.join(row)!r} is not a patient and a folder; correct the row, or give a "
                f"folder alone in each of the {len(patients)} rows of {SLICES}"
            )
        found[row[0].zfill(4)] = row[1]
    return found


def _rows(path: Path | zipfile.Path) -> list[tuple[int, list[str]]]:
    """Rows that are not empty, stripped, each with its line number."""
    try:
        with path.open("r", newline="", encoding="utf-8-sig") as stream:
            rows = [(line, [cell.strip() for cell in row]) for line, row in enumerate(csv.reader(stream), start=1)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: not a CSV in UTF-8 ({error}); save it as such") from error
    return [(line, row) for line, row in rows if any(row)]
