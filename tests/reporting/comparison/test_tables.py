from __future__ import annotations

import csv

from lss_lightning.labels import LUMBAR, LabelSet
from lss_lightning.reporting.comparison import (
    make_cost_table,
    make_runs_table,
    make_table1,
    make_table2,
    make_table3,
    write_table_csv,
)
from tests.reporting.comparison.results import make_result, read_column

TWO_CLASSES = LabelSet.from_codes({"background": 0, "disc": 1}, ["background"])


def test_table_2_has_every_run_beside_the_paper():
    table = make_table2([make_result("a"), make_result("b")], LUMBAR, "caption")
    paper = ["Previous work [5]", "ResUNet (paper)", "Inception+UNet (paper)", "VGG16-UNet (paper)"]
    assert table.columns == ["Class", *paper, "a", "b"]
    assert read_column(table, "a")["Intervertebral Disc"] == "0.700 [0.700, 0.700]"
    assert read_column(table, "ResUNet (paper)")["Mean over classes"] == "0.988"
    assert [row[0] for row in table.foot][-1] == "Mean over anatomical classes"


def test_runs_table_describes_every_column():
    table = make_runs_table([make_result("a")], LUMBAR)
    assert read_column(table, "IoU")["ResUNet (paper)"] == "not stated"
    assert read_column(table, "Split, part")["ResUNet (paper)"] == "1390/155 images"
    assert read_column(table, "Split, part")["a"] == "patient, test"
    assert read_column(table, "Tested on")["a"] == "12 slices of 4 patients"
    assert read_column(table, "IoU")["a"] == "pooled over slices"
    assert [row[0] for row in make_runs_table([make_result("a")], TWO_CLASSES).rows] == ["a"]


def test_table_1_has_the_settings_of_a_run():
    table = make_table1([make_result("a"), make_result("unknown", settings=None)], "caption")
    ours = read_column(table, "a")
    assert ours["Encoder"] == "resnet34"
    assert ours["Optimizer"] == read_column(table, "Paper: chosen")["Optimizer"] == "Adam"
    assert ours["Learning rate"] == read_column(table, "Paper: chosen")["Learning rate"] == "0.0001"
    assert ours["Batch size"] == "32"  # 8 × 2 processes × 2 steps
    assert ours["Epochs"] == "200"
    assert ours["Split"] == "Image: val_fraction 0.0, test_fraction 0.1, seed 0"
    assert ours["Augmentation"] == "none"
    assert ours["Working spacing"] == "0.6875 mm"
    assert read_column(table, "Paper: tried")["Batch size"] == "0, 2, 4, 6, 8, 10"
    assert set(read_column(table, "unknown").values()) == {"–"}


def test_cost_table_has_dashes_for_unknown_costs():
    unknown = make_result("unknown", parameters=None, metrics={"data": {}})
    table = make_cost_table([make_result("a"), unknown], "caption")
    assert table.rows[0] == ["a", "24.44", "10", "7", "1:02:03", "372", "2 × cpu, bf16-mixed"]
    assert table.rows[1][1:] == ["–"] * 6


def test_table_3_states_that_related_work_is_not_comparable(tmp_path):
    table = make_table3()
    assert len(table.rows) == 5
    assert all(row[-1] for row in table.rows)
    assert "not comparable" in table.caption
    write_table_csv(table, tmp_path / "table3.csv", "a note")
    with (tmp_path / "table3.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.reader(stream))
    assert rows[0] == list(table.columns)
    assert rows[-1] == ["# a note"]
