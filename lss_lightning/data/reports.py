"""The radiologists' reports of the Al-Kafri data (Mendeley Data s6bgczr8s2), or a table of the same shape."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lss_lightning.errors import UserError

PATIENT, NOTES = "Patient ID", "Clinician's Notes"
"""The columns that are read."""


def read_reports(path: Path) -> dict[str, str]:
    """Read the notes of every patient.

    Args:
        path: An ``.xlsx`` workbook, whose first sheet counts, or a ``.csv`` file in UTF-8.

    Returns:
        By patient, as :func:`patient_key` spells it; several rows of one patient are joined, empty notes left out.

    Raises:
        UserError: no such file, one that cannot be read, without these columns, or without any note.
    """
    if not path.is_file():
        raise UserError(f"data.reports={path}: no such file; give the radiologists' reports as .xlsx or .csv")
    readers = {".xlsx": _workbook, ".csv": _csv}
    if path.suffix.lower() not in readers:
        raise UserError(f"data.reports={path}: neither .xlsx nor .csv; give one of the two")
    rows = readers[path.suffix.lower()](path)
    heading = [_plain(cell) for cell in next(rows, ())]
    if lacking := [name for name in (PATIENT, NOTES) if _plain(name) not in heading]:
        raise UserError(
            f"data.reports={path}: its first row lacks {' and '.join(lacking)}; "
            f"the columns needed are {PATIENT} and {NOTES}"
        )
    who, what = heading.index(_plain(PATIENT)), heading.index(_plain(NOTES))
    notes: dict[str, list[str]] = {}
    for row in rows:
        cells = [*row, *[None] * len(heading)]
        patient, text = _text(cells[who]), _text(cells[what])
        if patient and text:
            notes.setdefault(patient_key(patient), []).append(text)
    if not notes:
        raise UserError(f"data.reports={path}: holds no note; give a file whose rows hold {PATIENT} and {NOTES}")
    return {patient: "\n".join(texts) for patient, texts in notes.items()}


def patient_key(patient: str) -> str:
    """A patient's id without what files and sheets spell differently: leading zeros, and a whole number's ``.0``."""
    return patient.strip().removesuffix(".0").lstrip("0").lower()


def _workbook(path: Path) -> Iterator[tuple[Any, ...]]:
    from zipfile import BadZipFile

    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        book = load_workbook(path, read_only=True, data_only=True)
    except (BadZipFile, InvalidFileException, KeyError, OSError) as error:
        raise UserError(
            f"data.reports={path}: no readable .xlsx workbook ({error}); save it anew, or as .csv"
        ) from error
    try:
        yield from book.worksheets[0].iter_rows(values_only=True)
    finally:
        book.close()


def _csv(path: Path) -> Iterator[tuple[Any, ...]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            yield from map(tuple, csv.reader(stream))
    except UnicodeDecodeError as error:
        raise UserError(f"data.reports={path}: not in UTF-8 ({error.reason}); save it as CSV UTF-8") from error


def _text(cell: Any) -> str:
    return "" if cell is None else str(cell).strip()


def _plain(cell: Any) -> str:
    """A heading without case, and with one kind of apostrophe."""
    return " ".join(_text(cell).lower().replace("’", "'").split())
