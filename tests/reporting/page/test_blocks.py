from __future__ import annotations

import pytest

from lss_lightning.reporting.page import Figure, Page, Section, Table
from lss_lightning.reporting.page.blocks import parse_number


@pytest.mark.parametrize(
    ("cell", "number"),
    [
        ("0.912 [0.901, 0.920]", "0.912"),
        ("< 0.001", "0.001"),
        ("14,000", "14000"),
        ("−1.5 mm", "-1.5"),
        ("1e-05", "1e-05"),
        ("–", None),
        ("D4", None),
        ("", None),
    ],
)
def test_parse_number(cell, number):
    assert parse_number(cell) == number


def test_columns_of_numbers_except_the_first_are_numeric():
    rows = [
        ["0010", "0.912 [0.901, 0.920]", "1,200", "AAP"],
        ["0002", "–", "90", "Thecal Sac"],
        ["0001", "0.85 [0.80, 0.90]", "14,000", "Disc & facet"],
    ]
    table = Table(["Patient", "IoU", "Pixels", "Worst class"], rows, "Patients", foot=[["Mean", "0.881", "", ""]])
    assert table.numeric == [False, True, True, False]
    assert Table(["a", "b"], [], "empty").numeric == [False, False]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Table(["a", "b"], [["1"]], "c"), "1 cells, but there are 2 headings"),
        (lambda: Figure(b"GIF89a", "c", "a joke"), "'a joke' is not a PNG"),
        (lambda: Section("By level", "t", []), "section key 'By level'"),
        (lambda: Page("t", "l", "d", [Section("a", "A", []), Section("a", "B", [])]), "not unique"),
    ],
)
def test_invalid_content_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
