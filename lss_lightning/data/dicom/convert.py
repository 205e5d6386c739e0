"""Conversion of the whole raw DICOM data set to the layout that training reads."""

from __future__ import annotations

from dataclasses import fields
from functools import partial
from itertools import chain
from pathlib import Path

from lss_lightning.data.alkafri_layout import IMAGES
from lss_lightning.data.dicom.archive import find_patient_files, find_raw_data
from lss_lightning.data.dicom.patient import BLANK_LABELS, RegistrationRecord, convert_patient
from lss_lightning.data.dicom.picks import read_picks
from lss_lightning.data.parallel import map_parallel
from lss_lightning.data.processors import count_processors
from lss_lightning.errors import UserError
from lss_lightning.files import atomic_folder, write_csv

REGISTRATION_CSV = "registration.csv"
"""File name of the table that lists the outcome for every slice."""


def convert_studies(raw: Path, picks: Path, output: Path, *, workers: int | None = None) -> list[RegistrationRecord]:
    """Extract the labelled slices from raw DICOM studies, register T2 to T1, and write both and their composite.

    The output folder contains ``T1_Output`` and ``T2_Output`` (8 bits, stretched), ``Composite_Images`` (red T1, green
    T2, blue max(T1 − T2, 0)), ``Blank_Labels`` (Unregistered where T2 has no signal, Other elsewhere) and
    ``registration.csv`` (the fields of :class:`RegistrationRecord`). A slice or patient that cannot be used gets a row
    that states the reason; the others are still converted.

    Args:
        raw: ``01_MRI_Data``, the folder that contains it, or its zip.
        picks: The folder with the three CSV files, or the folder that contains ``09_Source_Code``.
        output: Folder to write, which must not exist or must be empty. It appears only once it is complete.
        workers: Number of processes, or None for one per processor. The result does not depend on this number.

    Returns:
        One record per patient and level, in the order of the CSV file.

    Raises:
        UserError: If raw data or CSV files are missing or invalid, if the output folder is not empty, or if no slice
            can be used.
    """
    raw_data, wanted_slices = find_raw_data(raw), read_picks(picks)
    files = find_patient_files(raw_data)
    jobs = [(pick, files.get(pick.patient, [])) for pick in wanted_slices]
    with atomic_folder(output) as draft:
        for folder, _ in (*IMAGES.values(), BLANK_LABELS):
            (draft / folder).mkdir(parents=True)
        work = partial(convert_patient, raw_data, draft)
        records = list(
            chain.from_iterable(map_parallel(work, jobs, count_processors() if workers is None else workers, "DICOM"))
        )
        if all(record.status == "left_out" for record in records):
            raise UserError(
                f"{raw}: none of {len(records)} slices could be used; the first, {records[0].patient} "
                f"{records[0].level}: {records[0].problem}"
            )
        columns = [field.name for field in fields(RegistrationRecord)]
        rows = ([_format_cell(getattr(record, name)) for name in columns] for record in records)
        write_csv(draft / REGISTRATION_CSV, columns, rows)
    return records


def _format_cell(value: object) -> object:
    # Adding zero turns -0.0 into 0.0.
    return f"{round(value, 4) + 0.0:.4f}" if isinstance(value, float) else value
