"""Calibrated intervals: known quantiles, and their coverage on synthetic patients."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lss_lightning.stenosis import (
    CRITERIA,
    MEASUREMENTS,
    MIN_CALIBRATION_PATIENTS,
    Calibration,
    MeasurementInterval,
    Support,
    describe_basis,
)
from lss_lightning.stenosis.conformal import Residuals
from lss_lightning.stenosis.uncertainty import SPREAD_ONLY

NAMES = list(MEASUREMENTS)
AREA = NAMES.index("sac_area_mm2")


def make_patients(count, each=1):
    return [f"{patient:04d}" for patient in range(count) for _ in range(each)]


def fit_calibration(errors, each=1):
    """Fit a calibration on predictions of 100 with the given errors."""
    errors = np.asarray(errors, dtype=float)
    predicted = np.full((len(errors), len(NAMES)), 100.0)
    return Calibration.fit(predicted + errors[:, None], predicted, make_patients(len(errors) // each, each))


def test_one_slice_per_patient_gives_the_usual_ranks():
    """A new error has each of 80 ranks with the same probability, and 2 of 80 are 2.5 %."""
    shuffled = np.random.default_rng(0).permutation(np.arange(1, 80.0))
    assert Residuals.from_slices(shuffled, make_patients(79)).bounds == (2, 78)


def test_intervals_need_39_patients():
    assert MIN_CALIBRATION_PATIENTS == 39
    assert Residuals.from_slices(np.arange(39.0), make_patients(39)).bounds == (0, 38)
    assert Residuals.from_slices(np.arange(38.0), make_patients(38)).bounds == (-math.inf, math.inf)
    assert set(fit_calibration(np.arange(39.0)).residuals) == set(MEASUREMENTS)
    assert fit_calibration(np.arange(38.0)).residuals == {}
    assert fit_calibration(np.arange(3 * 38.0), each=3).residuals == {}


def test_repeated_errors_of_a_patient_change_nothing():
    errors = np.random.default_rng(1).normal(size=50)
    once = Residuals.from_slices(errors, make_patients(50))
    thrice = Residuals.from_slices(np.repeat(errors, 3), make_patients(50, 3))
    assert once.bounds == thrice.bounds
    for limit in (-1.0, 0.0, 0.7):
        assert once.probability_below(limit) == pytest.approx(thrice.probability_below(limit))


def test_a_patient_with_many_slices_counts_once():
    rng = np.random.default_rng(2)
    patients = [*make_patients(79), *["many"] * 400]
    residuals = Residuals.from_slices(np.concatenate((rng.normal(size=79), rng.normal(30, 1, size=400))), patients)
    assert residuals.weights.sum() == pytest.approx(80 / 81)
    assert residuals.weights[residuals.values > 20].sum() == pytest.approx(1 / 81)
    assert residuals.bounds[1] < 10


def test_probability_below_a_limit_is_never_0_or_1():
    residuals = Residuals.from_slices(np.arange(1, 40.0), make_patients(39))
    for limit, expected in ((0, 0.5), (20, 19.5), (20.5, 20.5), (99, 39.5)):
        assert residuals.probability_below(limit) == pytest.approx(expected / 40)


@pytest.mark.parametrize(("patients", "each", "expected"), [(79, 1, 76 / 80), (60, 3, 59 / 61)])
def test_coverage_equals_the_rank_probability(patients, each, expected):
    """All slices of a patient have the same error, so the expected coverage is known exactly."""
    rng = np.random.default_rng(3)
    owners = make_patients(patients, each)
    runs = 1500
    held = 0
    for _ in range(runs):
        low, high = Residuals.from_slices(np.repeat(rng.gumbel(size=patients), each), owners).bounds
        held += low <= rng.gumbel() <= high
    assert held / runs == pytest.approx(expected, abs=3 * math.sqrt(expected * (1 - expected) / runs))


def test_coverage_with_correlated_slices_is_at_least_nominal():
    rng = np.random.default_rng(4)
    runs, patients = 400, 60
    owners = make_patients(patients, 3)
    held: list[bool] = []
    width = []
    for _ in range(runs):
        own, slices = rng.normal(2, 0.8, size=(patients + 1, 1)), rng.normal(0, 0.6, size=(patients + 1, 3))
        errors = own + slices
        low, high = Residuals.from_slices(errors[:-1].ravel(), owners).bounds
        held += list((low <= errors[-1]) & (errors[-1] <= high))
        width.append(high - low)
    # The three slices of a patient are not independent trials.
    assert np.mean(held) > 0.95 - 3 * math.sqrt(0.95 * 0.05 / runs)
    assert np.mean(held) < 0.995
    assert np.mean(width) < 2 * 3  # for normal errors with an SD of 1


def test_bias_of_the_network_shifts_the_interval():
    calibration = fit_calibration(np.random.default_rng(5).normal(8, 1, size=80))
    interval = calibration.compute_interval("sac_area_mm2", 100.0)
    assert interval is not None
    assert 100 < interval.low < 108 < interval.high
    keys = {criterion.key for criterion in CRITERIA if criterion.measurement == "sac_area_mm2"}
    assert set(interval.probability_below) == keys
    assert interval.probability_below["sac_area_mm2<111.09"] == pytest.approx(1, abs=0.03)
    assert interval.probability_below["sac_area_mm2<75"] == pytest.approx(0.5 / 81)


def test_measurements_of_too_few_patients_have_no_interval():
    errors = np.random.default_rng(7).normal(size=40)
    reference = 100 + np.tile(errors[:, None], len(NAMES))
    reference[:2, AREA] = np.nan
    predicted, owners = np.full_like(reference, 100.0), make_patients(40)
    calibration = Calibration.fit(reference, predicted, owners)
    assert set(calibration.residuals) == set(MEASUREMENTS) - {"sac_area_mm2"}
    values = dict.fromkeys(NAMES, 100.0) | {"disc_ap_mm": None}
    assert set(calibration.compute_intervals(values)) == set(MEASUREMENTS) - {"sac_area_mm2", "disc_ap_mm"}


def test_interval_bounds_are_not_negative():
    interval = fit_calibration(np.linspace(-50, 50, 101)).compute_interval("bulge_mm", 1.0)
    assert interval is not None
    assert interval.low == 0
    assert interval.high > 40


def test_basis_describes_the_calibration():
    spread = MeasurementInterval(1, 2, {})
    few, many = (MeasurementInterval(1, 2, {}, Support(slices, 40)) for slices in (118, 120))
    assert spread.basis == SPREAD_ONLY == "spread of models or views only, not calibrated"
    assert few.basis == "calibrated on 118 slices of 40 patients"
    assert describe_basis([spread, spread]) == SPREAD_ONLY
    test = MeasurementInterval(1, 2, {}, Support(60, 20), from_test=True)
    assert describe_basis([test]) == test.basis == "error of this checkpoint on its test part, 60 slices of 20 patients"
    assert describe_basis([many, many]) == "calibrated on 120 slices of 40 patients"
    assert describe_basis([many, few]) == "calibrated on up to 120 slices of 40 patients"
    assert describe_basis([]) == ""
    calibrated = fit_calibration(np.arange(120.0), each=3).compute_interval("bulge_mm", 1.0)
    assert calibrated is not None
    assert calibrated.support == Support(120, 40)
