import pytest
from openpyxl import Workbook

from lss_lightning.data.reports import normalise_patient_id, read_reports
from lss_lightning.errors import UserError

ROWS = [("Patient ID", "Clinician's Notes"), (1, "Canal stenosis"), (2, None), (3, "One"), (3, "Two"), (None, "lost")]
EXPECTED = {"1": "Canal stenosis", "3": "One\nTwo"}


def workbook(path, rows):
    book = Workbook()
    for row in rows:
        book.active.append(row)
    book.save(path)
    return path


def test_workbook(tmp_path):
    assert read_reports(workbook(tmp_path / "reports.xlsx", ROWS)) == EXPECTED


def test_columns_in_other_positions_and_with_another_apostrophe(tmp_path):
    rows = [("", "clinician’s  notes ", "PATIENT ID"), ("x", "Canal stenosis", "0001"), ("x", "One", 3.0)]
    assert read_reports(workbook(tmp_path / "reports.xlsx", rows)) == {"1": "Canal stenosis", "3": "One"}


def test_csv(tmp_path):
    path = tmp_path / "reports.csv"
    text = '\ufeffPatient ID,Clinician\'s Notes\n0001,"Canal\nstenosis, mild"\n2\n'
    path.write_text(text, encoding="utf-8")
    assert read_reports(path) == {"1": "Canal\nstenosis, mild"}


@pytest.mark.parametrize(("patient", "expected"), [("0001", "1"), ("1.0", "1"), (" 0575 ", "575"), ("P07", "p07")])
def test_patient_ids_are_normalised(patient, expected):
    assert normalise_patient_id(patient) == expected


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.xlsx", None, "no such file"),
        ("reports.txt", b"", "neither .xlsx nor .csv"),
        ("broken.xlsx", b"PK\x03\x04 broken", "not a readable .xlsx"),
        ("empty.csv", b"", "lacks Patient ID and Clinician's Notes"),
        ("other.csv", b"Patient ID,Age\n1,60\n", "lacks Clinician's Notes"),
        ("latin.csv", "Patient ID,Clinician's Notes\n1,L4–5\n".encode("cp1252"), "not in UTF-8"),
        ("silent.csv", b"Patient ID,Clinician's Notes\n1,\n", "holds no notes"),
    ],
)
def test_unusable_reports_are_refused(name, content, message, tmp_path):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message) as error:
        read_reports(tmp_path / name)
    assert "\n" not in str(error.value)
