"""Errors of a checkpoint on its test part, and the intervals that follow from them."""

import numpy as np
import pytest
from scipy import stats

from lss_lightning.stenosis import MEASUREMENTS
from lss_lightning.stenosis.held_out import MIN_TEST_PATIENTS, HeldOutErrors, MeasurementError

AREA = list(MEASUREMENTS).index("sac_area_mm2")


def fit(errors, patients):
    """Fit errors of prediction − label, (N,), of all measurements."""
    reference = np.full((len(errors), len(MEASUREMENTS)), 100.0)
    return HeldOutErrors.fit(reference, reference + np.asarray(errors)[:, None], patients)


def test_bias_and_spread_are_those_of_prediction_minus_label():
    errors = fit([2.0, 4.0, 6.0, 8.0, 10.0, 12.0], list("aabcde")).errors
    assert errors.keys() == MEASUREMENTS.keys()
    error = errors["sac_area_mm2"]
    assert (error.bias, error.slices, error.patients) == (7.0, 6, 5)
    assert error.sd == pytest.approx(np.std([2, 4, 6, 8, 10, 12], ddof=1))


def test_too_few_patients_have_no_error():
    assert MIN_TEST_PATIENTS == 5
    assert fit(np.arange(8.0), list("aabbccdd")).errors == {}
    reference = np.full((5, len(MEASUREMENTS)), 1.0)
    reference[0, AREA] = np.nan
    errors = HeldOutErrors.fit(reference, reference + np.arange(5.0)[:, None], list("abcde")).errors
    assert set(errors) == set(MEASUREMENTS) - {"sac_area_mm2"}


def test_the_interval_is_the_prediction_interval_about_the_value_without_bias():
    interval = MeasurementError(-5.0, 10.0, 60, 20).compute_interval("sac_area_mm2", 90.0)
    reach = stats.t.ppf(0.975, 19) * 10 * np.sqrt(1 + 1 / 20)
    assert (interval.low, interval.high) == pytest.approx((95 - reach, 95 + reach))
    assert interval.probability_below["sac_area_mm2<100"] == pytest.approx(
        stats.t.cdf(5 / (10 * np.sqrt(1 + 1 / 20)), 19)
    )
    assert interval.basis == "error of this checkpoint on its test part, 60 slices of 20 patients"


def test_intervals_cover_the_label_of_further_patients_at_the_nominal_rate():
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(800):
        errors = rng.normal(3, 4, size=13)
        interval = fit(errors[:-1], [str(patient) for patient in range(12)]).errors["sac_area_mm2"]
        bounds = interval.compute_interval("sac_area_mm2", 100.0 + errors[-1])
        covered.append(bounds.low <= 100.0 <= bounds.high)
    assert 0.93 < np.mean(covered) < 0.97


def test_withheld_measurements_have_no_interval():
    errors = fit(np.arange(6.0), list("abcdef"))
    intervals = errors.compute_intervals({"sac_area_mm2": None, "canal_ap_mm": 1.0})
    assert set(intervals) == {"canal_ap_mm"}
    assert intervals["canal_ap_mm"].low == 0
