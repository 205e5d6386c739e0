from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from lss_lightning.metrics.intervals import compare_pooled, contrast, holm, interval95, permutation_test, resample
from lss_lightning.metrics.overlap import iou


def make_patients(size: int, seed: int = 0, quality: float = 0.8, spread: float = 6.0) -> np.ndarray:
    """Counts (P, 2, 2) of patients with different numbers of pixels and different quality."""
    rng = np.random.default_rng(seed)
    pixels = rng.gamma(4, 250, size).astype(np.int64) + 50
    hits = rng.binomial(pixels, rng.beta(quality * spread, (1 - quality) * spread, size))
    false = rng.poisson(0.1 * pixels)
    counts = np.zeros((size, 2, 2), dtype=np.int64)
    counts[:, 1, 1], counts[:, 1, 0], counts[:, 0, 1], counts[:, 0, 0] = hits, pixels - hits, false, 90_000 - false
    return counts


def worsen(counts: np.ndarray, share: float, seed: int = 0) -> np.ndarray:
    """The same patients with a fraction of the hits missed."""
    lost = np.random.default_rng(seed).binomial(counts[:, 1, 1], share)
    worse = counts.copy()
    worse[:, 1, 1] -= lost
    worse[:, 1, 0] += lost
    return worse


def test_a_sample_is_the_sum_of_the_patients_drawn():
    counts = make_patients(7)
    draws = np.random.default_rng(3).multinomial(7, [1 / 7] * 7, size=20)
    for multiplicity, pooled in zip(draws, resample(counts, 20, seed=3), strict=True):
        np.testing.assert_array_equal(pooled, np.repeat(counts, multiplicity, axis=0).sum(axis=0))


def test_large_counts_stay_exact():
    counts = np.full((515, 2, 2), 3 * 320 * 320 - 1)
    np.testing.assert_array_equal(resample(counts, 3), np.full((3, 2, 2), 515 * (3 * 320 * 320 - 1)))


def test_intervals_depend_on_the_seed():
    first, same, other = (interval95(iou(resample(make_patients(30), seed=seed))) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, same)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("size", [50, 150])
def test_intervals_have_nominal_coverage(size):
    truth = iou(make_patients(200_000, seed=99).sum(axis=0))[1]
    trials = 300
    covered = 0
    for trial in range(trials):
        low, high = interval95(iou(resample(make_patients(size, seed=trial), 400, seed=trial)))[1]
        covered += low <= truth <= high
    # Percentile intervals of 50 patients cover slightly less than 95 %; the bounds allow three standard errors.
    assert 0.90 <= covered / trials <= 0.985


@pytest.mark.filterwarnings("error")
def test_undefined_replicates_are_ignored():
    replicates = np.array([[0.0, np.nan], [1.0, np.nan], [np.nan, np.nan]])
    np.testing.assert_allclose(interval95(replicates), [[0.025, 0.975], [np.nan, np.nan]])


def test_permutation_test_equals_the_exact_test():
    first, second = make_patients(6), worsen(make_patients(6), 0.05)
    second[:2] = first[:2]
    observed = abs(iou(first.sum(axis=0)) - iou(second.sum(axis=0)))[1]
    extreme = 0
    for swap in product((False, True), repeat=6):
        swapped = np.array(swap)[:, None, None]
        ours, theirs = np.where(swapped, second, first), np.where(swapped, first, second)
        extreme += abs(iou(ours.sum(axis=0)) - iou(theirs.sum(axis=0)))[1] >= observed - 1e-12
    p_value = permutation_test(first, second, iou, permutations=20_000)[1]
    assert p_value == pytest.approx(extreme / 2**6, abs=0.01)


def test_equal_models_do_not_differ():
    result = compare_pooled(make_patients(20), make_patients(20), iou)
    np.testing.assert_array_equal(result.difference, 0)
    np.testing.assert_array_equal(result.ci95, 0)
    np.testing.assert_array_equal(result.p, 1)


def test_p_values_of_equally_good_models_are_uniform():
    p_values = []
    for seed in range(100):
        base = make_patients(40, seed)
        first, second = (worsen(base, 0.05, seed=1000 * model + seed) for model in (1, 2))
        p_values.append(permutation_test(first, second, iou, permutations=200)[1])
    assert np.mean(np.array(p_values) <= 0.05) <= 0.12
    assert np.mean(p_values) == pytest.approx(0.5, abs=0.1)


