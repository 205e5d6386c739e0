import pytest

from lss_lightning.stenosis import CRITERIA, MEASUREMENTS, find_findings, find_sites
from lss_lightning.stenosis.criteria import RANGES

NORMAL = {
    "sac_area_mm2": 180.0,
    "canal_area_mm2": 250.0,
    "canal_ap_mm": 17.0,
    "foramen_left_mm": 6.0,
    "foramen_right_mm": 6.0,
}


def thresholds(values, level="D3"):
    return [(one.criterion.measure, one.criterion.below) for one in find_findings(NORMAL | values, level)]


def test_every_criterion_and_range_is_of_a_measure_and_has_a_source():
    assert all(one.measure in MEASUREMENTS and one.source and one.below > 0 for one in CRITERIA)
    assert all(name in MEASUREMENTS and one.source and one.least < one.most for name, one in RANGES.items())


def test_a_wide_canal_has_no_findings():
    assert find_findings(NORMAL, "D4") == ()
    assert find_sites(()) == ()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"sac_area_mm2": 99.9}, [("sac_area_mm2", 100)]),
        ({"sac_area_mm2": 100.0}, []),
        ({"sac_area_mm2": 60.0}, [("sac_area_mm2", 75), ("sac_area_mm2", 100)]),
        ({"canal_ap_mm": 11.0}, [("canal_ap_mm", 12)]),
        ({"canal_ap_mm": 9.0}, [("canal_ap_mm", 10), ("canal_ap_mm", 12)]),
        ({"foramen_left_mm": 2.9}, [("foramen_left_mm", 3)]),
        ({"foramen_left_mm": None, "sac_area_mm2": None}, []),
    ],
)
def test_thresholds(values, expected):
    assert thresholds(values) == expected


@pytest.mark.parametrize(("level", "found"), [("D3", False), ("D4", True), ("D5", False), (None, False), ("D2", False)])
def test_the_cut_offs_of_one_level_stay_there(level, found):
    assert (("sac_area_mm2", 111.09) in thresholds({"sac_area_mm2": 105.0}, level)) is found
    assert (("canal_area_mm2", 147.12) in thresholds({"canal_area_mm2": 140.0}, level)) is found


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"sac_area_mm2": 90.0}, ("central",)),
        ({"foramen_right_mm": 1.0}, ("right",)),
        ({"foramen_right_mm": 0.0, "foramen_left_mm": 2.0, "canal_ap_mm": 8.0}, ("central", "left", "right")),
        ({"sac_area_mm2": 105.0}, ()),  # only below a study's cut-off
    ],
)
def test_sites(values, expected):
    assert find_sites(find_findings(NORMAL | values, "D4")) == expected


def test_sac_area_is_mentioned_at_l5_s1_but_places_nothing():
    findings = find_findings(NORMAL | {"sac_area_mm2": 60.0}, "D5")
    assert len(findings) == 2
    assert all("unreliable" in str(one) for one in findings)
    assert find_sites(findings) == ()
    assert "unreliable" not in str(find_findings(NORMAL | {"sac_area_mm2": 60.0}, "D4")[0])


def test_wording_names_value_threshold_and_source_and_diagnoses_nothing():
    (finding,) = find_findings(NORMAL | {"foramen_left_mm": 1.234}, "D3")
    assert str(finding) == (
        "Axial disc-facet gap, left 1.2 mm: below the published threshold of 3 mm (foraminal stenosis; Talekar et al., "
        "Appl Radiol 46(1) (2017)); published for the foramen's AP diameter on sagittal images, measured here as the "
        "axial disc-facet gap"
    )
