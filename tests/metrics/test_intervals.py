from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from lss_lightning.metrics.intervals import compare_pooled, contrast, holm, interval95, permutation_test, resample
from lss_lightning.metrics.overlap import iou


def patients(size: int, seed: int = 0, quality: float = 0.8, spread: float = 6.0) -> np.ndarray:
    """Counts (P, 2, 2) of patients of different size, each segmented with a quality of its own."""
    rng = np.random.default_rng(seed)
    pixels = rng.gamma(4, 250, size).astype(np.int64) + 50
    hits = rng.binomial(pixels, rng.beta(quality * spread, (1 - quality) * spread, size))
    false = rng.poisson(0.1 * pixels)
    counts = np.zeros((size, 2, 2), dtype=np.int64)
    counts[:, 1, 1], counts[:, 1, 0], counts[:, 0, 1], counts[:, 0, 0] = hits, pixels - hits, false, 90_000 - false
    return counts


def worsened(counts: np.ndarray, share: float, seed: int = 0) -> np.ndarray:
    """The same patients, with a share of the hits missed."""
    lost = np.random.default_rng(seed).binomial(counts[:, 1, 1], share)
    worse = counts.copy()
    worse[:, 1, 1] -= lost
    worse[:, 1, 0] += lost
    return worse


def test_a_draw_is_the_sum_of_the_patients_drawn():
    counts = patients(7)
    drawn = np.random.default_rng(3).multinomial(7, [1 / 7] * 7, size=20)
    for multiplicity, pooled in zip(drawn, resample(counts, 20, seed=3), strict=True):
        np.testing.assert_array_equal(pooled, np.repeat(counts, multiplicity, axis=0).sum(axis=0))


def test_large_counts_stay_exact():
    counts = np.full((515, 2, 2), 3 * 320 * 320 - 1)
    np.testing.assert_array_equal(resample(counts, 3), np.full((3, 2, 2), 515 * (3 * 320 * 320 - 1)))


def test_the_same_seed_gives_the_same_interval_and_another_another():
    first, same, other = (interval95(iou(resample(patients(30), seed=seed))) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, same)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("size", [50, 150])
def test_intervals_hold_the_truth_as_often_as_they_say(size):
    truth = iou(patients(200_000, seed=99).sum(axis=0))[1]
    trials = 300
    held = 0
    for trial in range(trials):
        low, high = interval95(iou(resample(patients(size, seed=trial), 400, seed=trial)))[1]
        held += low <= truth <= high
    # 0.95 less what a percentile interval of 50 patients falls short, give or take three standard errors.
    assert 0.90 <= held / trials <= 0.985


@pytest.mark.filterwarnings("error")
def test_draws_without_a_score_do_not_count():
    draws = np.array([[0.0, np.nan], [1.0, np.nan], [np.nan, np.nan]])
    np.testing.assert_allclose(interval95(draws), [[0.025, 0.975], [np.nan, np.nan]])


def test_permutations_of_few_patients_are_those_counted_one_by_one():
    first, second = patients(6), worsened(patients(6), 0.05)
    second[:2] = first[:2]
    observed = abs(iou(first.sum(axis=0)) - iou(second.sum(axis=0)))[1]
    reached = 0
    for swap in product((False, True), repeat=6):
        swapped = np.array(swap)[:, None, None]
        ours, theirs = np.where(swapped, second, first), np.where(swapped, first, second)
        reached += abs(iou(ours.sum(axis=0)) - iou(theirs.sum(axis=0)))[1] >= observed - 1e-12
    found = permutation_test(first, second, iou, permutations=20_000)[1]
    assert found == pytest.approx(reached / 2**6, abs=0.01)


def test_equal_models_do_not_differ():
    found = compare_pooled(patients(20), patients(20), iou)
    np.testing.assert_array_equal(found.difference, 0)
    np.testing.assert_array_equal(found.ci95, 0)
    np.testing.assert_array_equal(found.p, 1)


def test_models_as_good_as_each_other_seldom_differ():
    p_values = []
    for seed in range(100):
        base = patients(40, seed)
        pair = [worsened(base, 0.05, seed=1000 * model + seed) for model in (1, 2)]
        p_values.append(permutation_test(*pair, iou, permutations=200)[1])
    assert np.mean(np.array(p_values) <= 0.05) <= 0.12
    assert np.mean(p_values) == pytest.approx(0.5, abs=0.1)


