import math

import numpy as np
import pytest
from scipy import stats

from lss_lightning.labels import LUMBAR
from lss_lightning.stenosis import (
    CRITERIA,
    MEASUREMENTS,
    level_flags,
    measure_members,
    measure_slice,
    registration_flags,
)
from lss_lightning.stenosis.measurements import AAP, DISC, SAC, Flag
from lss_lightning.stenosis.uncertainty import LEAST_AGREEMENT, RASTERISATION, interval, pairwise_dice
from tests.stenosis.anatomy import SPACING, Spine, fractions

PIXEL = (SPACING, SPACING)
PLACE = {"offset": (1.3, -5.2), "turn": 4.0}


def members(*spines):
    return np.stack([fractions(spine.shapes, **PLACE) for spine in spines])


def measured(probabilities, spacing=PIXEL):
    return measure_members(probabilities, LUMBAR, spacing, "right")


@pytest.fixture(scope="module")
def three():
    """Members whose sacs are 10, 10.4 and 10.8 mm deep."""
    return members(*(Spine(sac_b=5 + extra) for extra in (0.0, 0.2, 0.4)))


def test_every_measure_knows_what_rasterising_costs():
    assert set(RASTERISATION) == set(MEASUREMENTS)
    assert all(spread > 0 for spread in RASTERISATION.values())


def test_the_measures_are_those_of_the_mean(three):
    result, _, flags = measured(three)
    assert flags == ()
    assert result.values() == measure_slice(three.mean(axis=0), LUMBAR, PIXEL, image_left="right").values()


def test_an_interval_holds_its_measure_and_widens_with_the_members_spread(three):
    result, spread, _ = measured(three)
    _, agreed, _ = measured(np.stack([three[1]] * 3))
    assert set(spread) == set(agreed) == set(MEASUREMENTS)
    for name, value in result.values().items():
        assert spread[name].low <= value <= spread[name].high
    assert spread["sac_ap_mm"].high - spread["sac_ap_mm"].low > 2 * (agreed["sac_ap_mm"].high - agreed["sac_ap_mm"].low)


def test_members_that_agree_leave_the_spread_of_rasterising():
    found = interval("sac_ap_mm", 10.0, [10.0, 10.0, 10.0])
    assert (found.low, found.high) == pytest.approx((10 - 1.96 * 0.23, 10 + 1.96 * 0.23), abs=1e-3)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_a_large_spread_gives_student_s_interval_for_a_further_member(count):
    values = 100 + 20 * np.linspace(-1, 1, count)
    found = interval("sac_area_mm2", 100.0, list(values))
    reach = stats.t.ppf(0.975, count - 1) * values.std(ddof=1) * math.sqrt(1 + 1 / count)
    assert found.high - 100 == pytest.approx(reach, rel=0.02)
    assert found.low == pytest.approx(max(0, 100 - reach), rel=0.05, abs=2)


def test_intervals_hold_a_further_member_as_often_as_they_say():
    rng = np.random.default_rng(0)
    for spread in (0.05, 0.3, 2.0):
        held = 0
        for _ in range(2000):
            draws = 15 + spread * rng.normal(size=4)
            found = interval("canal_ap_mm", float(draws[:3].mean()), list(draws[:3]))
            held += found.low <= draws[3] + RASTERISATION["canal_ap_mm"] * rng.normal() <= found.high
        assert 0.93 < held / 2000 < 0.99, spread


def test_probabilities_of_lying_below_the_thresholds():
    found = interval("sac_area_mm2", 75.0, [75.0, 75.0, 75.0])
    assert set(found.below) == {one.key for one in CRITERIA if one.measure == "sac_area_mm2"}
    assert found.below["sac_area_mm2<75"] == pytest.approx(0.5)
    assert found.below["sac_area_mm2<100"] == pytest.approx(1)
    wide = interval("sac_area_mm2", 90.0, [70.0, 90.0, 110.0])
    assert 0.05 < wide.below["sac_area_mm2<75"] < 0.5 < wide.below["sac_area_mm2<100"] < 0.95


def test_rasterising_costs_more_on_coarse_pixels():
    fine, coarse = (interval("canal_area_mm2", 200.0, [200.0] * 3, pixel) for pixel in (0.6875, 1.375))
    assert (coarse.high - coarse.low) / (fine.high - fine.low) == pytest.approx(2**1.5, rel=1e-3)


