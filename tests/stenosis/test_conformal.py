"""Calibrated intervals: known quantiles, and the coverage that they promise on synthetic patients."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lss_lightning.stenosis import CRITERIA, MEASUREMENTS, PATIENTS_NEEDED, Calibration, Interval, Support, common_basis
from lss_lightning.stenosis.conformal import Residuals
from lss_lightning.stenosis.uncertainty import SPREAD_ONLY

NAMES = list(MEASUREMENTS)
AREA = NAMES.index("sac_area_mm2")


def names(count, each=1):
    return [f"{patient:04d}" for patient in range(count) for _ in range(each)]


def fitted(errors, each=1):
    """A calibration by predictions of 100 that are wrong by these."""
    errors = np.asarray(errors, dtype=float)
    predicted = np.full((len(errors), len(NAMES)), 100.0)
    return Calibration.fit(predicted + errors[:, None], predicted, names(len(errors) // each, each))


def test_one_slice_for_each_patient_gives_the_usual_ranks():
    """Of 79 and a new one 80 lie in any order: 2 of 80 are 2.5 %."""
    shuffled = np.random.default_rng(0).permutation(np.arange(1, 80.0))
    assert Residuals.of(shuffled, names(79)).bounds == (2, 78)


def test_thirty_nine_patients_are_just_enough():
    assert PATIENTS_NEEDED == 39
    assert Residuals.of(np.arange(39.0), names(39)).bounds == (0, 38)
    assert Residuals.of(np.arange(38.0), names(38)).bounds == (-math.inf, math.inf)
    assert set(fitted(np.arange(39.0)).residuals) == set(MEASUREMENTS)
    assert fitted(np.arange(38.0)).residuals == {}
    assert fitted(np.arange(3 * 38.0), each=3).residuals == {}


def test_slices_that_repeat_their_patient_s_error_add_nothing():
    errors = np.random.default_rng(1).normal(size=50)
    once, thrice = Residuals.of(errors, names(50)), Residuals.of(np.repeat(errors, 3), names(50, 3))
    assert once.bounds == thrice.bounds
    for limit in (-1.0, 0.0, 0.7):
        assert once.below(limit) == pytest.approx(thrice.below(limit))


def test_a_patient_of_many_slices_counts_as_one():
    rng = np.random.default_rng(2)
    patients = [*names(79), *["many"] * 400]
    found = Residuals.of(np.concatenate((rng.normal(size=79), rng.normal(30, 1, size=400))), patients)
    assert found.shares.sum() == pytest.approx(80 / 81)
    assert found.shares[found.values > 20].sum() == pytest.approx(1 / 81)
    assert found.bounds[1] < 10


def test_probability_of_lying_below_a_limit_is_never_certain():
    found = Residuals.of(np.arange(1, 40.0), names(39))
    for limit, expected in ((0, 0.5), (20, 19.5), (20.5, 20.5), (99, 39.5)):
        assert found.below(limit) == pytest.approx(expected / 40)


@pytest.mark.parametrize(("patients", "each", "expected"), [(79, 1, 76 / 80), (60, 3, 59 / 61)])
def test_coverage_is_what_the_ranks_say(patients, each, expected):
    """Errors of patients alone, alike on all their slices, so that the coverage to expect is known exactly."""
    rng = np.random.default_rng(3)
    whose = names(patients, each)
    runs = 1500
    held = 0
    for _ in range(runs):
        low, high = Residuals.of(np.repeat(rng.gumbel(size=patients), each), whose).bounds
        held += low <= rng.gumbel() <= high
    assert held / runs == pytest.approx(expected, abs=3 * math.sqrt(expected * (1 - expected) / runs))


def test_coverage_with_slices_that_resemble_one_another_is_at_least_what_is_promised():
    rng = np.random.default_rng(4)
    runs, patients = 400, 60
    whose = names(patients, 3)
    held, width = [], []
    for _ in range(runs):
        own, slices = rng.normal(2, 0.8, size=(patients + 1, 1)), rng.normal(0, 0.6, size=(patients + 1, 3))
        errors = own + slices
        low, high = Residuals.of(errors[:-1].ravel(), whose).bounds
        held += list((low <= errors[-1]) & (errors[-1] <= high))
        width.append(high - low)
    # A patient's three slices are no three trials.
    assert np.mean(held) > 0.95 - 3 * math.sqrt(0.95 * 0.05 / runs)
    assert np.mean(held) < 0.995
    assert np.mean(width) < 2 * 3  # of normal errors with an SD of 1


def test_a_network_s_bias_moves_the_interval_and_not_the_value():
    found = fitted(np.random.default_rng(5).normal(8, 1, size=80)).interval("sac_area_mm2", 100.0)
    assert 100 < found.low < 108 < found.high
    below = {one.key: one.below for one in CRITERIA if one.measure == "sac_area_mm2"}
    assert set(found.below) == set(below)
    assert found.below["sac_area_mm2<111.09"] == pytest.approx(1, abs=0.03)  # where the value would say no less
    assert found.below["sac_area_mm2<75"] == pytest.approx(0.5 / 81)


def test_a_measure_has_a_calibrated_interval_only_where_it_can():
    errors = np.random.default_rng(7).normal(size=40)
    reference = 100 + np.tile(errors[:, None], len(NAMES))
    reference[:2, AREA] = np.nan
    predicted, whose = np.full_like(reference, 100.0), names(40)
    found = Calibration.fit(reference, predicted, whose)
    assert set(found.residuals) == set(MEASUREMENTS) - {"sac_area_mm2"}
    values = dict.fromkeys(NAMES, 100.0) | {"disc_ap_mm": None}
    assert set(found.intervals(values)) == set(MEASUREMENTS) - {"sac_area_mm2", "disc_ap_mm"}


def test_an_interval_is_not_below_nothing():
    found = fitted(np.linspace(-50, 50, 101)).interval("bulge_mm", 1.0)
    assert found.low == 0
    assert found.high > 40


def test_every_interval_says_what_it_rests_on():
    spread = Interval(1, 2, {})
    few, many = (Interval(1, 2, {}, Support(slices, 40)) for slices in (118, 120))
    assert spread.basis == SPREAD_ONLY == "spread of models or views only, not calibrated"
    assert few.basis == "calibrated on 118 slices of 40 patients"
    assert common_basis([spread, spread]) == SPREAD_ONLY
    assert common_basis([many, many]) == "calibrated on 120 slices of 40 patients"
    assert common_basis([many, few]) == "calibrated on up to 120 slices of 40 patients"
    assert common_basis([]) == ""
    assert fitted(np.arange(120.0), each=3).interval("bulge_mm", 1.0).support == Support(120, 40)
