"""The radiologists' reports of the Al-Kafri data (Mendeley Data s6bgczr8s2), or a table with the same columns."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lss_lightning.errors import UserError

PATIENT_COLUMN, NOTES_COLUMN = "Patient ID", "Clinician's Notes"


def read_reports(path: Path) -> dict[str, str]:
    """Read the notes of all patients.

    Args:
        path: An ``.xlsx`` workbook (its first sheet is read) or a ``.csv`` file in UTF-8.

    Returns:
        Notes by patient id, as returned by :func:`normalise_patient_id`. The notes of several rows are joined by line
        breaks; empty notes are left out.

    Raises:
        UserError: If the file does not exist, cannot be read, lacks a column or holds no notes.
    """
    if not path.is_file():
        raise UserError(f"data.reports={path}: no such file; give the radiologists' reports as .xlsx or .csv")
    readers = {".xlsx": _read_workbook, ".csv": _read_csv}
    if path.suffix.lower() not in readers:
        raise UserError(f"data.reports={path}: neither .xlsx nor .csv; give one of the two")
    rows = readers[path.suffix.lower()](path)
    header = [_normalise_heading(cell) for cell in next(rows, ())]
    if missing := [name for name in (PATIENT_COLUMN, NOTES_COLUMN) if _normalise_heading(name) not in header]:
        raise UserError(
            f"data.reports={path}: its first row lacks {' and '.join(missing)}; "
            f"the columns needed are {PATIENT_COLUMN} and {NOTES_COLUMN}"
        )
    patient_index, notes_index = (header.index(_normalise_heading(name)) for name in (PATIENT_COLUMN, NOTES_COLUMN))
    notes: dict[str, list[str]] = {}
    for row in rows:
        cells = [*row, *[None] * len(header)]
        patient, text = _to_text(cells[patient_index]), _to_text(cells[notes_index])
        if patient and text:
            notes.setdefault(normalise_patient_id(patient), []).append(text)
    if not notes:
        raise UserError(
            f"data.reports={path}: holds no notes; give a file with rows of {PATIENT_COLUMN} and {NOTES_COLUMN}"
        )
    return {patient: "\n".join(texts) for patient, texts in notes.items()}


def normalise_patient_id(patient: str) -> str:
    """Return a patient id in lower case without leading zeros and without the ``.0`` of a number in a spreadsheet."""
    return patient.strip().removesuffix(".0").lstrip("0").lower()


def _read_workbook(path: Path) -> Iterator[tuple[Any, ...]]:
    from zipfile import BadZipFile

    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        book = load_workbook(path, read_only=True, data_only=True)
    except (BadZipFile, InvalidFileException, KeyError, OSError) as error:
        raise UserError(
            f"data.reports={path}: not a readable .xlsx workbook ({error}); save it again, or as .csv"
        ) from error
    try:
        yield from book.worksheets[0].iter_rows(values_only=True)
    finally:
        book.close()


def _read_csv(path: Path) -> Iterator[tuple[Any, ...]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            yield from map(tuple, csv.reader(stream))
    except UnicodeDecodeError as error:
        raise UserError(f"data.reports={path}: not in UTF-8 ({error.reason}); save it as CSV UTF-8") from error


def _to_text(cell: Any) -> str:
    return "" if cell is None else str(cell).strip()


def _normalise_heading(cell: Any) -> str:
    """Return a heading in lower case, with single spaces and straight apostrophes."""
    return " ".join(_to_text(cell).lower().replace("’", "'").split())
