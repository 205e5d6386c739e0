from __future__ import annotations

import csv
import math

import pytest

from lss_lightning.labels import LUMBAR
from lss_lightning.metrics import PairedComparison, compare_pooled, iou_and_means
from lss_lightning.reporting.comparison import list_difference_notes, make_difference_table, write_differences
from lss_lightning.reporting.comparison.differences import format_difference, format_p
from tests.reporting.comparison.results import make_counts


@pytest.fixture
def pairs() -> list[PairedComparison]:
    difference = compare_pooled(make_counts(4, 300), make_counts(4, 400), lambda counts: iou_and_means(counts, LUMBAR))
    return [
        PairedComparison("a", "b", difference, "", 4),
        PairedComparison("a", "c", None, "3 slices (x, y, z) only in a", 0),
    ]


def test_differences_in_table_and_csv(pairs, tmp_path):
    table = make_difference_table(pairs[:1], LUMBAR, "caption")
    assert [row[0] for row in table.rows][-1] == "Mean over anatomical classes"
    disc = next(row for row in table.rows if row[0] == "Intervertebral Disc")
    assert disc[1:5] == ["a", "b", "+0.100", "[+0.100, +0.100]"]
    assert next(row for row in table.rows if row[0] == "Unregistered")[3:] == ["–"] * 4
    write_differences(pairs, LUMBAR, tmp_path / "differences.csv", "note")
    with (tmp_path / "differences.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))[:-1]
    assert len(rows) == len(LUMBAR) + 2
    assert float(rows[1]["difference"]) == pytest.approx(0.1)
    assert {row["patients"] for row in rows} == {"4"}


def test_notes_state_the_pairs_not_compared_and_the_smallest_possible_p(pairs):
    notes = list_difference_notes(pairs)
    assert "Not compared: a and c were tested on different images: 3 slices (x, y, z) only in a." in notes
    assert any("With 4 patients, p cannot be below 0.12" in note for note in notes)
    assert list_difference_notes(pairs[1:]) == [notes[-1]]


@pytest.mark.parametrize(
    ("difference", "expected"), [(0.0123, "+0.012"), (-0.0126, "−0.013"), (0.0001, "0.000"), (math.nan, "–")]
)
def test_differences_have_their_sign(difference, expected):
    assert format_difference(difference) == expected


@pytest.mark.parametrize(("p", "expected"), [(0.0004, "< 0.001"), (0.05, "0.050"), (1.0, "1.000"), (math.nan, "–")])
def test_format_p(p, expected):
    assert format_p(p) == expected