def test_one_member_has_no_interval(three):
    result, intervals, flags = measured(three[:1])
    assert (intervals, flags) == ({}, ())
    assert result.sac_area_mm2 is not None


def test_without_a_spacing_only_ratios_have_intervals(three):
    result, intervals, _ = measured(three, None)
    assert set(intervals) == {name for name in MEASUREMENTS if not MEASUREMENTS[name].unit}
    assert set(intervals) == {name for name, value in result.values().items() if value is not None}


def test_members_that_disagree_on_the_sac_withhold_what_needs_it():
    result, intervals, flags = measured(members(Spine(sac_x=-3.0), Spine(sac_x=3.0), Spine(sac_x=0.0)))
    assert {flag.key for flag in flags} == {"low_agreement"}
    undermined = {name for name in MEASUREMENTS if SAC in MEASUREMENTS[name].needs}
    assert any("thecal sac" in flag.message for flag in flags)
    assert undermined <= set(result.withheld)
    assert "disagree" in result.withheld["sac_area_mm2"]
    assert result.sac_area_counted_mm2 is None
    assert set(result.calipers) <= set(MEASUREMENTS) - undermined
    assert set(intervals) == {name for name, value in result.values().items() if value is not None}
    assert set(flags) <= set(result.flags)


def test_a_member_that_finds_no_sac_is_disagreement(three):
    blind = three.copy()
    blind[0, LUMBAR.keys.index("aap")] += blind[0, LUMBAR.keys.index(SAC)]
    blind[0, LUMBAR.keys.index(SAC)] = 0
    result, _, flags = measured(blind)
    assert "sac_area_mm2" in result.withheld
    assert flags


def test_least_agreement_is_that_of_a_map_moved_by_three_pixels():
    assert pytest.approx({DISC: 0.942, SAC: 0.809, AAP: 0.585}, abs=1e-3) == {
        key: LEAST_AGREEMENT[key] for key in (DISC, SAC, AAP)
    }


def test_pairwise_dice():
    one, two = np.zeros((2, 10, 10), dtype=bool)
    one[:4], two[2:6] = True, True
    assert pairwise_dice(np.stack((one, one, two))) == pytest.approx((1 + 0.5 + 0.5) / 3)
    assert math.isnan(pairwise_dice(np.zeros((3, 4, 4), dtype=bool)))
    assert pairwise_dice(np.stack((one, np.zeros_like(one)))) == 0


@pytest.mark.parametrize(
    ("given", "keys"),
    [
        ((15.0, 5.0, 0.4, 0.4), []),
        ((15.1, 0.0, 0.4, 0.5), ["shift_large"]),
        ((0.0, -5.1, 0.4, 0.5), ["turn_large"]),
        ((0.0, 0.0, 0.4, 0.39), ["information_fell"]),
        ((20.0, 6.0, 0.4, 0.3), ["shift_large", "turn_large", "information_fell"]),
    ],
)
def test_a_doubtful_registration_withholds_everything(given, keys, three):
    flags = tuple(registration_flags(*given))
    assert [flag.key for flag in flags] == keys
    result = measure_slice(three[0], LUMBAR, PIXEL, image_left="right").withhold(flags)
    assert set(result.withheld) == (set(MEASUREMENTS) if keys else set())
    if keys:
        assert set(result.values().values()) == {None}
        assert set(result.withheld.values()) == {flags[0].message}


def test_the_first_reason_is_kept(three):
    known = measure_slice(three[0], LUMBAR, None, image_left="right")
    later = known.withhold([Flag("later", "another reason", ("sac_area_mm2", "sac_disc_area_ratio"))])
    assert later.withheld["sac_area_mm2"] == known.withheld["sac_area_mm2"]
    assert later.withheld["sac_disc_area_ratio"] == "another reason"
    assert later.sac_disc_area_ratio is None


@pytest.mark.parametrize(("level", "count"), [("D5", 1), ("D4", 0), (None, 0)])
def test_the_sac_s_area_is_an_unreliable_sign_at_l5_s1(level, count):
    flags = list(level_flags(level))
    assert len(flags) == count
    assert all("unreliable" in flag.message and not flag.undermines for flag in flags)
