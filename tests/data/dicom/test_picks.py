"""Tests of the CSV files that name the labelled slices."""

from __future__ import annotations

from pathlib import Path

import pytest

from lss_lightning.data.dicom.picks import PICKS_FOLDER, SLICES_CSV, T1_FOLDERS_CSV, T2_FOLDERS_CSV, read_picks
from lss_lightning.errors import UserError


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (SLICES_CSV, "1,2,3\n", "line 1: '1,2,3' is not a patient and the slice numbers"),
        (SLICES_CSV, "1,2,3,4\n2,0,3,4\n", "line 2: '2,0,3,4' is not"),
        (SLICES_CSV, "patient,D3,D4,D5\n", "line 1"),
        (SLICES_CSV, "1,2,3,4\n1,2,3,4\n", "line 2: patient 0001 is listed twice"),
        (SLICES_CSV, "\n", "is empty"),
        (SLICES_CSV, b"1,2,3,\xff\n", "not a CSV file in UTF-8"),
        (T1_FOLDERS_CSV, "T1_TSE_TRA\n", "line 1: 'T1_TSE_TRA' is not a patient and a folder"),
        (T2_FOLDERS_CSV, "1,T2,more\n", "line 1"),
    ],
)
def test_invalid_csv_files_are_refused_in_one_line(raw: Path, name: str, text: str | bytes, message: str) -> None:
    (raw / PICKS_FOLDER / name).write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(UserError, match=message) as error:
        read_picks(raw)
    assert "\n" not in str(error.value)
    assert name in str(error.value)