def test_a_small_but_steady_difference_is_found_by_pairing():
    first = patients(40)
    second = worsened(first, 0.02)
    found = compare_pooled(first, second, iou)
    low, high = found.ci95[1]
    assert 0 < low < found.difference[1] < high
    assert 1 / 10_001 <= found.p[1] < 0.001
    alone = interval95(iou(resample(first)))[1]
    assert high - low < 0.2 * (alone[1] - alone[0])


def test_what_is_undefined_stays_so():
    # Class 0 in neither model: rows and columns of a third class that is nowhere.
    wide = np.zeros((9, 3, 3), dtype=np.int64)
    wide[:, 1:, 1:] = patients(9)
    worse = np.zeros_like(wide)
    worse[:, 1:, 1:] = worsened(patients(9), 0.1)
    found = compare_pooled(wide, worse, iou)
    assert np.isnan([found.difference[0], found.p[0], found.p_holm[0]]).all()
    assert np.isnan(found.ci95[0]).all()
    assert not np.isnan(found.p_holm[1:]).any()


def test_one_patient_has_no_interval():
    assert np.isnan(compare_pooled(patients(1), worsened(patients(1), 0.1), iou).ci95).all()


def test_holm_worked_out_by_hand():
    # Sorted 0.01, 0.02, 0.03, 0.04 times 4, 3, 2, 1, never falling: 0.04, 0.06, 0.06, 0.06.
    np.testing.assert_allclose(holm(np.array([0.03, 0.01, np.nan, 0.04, 0.02])), [0.06, 0.04, np.nan, 0.06, 0.06])
    np.testing.assert_allclose(holm(np.array([0.5, 0.9])), [1, 1])
    assert holm(np.zeros(0)).shape == (0,)


def test_other_patients_cannot_be_paired():
    with pytest.raises(ValueError, match="shape"):
        compare_pooled(patients(5), patients(6), iou)
    with pytest.raises(ValueError, match="not the same patients"):
        compare_pooled(patients(5), patients(5, seed=1), iou)


def iou_less(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return iou(first) - iou(second)


def names(counts: np.ndarray, first: int = 0) -> list[str]:
    return [f"{first + place:04d}" for place in range(len(counts))]


def test_a_contrast_on_the_same_patients_is_the_paired_one():
    first, second = patients(30), worsened(patients(30), 0.05)
    order = np.random.default_rng(0).permutation(30)
    shuffled = [names(second)[place] for place in order]
    difference, ci95 = contrast(first, names(first), second[order], shuffled, iou_less)
    expected = compare_pooled(first, second, iou)
    np.testing.assert_array_equal(difference, expected.difference)
    np.testing.assert_array_equal(ci95, expected.ci95)


def test_a_contrast_of_other_patients_is_as_wide_as_two_tests_apart():
    first, second = patients(200), patients(200, seed=1)
    _, ci95 = contrast(first, names(first), second, names(second, 200), iou_less)
    apart = [np.ptp(interval95(iou(resample(counts)))[1]) for counts in (first, second)]
    assert np.ptp(ci95[1]) == pytest.approx(np.hypot(*apart), rel=0.1)


def test_patients_in_both_tests_narrow_a_contrast():
    first, second = patients(60), worsened(patients(60), 0.02)
    widths = []
    for shift in (0, 30, 60):
        _, ci95 = contrast(first, names(first), second, names(second, shift), iou_less)
        widths.append(np.ptp(ci95[1]))
    assert widths[0] < widths[2]


def test_several_images_of_a_patient_stay_together():
    counts = patients(20)
    owners = [f"{place // 4}" for place in range(20)]
    pooled = counts.reshape(5, 4, 2, 2).sum(axis=1)
    worse = worsened(counts, 0.1)
    _, ci95 = contrast(counts, owners, worse, owners, iou_less)
    np.testing.assert_array_equal(ci95, compare_pooled(pooled, worse.reshape(5, 4, 2, 2).sum(axis=1), iou).ci95)


def test_a_contrast_with_a_single_patient_has_no_interval():
    one, many = patients(1), patients(20)
    difference, ci95 = contrast(one, ["a"], many, names(many), iou_less)
    assert np.isfinite(difference).all()
    assert np.isnan(ci95).all()
