"""Published thresholds, and the findings and sites derived from them."""

import pytest

from lss_lightning.stenosis import CRITERIA, MEASUREMENTS, MeasurementInterval, apply_criteria, find_sites
from lss_lightning.stenosis.criteria import describe_status
from lss_lightning.stenosis.norms import NORMS
from lss_lightning.stenosis.ranges import PLAUSIBLE_RANGES

NORMAL = {
    "sac_area_mm2": 180.0,
    "canal_area_mm2": 250.0,
    "canal_ap_mm": 17.0,
    "foramen_left_mm": 6.0,
    "foramen_right_mm": 6.0,
}


def find_thresholds(values, level="D3"):
    return [
        (finding.criterion.measurement, finding.criterion.below) for finding in apply_criteria(NORMAL | values, level)
    ]


def test_every_criterion_and_range_has_a_measurement_and_a_source():
    assert all(criterion.measurement in MEASUREMENTS and criterion.source for criterion in CRITERIA)
    assert all(criterion.below > 0 for criterion in CRITERIA)
    assert PLAUSIBLE_RANGES.keys() <= MEASUREMENTS.keys()
    assert all(bounds.source and bounds.low < bounds.high for bounds in PLAUSIBLE_RANGES.values())


def test_a_wide_canal_has_no_findings():
    assert apply_criteria(NORMAL, "D4") == ()
    assert find_sites(()) == ()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"sac_area_mm2": 99.4}, [("sac_area_mm2", 100)]),
        ({"sac_area_mm2": 99.6}, []),  # reported as 100 mm²
        ({"canal_ap_mm": 11.94}, [("canal_ap_mm", 12)]),
        ({"canal_ap_mm": 11.96}, []),
        ({"sac_area_mm2": 60.0}, [("sac_area_mm2", 75), ("sac_area_mm2", 100)]),
        ({"canal_ap_mm": 11.0}, [("canal_ap_mm", 12)]),
        ({"canal_ap_mm": 9.0}, [("canal_ap_mm", 10), ("canal_ap_mm", 12)]),
        ({"foramen_left_mm": 2.9}, [("foramen_left_mm", 3)]),
        ({"foramen_left_mm": None, "sac_area_mm2": None}, []),
    ],
)
def test_findings_of_values(values, expected):
    assert find_thresholds(values) == expected


@pytest.mark.parametrize(
    ("level", "applies"), [("D3", False), ("D4", True), ("D5", False), (None, False), ("D2", False)]
)
def test_cut_offs_apply_at_their_level_only(level, applies):
    assert (("sac_area_mm2", 111.09) in find_thresholds({"sac_area_mm2": 105.0}, level)) is applies
    assert (("canal_area_mm2", 147.12) in find_thresholds({"canal_area_mm2": 140.0}, level)) is applies


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"sac_area_mm2": 90.0}, ("central",)),
        ({"foramen_right_mm": 1.0}, ("right",)),
        ({"foramen_right_mm": 0.0, "foramen_left_mm": 2.0, "canal_ap_mm": 8.0}, ("central", "left", "right")),
        ({"sac_area_mm2": 105.0}, ()),  # only below the cut-off of a single study
    ],
)
def test_sites_of_findings(values, expected):
    assert find_sites(apply_criteria(NORMAL | values, "D4")) == expected


def test_sac_area_at_l5_s1_is_mentioned_but_suggests_no_site():
    findings = apply_criteria(NORMAL | {"sac_area_mm2": 60.0}, "D5")
    assert len(findings) == 2
    assert all("unreliable" in str(finding) for finding in findings)
    assert find_sites(findings) == ()
    assert "unreliable" not in str(apply_criteria(NORMAL | {"sac_area_mm2": 60.0}, "D4")[0])


def test_finding_names_value_threshold_and_source_without_a_diagnosis():
    (finding,) = apply_criteria(NORMAL | {"foramen_left_mm": 1.234}, "D3")
    assert str(finding) == (
        "Axial disc-facet gap, left 1.2 mm (no error known): below the published threshold of 3 mm (foraminal "
        "stenosis; Talekar et al., Appl Radiol 46(1) (2017)); published for the foramen's AP diameter on sagittal "
        "images, measured here as the axial disc-facet gap"
    )


@pytest.mark.parametrize(
    ("low", "high", "borderline"),
    [
        (60.0, 88.0, False),
        (60.0, 101.0, True),
        (60.0, 100.0, True),
        (95.0, 99.0, False),
        (101.0, 120.0, True),  # a network known to measure too little: the value is below, its interval is not
    ],
)
def test_a_finding_is_borderline_if_the_threshold_is_within_the_error(low, high, borderline):
    interval = MeasurementInterval(low, high, {})
    (finding,) = apply_criteria(NORMAL | {"sac_area_mm2": 90.0}, "D3", {"sac_area_mm2": interval})
    assert finding.is_borderline is borderline
    assert (" borderline, below the published threshold of 100 mm²" in str(finding)) is borderline
    assert f"90 mm² (95 % interval {low:.0f} to {high:.0f} mm²)" in str(finding)
    assert describe_status(finding.criterion, 90.0, interval) == ("below (borderline)" if borderline else "below")


def test_a_value_above_a_threshold_may_be_borderline_too():
    (criterion,) = (item for item in CRITERIA if item.key == "sac_area_mm2<100")
    assert describe_status(criterion, 104.0, MeasurementInterval(96, 112, {})) == "not below (borderline)"
    assert describe_status(criterion, 104.0, MeasurementInterval(101, 107, {})) == "not below"
    assert describe_status(criterion, 104.0, None) == "not below"


def test_norms_are_of_measurements_and_no_thresholds():
    assert {norm.measurement for norm in NORMS} <= MEASUREMENTS.keys()
    assert all(norm.source and norm.population and "threshold" not in norm.value for norm in NORMS)
