import numpy as np
import pytest

from lss_lightning.metrics.agreement import bland_altman, cohen_kappa


def test_bland_altman_computed_by_hand():
    result = bland_altman(np.array([1.0, -1.0, 3.0, np.nan]), ["a", "a", "b", "c"])
    assert (result.count, result.bias) == (3, 1.0)
    assert result.mae == pytest.approx(5 / 3)
    assert result.sd == pytest.approx(2.0)
    np.testing.assert_allclose(result.limits, (1 - 3.92, 1 + 3.92))
    assert result.bias_ci95[0] >= 0  # patient a alone
    assert result.bias_ci95[1] <= 3


def test_slices_of_a_patient_are_resampled_together():
    rng = np.random.default_rng(0)
    patients = np.repeat(np.arange(40), 10)
    shared = rng.normal(size=40)[patients]
    together = bland_altman(shared, list(map(str, patients)))
    separate = bland_altman(shared, list(map(str, range(400))))
    width = np.diff(together.bias_ci95) / np.diff(separate.bias_ci95)
    assert width == pytest.approx(np.sqrt(10), rel=0.15)


def test_bland_altman_without_pairs_is_undefined():
    empty = bland_altman(np.array([np.nan]), ["a"])
    assert empty.count == 0
    assert np.isnan([empty.bias, empty.sd, empty.mae, *empty.limits, *empty.bias_ci95]).all()
    single = bland_altman(np.array([2.0]), ["a"])
    assert (single.bias, single.mae) == (2.0, 2.0)
    assert np.isnan([single.sd, *single.bias_ci95]).all()


def test_kappa_computed_by_hand():
    # Observed agreement 0.7, chance 0.5.
    assert cohen_kappa(np.array([[35, 15], [15, 35]])) == pytest.approx(0.4)
    assert cohen_kappa(np.diag([3, 4, 5])) == pytest.approx(1)
    assert cohen_kappa(np.array([[0, 5], [5, 0]])) == pytest.approx(-1)


def test_kappa_is_undefined_if_chance_explains_everything():
    counts = np.array([[[7, 0], [0, 0]], [[0, 0], [0, 0]], [[1, 1], [1, 1]]])
    np.testing.assert_array_equal(cohen_kappa(counts), [np.nan, np.nan, 0.0])
