"""All patients: the raw data set, as DICOM, to the layout that training reads."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable
from dataclasses import fields
from functools import partial
from itertools import chain
from pathlib import Path

from lss_lightning.data.dicom.archive import files_by_patient, find_raw
from lss_lightning.data.dicom.patient import BLANK_LABELS, RegistrationRecord, convert_patient
from lss_lightning.data.dicom.picks import read_picks
from lss_lightning.data.parallel import map_parallel
from lss_lightning.data.slices import IMAGES
from lss_lightning.errors import UserError
from lss_lightning.files import atomic_folder

REGISTRATION = "registration.csv"
"""Name of the table of what became of every slice."""


def convert_studies(raw: Path, picks: Path, output: Path, *, workers: int | None = None) -> list[RegistrationRecord]:
    """Pick the labelled slices out of raw DICOM studies, register T2 to T1, and write both and their composite.

    Written are ``T1_Output`` and ``T2_Output`` (8 bits, stretched), ``Composite_Images`` (red T1, green T2, blue
    max(T1 − T2, 0)), ``Blank_Labels`` (Unregistered where T2 has no signal, Other elsewhere) and ``registration.csv``
    (the fields of :class:`RegistrationRecord`). A slice or patient that cannot be used has a row
    that says why, and the others are converted.

    Args:
        raw: ``01_MRI_Data``, the folder around it, or its zip.
        picks: The folder of the three CSVs, or the one around ``09_Source_Code``.
        output: Folder to write; it must not exist, or be empty. It appears only when complete.
        workers: Processes; None means one per processor. The result does not depend on it.

    Returns:
        A row per patient and level, in the CSV's order.

    Raises:
        UserError: raw data or CSVs are missing or senseless, the output folder holds something, or no slice at all
            could be used.
    """
    place, wanted = find_raw(raw), read_picks(picks)
    files = files_by_patient(place)
    jobs = [(pick, files.get(pick.patient, [])) for pick in wanted]
    with atomic_folder(output) as draft:
        for folder, _ in (*IMAGES.values(), BLANK_LABELS):
            (draft / folder).mkdir(parents=True)
        work = partial(convert_patient, place, draft)
        rows = list(
            chain.from_iterable(
                map_parallel(work, jobs, (os.cpu_count() or 1) if workers is None else workers, "DICOM")
            )
        )
        if all(row.status == "left_out" for row in rows):
            raise UserError(
                f"{raw}: none of {len(rows)} slices could be used; the first, {rows[0].patient} {rows[0].level}: "
                f"{rows[0].problem}"
            )
        _write_table(draft / REGISTRATION, rows)
    return rows


def _write_table(path: Path, rows: Iterable[RegistrationRecord]) -> None:
    names = [field.name for field in fields(RegistrationRecord)]
    with path.open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(names)
        for row in rows:
            table.writerow([_cell(getattr(row, name)) for name in names])


def _cell(value: object) -> object:
    # Adding zero turns -0.0 into 0.0.
    return f"{round(value, 4) + 0.0:.4f}" if isinstance(value, float) else value
