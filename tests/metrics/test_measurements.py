from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from lss_lightning.metrics.measurements import UNDETERMINED, MeasurementTable, locate_stenosis, summarise_measurements
from lss_lightning.stenosis import MEASUREMENTS

NAMES = list(MEASUREMENTS)
AREA, CANAL, LEFT = map(NAMES.index, ("sac_area_mm2", "canal_ap_mm", "foramen_left_mm"))
WIDE = {
    "sac_area_mm2": 180.0,
    "canal_area_mm2": 250.0,
    "canal_ap_mm": 17.0,
    "foramen_left_mm": 6.0,
    "foramen_right_mm": 6.0,
}


def make_rows(*changes):
    base = dict.fromkeys(NAMES, 10.0) | WIDE
    return np.array([[(base | change)[name] for name in NAMES] for change in changes], dtype=float)


@pytest.fixture
def table():
    """Four slices of two patients; predicted sacs are 5 mm² too large, and one canal diameter is withheld."""
    label = make_rows({"sac_area_mm2": 60}, {"sac_area_mm2": 90}, {"sac_area_mm2": 120}, {"foramen_left_mm": 2})
    predicted = label.copy()
    predicted[:, AREA] += 5
    predicted[1, CANAL] = np.nan
    truth = label - 1
    low, high = predicted - 2, predicted + 2
    return MeasurementTable(
        label=label,
        predicted=predicted,
        low=low,
        high=high,
        calibrated_low=np.where(np.arange(len(NAMES)) == CANAL, np.nan, low - 4),
        calibrated_high=np.where(np.arange(len(NAMES)) == CANAL, np.nan, high),
        patients=["a", "a", "b", "b"],
        levels=["D3", "D4", "D5", "D4"],
        truth=truth,
        severities=np.array([1.0, 0.5, 0.3, 0.0]),
        sites=["central", "central", "none", "left"],
    )


def test_errors_computed_by_hand(table):
    summary = summarise_measurements(table)
    json.dumps(summary, allow_nan=False)
    area = summary["against_label"]["sac_area_mm2"]
    assert (area["slices"], area["withheld"], area["bias"], area["sd"], area["mae"]) == (4, 0, 5.0, 0.0, 5.0)
    assert area["limits95"] == [5.0, 5.0]
    assert area["mae_percent"] == pytest.approx(100 * 5 / np.mean([60, 90, 120, 180]))
    assert summary["against_truth"]["sac_area_mm2"]["bias"] == 6.0
    assert summary["label_against_truth"]["sac_area_mm2"]["bias"] == 1.0
    canal = summary["against_label"]["canal_ap_mm"]
    assert (canal["slices"], canal["withheld"], canal["no_reference"]) == (3, 1, 0)


def test_threshold_categories(table):
    category = summarise_measurements(table)["against_label"]["sac_area_mm2"]["category"]
    assert category["thresholds"] == [75, 100]
    assert category["counts"] == [[1, 0, 0], [0, 1, 0], [0, 0, 2]]
    assert category["kappa"] == 1.0


def test_a_value_equal_to_the_threshold_is_not_below_it(table):
    table.label[0, AREA], table.predicted[0, AREA] = 75.0, 74.9
    counts = summarise_measurements(table)["against_label"]["sac_area_mm2"]["category"]["counts"]
    assert counts[1][0] == 1


def test_coverage(table):
    summary = summarise_measurements(table)
    assert summary["against_label"]["sac_area_mm2"]["coverage"] == {"slices": 4, "held": 0.0, "width": 4.0}
    assert summary["against_label"]["canal_ap_mm"]["coverage"] == {"slices": 3, "held": 1.0, "width": 4.0}
    assert summary["against_label"]["sac_area_mm2"]["calibrated_coverage"] == {"slices": 4, "held": 1.0, "width": 8.0}
    assert "calibrated_coverage" not in summary["against_label"]["canal_ap_mm"]


def test_errors_by_severity(table):
    groups = summarise_measurements(table)["against_truth"]["sac_area_mm2"]["by_severity"]
    assert [group["slices"] for group in groups] == [1, 1, 1, 1]
    assert [group["bias"] for group in groups] == [6.0] * 4


def test_sites_against_the_truth(table):
    sites = summarise_measurements(table)["sites"]
    assert sites["against_truth"] == {
        "none": {"none": 1, "central": 0, "left": 0},
        "central": {"none": 0, "central": 2, "left": 0},
        "left": {"none": 0, "central": 0, "left": 1},
    }


def test_without_truth_only_labels_are_compared(table):
    without_truth = replace(table, truth=None, severities=None, sites=None)
    summary = summarise_measurements(without_truth)
    assert set(summary) == {"against_label", "sites"}
    assert set(summary["sites"]) == {"against_label"}


@pytest.mark.parametrize(
    ("change", "level", "site"),
    [
        ({}, "D4", "none"),
        ({"sac_area_mm2": 60.0, "foramen_left_mm": 1.0}, "D4", "central+left"),
        ({"sac_area_mm2": 60.0}, "D5", "none"),
        ({"sac_area_mm2": None}, "D4", UNDETERMINED),
        ({"sac_area_mm2": None}, "D5", "none"),
        ({"sac_area_mm2": None, "foramen_right_mm": 1.0}, "D4", "right"),
    ],
)
def test_site_of_a_slice(change, level, site):
    assert locate_stenosis(dict.fromkeys(NAMES, 10.0) | WIDE | change, level) == site