def test_pairing_detects_a_small_consistent_difference():
    first = make_patients(40)
    second = worsen(first, 0.02)
    result = compare_pooled(first, second, iou)
    low, high = result.ci95[1]
    assert 0 < low < result.difference[1] < high
    assert 1 / 10_001 <= result.p[1] < 0.001
    alone = interval95(iou(resample(first)))[1]
    assert high - low < 0.2 * (alone[1] - alone[0])


def test_undefined_scores_have_no_difference():
    # Neither label nor prediction contains class 0.
    wide = np.zeros((9, 3, 3), dtype=np.int64)
    wide[:, 1:, 1:] = make_patients(9)
    worse = np.zeros_like(wide)
    worse[:, 1:, 1:] = worsen(make_patients(9), 0.1)
    result = compare_pooled(wide, worse, iou)
    assert np.isnan([result.difference[0], result.p[0], result.p_holm[0]]).all()
    assert np.isnan(result.ci95[0]).all()
    assert not np.isnan(result.p_holm[1:]).any()


def test_a_single_patient_has_no_interval():
    assert np.isnan(compare_pooled(make_patients(1), worsen(make_patients(1), 0.1), iou).ci95).all()


def test_holm_computed_by_hand():
    # Sorted 0.01, 0.02, 0.03, 0.04 times 4, 3, 2, 1, made monotonic: 0.04, 0.06, 0.06, 0.06.
    np.testing.assert_allclose(holm(np.array([0.03, 0.01, np.nan, 0.04, 0.02])), [0.06, 0.04, np.nan, 0.06, 0.06])
    np.testing.assert_allclose(holm(np.array([0.5, 0.9])), [1, 1])
    assert holm(np.zeros(0)).shape == (0,)


def test_different_patients_cannot_be_paired():
    with pytest.raises(ValueError, match="shape"):
        compare_pooled(make_patients(5), make_patients(6), iou)
    with pytest.raises(ValueError, match="not the same patients"):
        compare_pooled(make_patients(5), make_patients(5, seed=1), iou)


def iou_difference(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return iou(first) - iou(second)


def make_names(counts: np.ndarray, first: int = 0) -> list[str]:
    return [f"{first + index:04d}" for index in range(len(counts))]


def test_contrast_on_the_same_patients_equals_the_paired_comparison():
    first, second = make_patients(30), worsen(make_patients(30), 0.05)
    order = np.random.default_rng(0).permutation(30)
    shuffled = [make_names(second)[index] for index in order]
    difference, ci95 = contrast(first, make_names(first), second[order], shuffled, iou_difference)
    expected = compare_pooled(first, second, iou)
    np.testing.assert_array_equal(difference, expected.difference)
    np.testing.assert_array_equal(ci95, expected.ci95)


def test_contrast_of_different_patients_is_as_wide_as_two_independent_tests():
    first, second = make_patients(200), make_patients(200, seed=1)
    _, ci95 = contrast(first, make_names(first), second, make_names(second, 200), iou_difference)
    widths = [np.ptp(interval95(iou(resample(counts)))[1]) for counts in (first, second)]
    assert np.ptp(ci95[1]) == pytest.approx(np.hypot(*widths), rel=0.1)


def test_shared_patients_narrow_a_contrast():
    first, second = make_patients(60), worsen(make_patients(60), 0.02)
    widths = []
    for shift in (0, 30, 60):
        _, ci95 = contrast(first, make_names(first), second, make_names(second, shift), iou_difference)
        widths.append(np.ptp(ci95[1]))
    assert widths[0] < widths[2]


def test_images_of_a_patient_are_resampled_together():
    counts = make_patients(20)
    owners = [f"{index // 4}" for index in range(20)]
    pooled = counts.reshape(5, 4, 2, 2).sum(axis=1)
    worse = worsen(counts, 0.1)
    _, ci95 = contrast(counts, owners, worse, owners, iou_difference)
    np.testing.assert_array_equal(ci95, compare_pooled(pooled, worse.reshape(5, 4, 2, 2).sum(axis=1), iou).ci95)


def test_contrast_with_a_single_patient_has_no_interval():
    single, many = make_patients(1), make_patients(20)
    difference, ci95 = contrast(single, ["a"], many, make_names(many), iou_difference)
    assert np.isfinite(difference).all()
    assert np.isnan(ci95).all()
