"""Confidence intervals and significance tests over patients, from confusion counts.

Slices of one patient are correlated, so patients are resampled, never slices or pixels. Pooled counts are sums over
patients, so all resamples are computed with a single matrix product.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lss_lightning.metrics.overlap import Counts, Scores

REPLICATES = 2000
"""Number of bootstrap samples for an interval."""

PERMUTATIONS = 10_000
"""Number of random permutations of a test; the smallest possible p-value is 1 / (PERMUTATIONS + 1)."""

Statistic = Callable[[Counts], Scores]
"""Function from counts (..., K, K) to scores (..., F), such as :func:`~lss_lightning.metrics.overlap.iou`."""

DifferenceStatistic = Callable[[Counts, Counts], Scores]
"""Function from the counts (..., K, K) of two tests to the difference of their scores, first minus second, (..., F)."""


def resample(patients: Counts, replicates: int = REPLICATES, seed: int = 0) -> Counts:
    """Draw bootstrap samples of P patients each, with replacement, and pool their counts.

    Args:
        patients: (P, K, K), counts of each patient; P at least 1.
        replicates: Number of samples, R.
        seed: Random seed. The same seed and P yield the same draws, which pairs two models tested on the same patients.

    Returns:
        (R, K, K), pooled counts of each sample.
    """
    return _pool(draw_patient_counts(len(patients), replicates, seed), patients)


def draw_patient_counts(size: int, replicates: int = REPLICATES, seed: int = 0) -> NDArray[np.int64]:
    """Draw how often each of ``size`` patients occurs in each bootstrap sample, (replicates, size)."""
    return np.random.default_rng(seed).multinomial(size, np.full(size, 1 / size), size=replicates)


def interval95(replicates: Scores) -> Scores:
    """Compute 95 % percentile intervals (Efron & Tibshirani, *An introduction to the bootstrap*, 1993, chapter 13).

    Args:
        replicates: (R, ...), scores of the bootstrap samples; undefined scores (NaN) are ignored.

    Returns:
        (..., 2), lower and upper bound; NaN if the score is undefined in every sample.
    """
    flat = replicates.reshape(len(replicates), -1)
    bounds = np.full((flat.shape[1], 2), np.nan)
    for column, draws in enumerate(flat.T):
        defined = draws[~np.isnan(draws)]
        if defined.size:
            bounds[column] = np.percentile(defined, (2.5, 97.5))
    return bounds.reshape(*replicates.shape[1:], 2)


def permutation_test(
    first: Counts, second: Counts, statistic: Statistic, permutations: int = PERMUTATIONS, seed: int = 0
) -> Scores:
    """Test whether two models score equally by swapping their predictions for random subsets of the patients.

    Args:
        first: (P, K, K), counts of each patient for one model.
        second: (P, K, K), counts for the other model, of the same patients in the same order.
        statistic: The function that computes the F scores.
        permutations: Number of random swaps.
        seed: Random seed.

    Returns:
        (F,), two-sided p-values. They are greater than 0, because the observed data count as one of the permutations
        (Phipson & Smyth, *Permutation p-values should never be zero*, 2010). NaN if the difference is undefined.
    """
    swaps = np.random.default_rng(seed).integers(0, 2, size=(permutations, len(first)))
    change = _pool(swaps, second - first)
    differences = statistic(first.sum(axis=0) + change) - statistic(second.sum(axis=0) - change)
    observed = _difference(first, second, statistic)
    # Sums computed in a different order may differ in the last bit.
    extreme = (np.abs(differences) >= np.abs(observed) - 1e-12).sum(axis=0)
    return np.where(np.isnan(observed), np.nan, (extreme + 1) / (permutations + 1))


def holm(p_values: Scores) -> Scores:
    """Adjust the p-values of a family of tests (Holm, *A simple sequentially rejective multiple test procedure*, 1979).

    Args:
        p_values: (F,); NaN entries do not count as tests and remain NaN.

    Returns:
        (F,), adjusted p-values, at most 1. Those below 0.05 are significant at 5 % for the family.
    """
    adjusted = np.full(len(p_values), np.nan)
    order = [index for index in np.argsort(p_values) if not np.isnan(p_values[index])]
    steps = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(steps * p_values[order]))
    return adjusted


@dataclass(frozen=True)
class Difference:
    """Differences of the F scores of two models on the same patients, first minus second.

    Attributes:
        difference: (F,); NaN if a score of either model is undefined.
        ci95: (F, 2), paired bootstrap interval; NaN with fewer than two patients.
        p: (F,), p-values of the permutation test.
        p_holm: (F,), p-values with Holm's correction over the F scores.
    """

    difference: Scores
    ci95: Scores
    p: Scores
    p_holm: Scores


def compare_pooled(first: Counts, second: Counts, statistic: Statistic, seed: int = 0) -> Difference:
    """Compare two models, paired by patient.

    Args:
        first: (P, K, K), counts of each patient for one model; P at least 1.
        second: (P, K, K), counts for the other model, of the same patients in the same order.
        statistic: The function that computes the F scores, which are one family for Holm's correction.
        seed: Random seed of the bootstrap and of the permutations.

    Raises:
        ValueError: If the arrays differ in shape, or in labelled pixels, which means that the patients are not the
            same.
    """
    if first.shape != second.shape:
        raise ValueError(f"counts of shape {first.shape} cannot be paired with {second.shape}")
    if not np.array_equal(first.sum(axis=2), second.sum(axis=2)):
        raise ValueError("the two models' patients differ in their labelled pixels, so they are not the same patients")
    replicates = statistic(resample(first, seed=seed)) - statistic(resample(second, seed=seed))
    p_values = permutation_test(first, second, statistic, seed=seed)
    return Difference(
        difference=_difference(first, second, statistic),
        ci95=interval95(replicates if len(first) > 1 else np.full_like(replicates, np.nan)),
        p=p_values,
        p_holm=holm(p_values),
    )


def contrast(
    first: Counts,
    first_patients: Sequence[str],
    second: Counts,
    second_patients: Sequence[str],
    difference: DifferenceStatistic,
    seed: int = 0,
) -> tuple[Scores, Scores]:
    """Compute the difference between two tests on possibly different images, with a bootstrap interval over patients.

    The patients of both tests are resampled together, and a patient drawn several times is counted as often in both
    tests. Patients in both tests are thereby paired and all others are independent, so the interval is valid for any
    overlap. If the images are the same, the interval equals that of :func:`compare_pooled`.

    Args:
        first: (N, K, K), counts of the images of the first test.
        first_patients: Patient of each of the N images.
        second: (M, K, K), counts of the images of the second test.
        second_patients: Patient of each of the M images.
        difference: Difference of the scores, such as
            :func:`~lss_lightning.metrics.overlap.difference_of_iou_and_means`.
        seed: Random seed.

    Returns:
        - The difference (F,), first minus second, NaN if a score is undefined.
        - Its 95 % percentile interval (F, 2), NaN with fewer than two patients in either test.
    """
    rows = {name: row for row, name in enumerate(sorted({*first_patients, *second_patients}))}

    def pool_by_patient(counts: Counts, patients: Sequence[str]) -> Counts:
        pooled = np.zeros((len(rows), *counts.shape[1:]), dtype=np.int64)
        np.add.at(pooled, [rows[patient] for patient in patients], counts)
        return pooled

    pooled_first = pool_by_patient(first, first_patients)
    pooled_second = pool_by_patient(second, second_patients)
    replicates = difference(resample(pooled_first, seed=seed), resample(pooled_second, seed=seed))
    if min(len(set(first_patients)), len(set(second_patients))) < 2:
        replicates = np.full_like(replicates, np.nan)
    return difference(pooled_first.sum(axis=0), pooled_second.sum(axis=0)), interval95(replicates)


def _difference(first: Counts, second: Counts, statistic: Statistic) -> Scores:
    return statistic(first.sum(axis=0)) - statistic(second.sum(axis=0))


def _pool(weights: NDArray[Any], patients: Counts) -> Counts:
    """Return the weighted sums (R, K, K) of patients (P, K, K) for weights (R, P)."""
    # Products in float64 are fast, and exact for sums below 2^53 pixels.
    pooled = weights.astype(np.float64) @ patients.reshape(len(patients), -1).astype(np.float64)
    return pooled.astype(np.int64).reshape(len(weights), *patients.shape[1:])
