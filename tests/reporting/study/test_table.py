"""Measurements compared with thresholds and between levels."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lss_lightning.reporting.study.table import build_rows, compare_levels
from tests.reporting.studies import make_phantom_study


def area_comparison(slices):
    (comparison,) = (item for item in compare_levels(slices) if item.title == "Thecal sac area, mm²")
    return comparison


def test_levels_share_one_scale(study):
    area = area_comparison(study.slices[:3])
    values = [result.measurements.sac_area_mm2 for result in study.slices[:2]]
    assert [cell.value for cell in area.cells] == [f"{value:.1f}" for value in values] + ["–"]
    positions = dict(area.thresholds)
    for cell, value in zip(area.cells, values, strict=False):
        assert cell.position / positions["100"] == pytest.approx(value / 100)
    assert area.cells[2].withheld == "no thecal sac found"


def test_a_threshold_that_does_not_count_at_a_level_is_not_marked():
    third = make_phantom_study(160).slices[2]
    measurements = replace(third.measurements, sac_area_mm2=60.0)
    low = replace(third, measurements=measurements, intervals={})
    (row,) = (row for row in build_rows(low) if row.name == "sac_area_mm2")
    assert [(result.threshold, result.passed, result.reliable) for result in row.thresholds] == [
        ("75 mm²", True, False),
        ("100 mm²", True, False),
    ]
    assert not area_comparison([low]).cells[0].below
