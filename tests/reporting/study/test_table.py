"""Measurements compared with thresholds and between levels."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lss_lightning.reporting.study.table import (
    build_rows,
    compare_levels,
    describe_sites,
    list_thresholds,
    summarise_sites,
)
from lss_lightning.stenosis import MEASUREMENTS, MeasurementInterval, apply_criteria, find_sites
from tests.reporting.studies import make_phantom_study


def area_comparison(slices):
    (comparison,) = (item for item in compare_levels(slices) if item.title == "Thecal sac area, mm²")
    return comparison


def test_levels_share_one_scale(study):
    area = area_comparison(study.slices[:3])
    values = [result.measurements.sac_area_mm2 for result in study.slices[:2]]
    assert [cell.value for cell in area.cells] == [f"{value:.0f}" for value in values] + ["–"]
    for cell, value in zip(area.cells, values, strict=False):
        assert cell.position / cell.ticks[1] == pytest.approx(value / 100)
    assert area.cells[2].withheld == "no thecal sac found"
    assert area.cells[2].error == ""
    interval = study.slices[0].intervals["sac_area_mm2"]
    assert area.cells[0].error == f"{interval.low:.0f} to {interval.high:.0f}"


def test_thresholds_are_drawn_only_at_the_levels_at_which_they_apply(study):
    area = area_comparison(study.slices[:3])
    assert area.thresholds == ("75", "100", "111.09 at L4/5")
    assert [len(cell.ticks) for cell in area.cells] == [2, 3, 2]
    unclear = replace(study.slices[1], content="unknown")
    area = area_comparison([study.slices[0], unclear])
    assert area.thresholds == ("75", "100")
    assert [len(cell.ticks) for cell in area.cells] == [2, 0]


def test_the_list_of_thresholds_says_where_each_was_applied(study):
    unclear = replace(study.slices[0], name="slice_09", content="unknown")
    upper = replace(study.slices[0], name="slice_10", level="L1/2")
    rows = {row.criterion.key: row for row in list_thresholds([*study.slices[:3], unclear, upper])}
    # slice_03 has no sac, slice_09 is of unknown kind.
    assert rows["sac_area_mm2<100"].applied == ("slice_01", "slice_02", "slice_10")
    assert rows["sac_area_mm2<100"].levels == "all; not counted at L5/S1"
    assert rows["sac_area_mm2<111.09"].applied == ("slice_02",)
    assert rows["sac_area_mm2<111.09"].levels == "L4/5"
    assert rows["canal_ap_mm<12"].levels == "all"


def make_result(study, *, area=None, low=0.0, high=0.0, content="disc"):
    """Make a slice at L3/4 whose only measurement is the area of the sac."""
    first = study.slices[0]
    values = dict.fromkeys(MEASUREMENTS) | {"sac_area_mm2": area}
    measurements = replace(first.measurements, **values, withheld=dict.fromkeys(MEASUREMENTS, "a reason"))
    intervals = {"sac_area_mm2": MeasurementInterval(low, high, {})} if high else {}
    findings = apply_criteria(measurements.values(), "D3", intervals) if content == "disc" else ()
    sites = find_sites(findings)
    return replace(
        first, content=content, measurements=measurements, intervals=intervals, findings=findings, sites=sites
    )


@pytest.mark.parametrize(
    ("case", "central", "summary"),
    [
        ({"area": 60.0, "low": 50, "high": 70}, "below", "central; not determined: left, right"),
        ({"area": 60.0}, "below", "central; not determined: left, right"),
        (
            {"area": 90.0, "low": 70, "high": 110},
            "below (borderline)",
            "central (borderline); not determined: left, right",
        ),
        (
            {"area": 110.0, "low": 90, "high": 130},
            "not below (borderline), partly withheld",
            "central borderline, not below; not determined: central, left, right",
        ),
        ({"area": 150.0}, "not below, partly withheld", "not determined: central, left, right"),
        ({}, "withheld", "not determined: central, left, right"),
        ({"area": 60.0, "content": "unknown"}, "not compared", "not compared with thresholds"),
    ],
)
def test_the_state_of_a_site_says_what_is_known(study, case, central, summary):
    states = describe_sites(make_result(study, **case))
    assert states["central"] == central
    assert summarise_sites(states) == summary


def test_every_value_has_an_error_or_says_that_none_is_known(study):
    known = {row.name: row for row in build_rows(study.slices[0])}
    interval = study.slices[0].intervals["sac_area_mm2"]
    assert known["sac_area_mm2"].error == f"{interval.low:.0f} to {interval.high:.0f} mm²"
    unknown = list(build_rows(replace(study.slices[0], intervals={})))
    assert {row.error for row in unknown} == {"no error known"}


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
