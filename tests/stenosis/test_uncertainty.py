"""Intervals and agreement of ensemble members."""

import math

import numpy as np
import pytest
from scipy import stats

from lss_lightning.labels import LUMBAR
from lss_lightning.stenosis import (
    CRITERIA,
    MEASUREMENTS,
    measure_ensemble,
    measure_slice,
)
from lss_lightning.stenosis.measurements import AAP, DISC, SAC
from lss_lightning.stenosis.uncertainty import (
    MIN_AGREEMENT,
    RASTERISATION_SD,
    compute_ensemble_interval,
    mean_pairwise_dice,
)
from tests.stenosis.anatomy import SPACING, Spine, fractions

PIXEL = (SPACING, SPACING)
PLACEMENT = {"offset": (1.3, -5.2), "turn": 4.0}


def members(*spines):
    return np.stack([fractions(spine.shapes, **PLACEMENT) for spine in spines])


def measure(probabilities, spacing=PIXEL):
    return measure_ensemble(probabilities, LUMBAR, spacing, "right")


@pytest.fixture(scope="module")
def three():
    """Three members with sacs of 10, 10.4 and 10.8 mm AP diameter."""
    return members(*(Spine(sac_b=5 + extra) for extra in (0.0, 0.2, 0.4)))


def test_every_measurement_has_a_rasterisation_error():
    assert set(RASTERISATION_SD) == set(MEASUREMENTS)
    assert all(sd > 0 for sd in RASTERISATION_SD.values())


def test_measurements_are_those_of_the_mean_probabilities(three):
    result, _, flags = measure(three)
    assert flags == ()
    assert result.values() == measure_slice(three.mean(axis=0), LUMBAR, PIXEL, image_left="right").values()


def test_intervals_cover_the_value_and_widen_with_the_spread_of_the_members(three):
    result, spread, _ = measure(three)
    _, agreed, _ = measure(np.stack([three[1]] * 3))
    assert set(spread) == set(agreed) == set(MEASUREMENTS)
    for name, value in result.values().items():
        assert spread[name].low <= value <= spread[name].high
    assert spread["sac_ap_mm"].high - spread["sac_ap_mm"].low > 2 * (agreed["sac_ap_mm"].high - agreed["sac_ap_mm"].low)


def test_interval_of_equal_members_is_that_of_rasterisation():
    interval = compute_ensemble_interval("sac_ap_mm", 10.0, [10.0, 10.0, 10.0])
    assert (interval.low, interval.high) == pytest.approx((10 - 1.96 * 0.23, 10 + 1.96 * 0.23), abs=1e-3)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_interval_with_a_large_spread_is_the_t_prediction_interval(count):
    values = 100 + 20 * np.linspace(-1, 1, count)
    interval = compute_ensemble_interval("sac_area_mm2", 100.0, list(values))
    reach = stats.t.ppf(0.975, count - 1) * values.std(ddof=1) * math.sqrt(1 + 1 / count)
    assert interval.high - 100 == pytest.approx(reach, rel=0.02)
    assert interval.low == pytest.approx(max(0, 100 - reach), rel=0.05, abs=2)


def test_intervals_cover_a_further_member_at_the_nominal_rate():
    rng = np.random.default_rng(0)
    for spread in (0.05, 0.3, 2.0):
        covered = 0
        for _ in range(2000):
            draws = 15 + spread * rng.normal(size=4)
            interval = compute_ensemble_interval("canal_ap_mm", float(draws[:3].mean()), list(draws[:3]))
            covered += interval.low <= draws[3] + RASTERISATION_SD["canal_ap_mm"] * rng.normal() <= interval.high
        assert 0.93 < covered / 2000 < 0.99, spread


def test_probabilities_below_the_thresholds():
    interval = compute_ensemble_interval("sac_area_mm2", 75.0, [75.0, 75.0, 75.0])
    keys = {criterion.key for criterion in CRITERIA if criterion.measurement == "sac_area_mm2"}
    assert set(interval.probability_below) == keys
    assert interval.probability_below["sac_area_mm2<75"] == pytest.approx(0.5)
    assert interval.probability_below["sac_area_mm2<100"] == pytest.approx(1)
    wide = compute_ensemble_interval("sac_area_mm2", 90.0, [70.0, 90.0, 110.0])
    assert 0.05 < wide.probability_below["sac_area_mm2<75"] < 0.5 < wide.probability_below["sac_area_mm2<100"] < 0.95


def test_rasterisation_error_grows_with_the_spacing():
    fine, coarse = (compute_ensemble_interval("canal_area_mm2", 200.0, [200.0] * 3, pixel) for pixel in (0.6875, 1.375))
    assert (coarse.high - coarse.low) / (fine.high - fine.low) == pytest.approx(2**1.5, rel=1e-3)


def test_a_single_member_has_no_interval(three):
    result, intervals, flags = measure(three[:1])
    assert (intervals, flags) == ({}, ())
    assert result.sac_area_mm2 is not None


def test_without_a_spacing_only_ratios_have_intervals(three):
    result, intervals, _ = measure(three, None)
    assert set(intervals) == {name for name in MEASUREMENTS if not MEASUREMENTS[name].unit}
    assert set(intervals) == {name for name, value in result.values().items() if value is not None}


def test_disagreement_on_the_sac_withholds_its_measurements():
    result, intervals, flags = measure(members(Spine(sac_x=-3.0), Spine(sac_x=3.0), Spine(sac_x=0.0)))
    assert {flag.key for flag in flags} == {"low_agreement"}
    undermined = {name for name in MEASUREMENTS if SAC in MEASUREMENTS[name].needs}
    assert any("thecal sac" in flag.message for flag in flags)
    assert undermined <= set(result.withheld)
    assert "disagree" in result.withheld["sac_area_mm2"]
    assert result.sac_area_counted_mm2 is None
    assert set(result.calipers) <= set(MEASUREMENTS) - undermined
    assert set(intervals) == {name for name, value in result.values().items() if value is not None}
    assert set(flags) <= set(result.flags)


def test_a_member_without_a_sac_disagrees(three):
    blind = three.copy()
    blind[0, LUMBAR.keys.index("aap")] += blind[0, LUMBAR.keys.index(SAC)]
    blind[0, LUMBAR.keys.index(SAC)] = 0
    result, _, flags = measure(blind)
    assert "sac_area_mm2" in result.withheld
    assert flags


def test_min_agreement_is_that_of_a_map_shifted_by_three_pixels():
    assert pytest.approx({DISC: 0.942, SAC: 0.809, AAP: 0.585}, abs=1e-3) == {
        key: MIN_AGREEMENT[key] for key in (DISC, SAC, AAP)
    }


def test_pairwise_dice():
    first, second = np.zeros((2, 10, 10), dtype=bool)
    first[:4], second[2:6] = True, True
    assert mean_pairwise_dice(np.stack((first, first, second))) == pytest.approx((1 + 0.5 + 0.5) / 3)
    assert math.isnan(mean_pairwise_dice(np.zeros((3, 4, 4), dtype=bool)))
    assert mean_pairwise_dice(np.stack((first, np.zeros_like(first)))) == 0
