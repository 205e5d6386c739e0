import numpy as np
import pytest

from lss_lightning.metrics.agreement import bland_altman, cohen_kappa


def test_bland_altman_by_hand():
    found = bland_altman(np.array([1.0, -1.0, 3.0, np.nan]), ["a", "a", "b", "c"])
    assert (found.count, found.bias, found.mae) == (3, 1.0, pytest.approx(5 / 3))
    assert found.sd == pytest.approx(2.0)
    np.testing.assert_allclose(found.limits, (1 - 3.92, 1 + 3.92))
    assert found.bias_ci95[0] >= 0  # patient a alone
    assert found.bias_ci95[1] <= 3


def test_slices_of_a_patient_are_drawn_together():
    rng = np.random.default_rng(0)
    patients = np.repeat(np.arange(40), 10)
    shared = rng.normal(size=40)[patients]
    together = bland_altman(shared, list(map(str, patients)))
    apart = bland_altman(shared, list(map(str, range(400))))
    width = np.diff(together.bias_ci95) / np.diff(apart.bias_ci95)
    assert width == pytest.approx(np.sqrt(10), rel=0.15)


def test_without_pairs_nothing_is_known():
    found = bland_altman(np.array([np.nan]), ["a"])
    assert found.count == 0
    assert np.isnan([found.bias, found.sd, found.mae, *found.limits, *found.bias_ci95]).all()
    single = bland_altman(np.array([2.0]), ["a"])
    assert (single.bias, single.mae) == (2.0, 2.0)
    assert np.isnan([single.sd, *single.bias_ci95]).all()


def test_kappa_of_cohen_s_kind():
    # Fleiss's textbook form: observed 0.7, chance 0.5.
    assert cohen_kappa(np.array([[35, 15], [15, 35]])) == pytest.approx(0.4)
    assert cohen_kappa(np.diag([3, 4, 5])) == pytest.approx(1)
    assert cohen_kappa(np.array([[0, 5], [5, 0]])) == pytest.approx(-1)


def test_kappa_is_undefined_where_chance_explains_all():
    counts = np.array([[[7, 0], [0, 0]], [[0, 0], [0, 0]], [[1, 1], [1, 1]]])
    np.testing.assert_array_equal(cohen_kappa(counts), [np.nan, np.nan, 0.0])
