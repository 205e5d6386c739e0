"""What chance does to a score: intervals and tests over patients, from confusion counts.

Slices of one patient resemble each other, so patients are drawn, never slices or pixels. Pooled counts are sums over
patients, so that all draws together are one matrix product.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lss_lightning.metrics.overlap import Counts, Scores

REPLICATES = 2000
"""Draws of a bootstrap interval."""

PERMUTATIONS = 10_000
"""Draws of a permutation test; the least p-value is 1 in so many and one."""

Statistic = Callable[[Counts], Scores]
"""From counts (..., K, K) to scores (..., F), such as :func:`~lss_lightning.metrics.overlap.iou`."""

Less = Callable[[Counts, Counts], Scores]
"""From two tests' counts (..., K, K) to the first's scores less the second's, (..., F)."""


def resample(patients: Counts, replicates: int = REPLICATES, seed: int = 0) -> Counts:
    """Draw as many patients as there are, with replacement, again and again.

    Args:
        patients: (P, K, K), each patient's counts; P at least 1.
        replicates: R.
        seed: The same seed and P draw the same patients, which pairs two models tested on them.

    Returns:
        (R, K, K), each draw's pooled counts.
    """
    return _pooled(draw_patients(len(patients), replicates, seed), patients)


def draw_patients(size: int, replicates: int = REPLICATES, seed: int = 0) -> NDArray[np.int64]:
    """How often each of ``size`` patients is drawn in each of R draws of as many, with replacement: (R, size)."""
    return np.random.default_rng(seed).multinomial(size, np.full(size, 1 / size), size=replicates)


def interval95(replicates: Scores) -> Scores:
    """95 % percentile interval (Efron & Tibshirani, *An introduction to the bootstrap*, 1993, chapter 13).

    Args:
        replicates: (R, ...), a score in each bootstrap draw; draws in which it is undefined (NaN) do not count.

    Returns:
        (..., 2), lower and upper bound; NaN where no draw defines the score.
    """
    flat = replicates.reshape(len(replicates), -1)
    bounds = np.full((flat.shape[1], 2), np.nan)
    for place, draws in enumerate(flat.T):
        defined = draws[~np.isnan(draws)]
        if defined.size:
            bounds[place] = np.percentile(defined, (2.5, 97.5))
    return bounds.reshape(*replicates.shape[1:], 2)


def permutation_test(
    first: Counts, second: Counts, statistic: Statistic, permutations: int = PERMUTATIONS, seed: int = 0
) -> Scores:
    """Test whether two models score alike, by swapping whose prediction is whose for random halves of the patients.

    Args:
        first: (P, K, K), one model's counts of each patient.
        second: (P, K, K), the other's, of the same patients in the same order.
        statistic: The score.
        permutations: Random swaps.
        seed: Of the swaps.

    Returns:
        (F,), two-sided p-values, above 0 since the data as they are count among the swaps (Phipson & Smyth,
        *Permutation p-values should never be zero*, 2010); NaN where the difference is undefined.
    """
    swaps = np.random.default_rng(seed).integers(0, 2, size=(permutations, len(first)))
    moved = _pooled(swaps, second - first)
    differences = statistic(first.sum(axis=0) + moved) - statistic(second.sum(axis=0) - moved)
    observed = _difference(first, second, statistic)
    # Sums in another order may differ in the last bit.
    reached = (np.abs(differences) >= np.abs(observed) - 1e-12).sum(axis=0)
    return np.where(np.isnan(observed), np.nan, (reached + 1) / (permutations + 1))


def holm(p_values: Scores) -> Scores:
    """Adjust p-values of a family of tests (Holm, *A simple sequentially rejective multiple test procedure*, 1979).

    Args:
        p_values: (F,); NaN is no test, and stays.

    Returns:
        (F,), adjusted, at most 1: those below 0.05 are significant at 5 % for the family.
    """
    adjusted = np.full(len(p_values), np.nan)
    order = [index for index in np.argsort(p_values) if not np.isnan(p_values[index])]
    steps = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(steps * p_values[order]))
    return adjusted


@dataclass(frozen=True)
class Difference:
    """Two models' scores on the same patients, first minus second, each array with F scores.

    Attributes:
        difference: (F,); NaN where a model's score is undefined.
        ci95: (F, 2), paired bootstrap; NaN with fewer than two patients.
        p: (F,), of the permutation test.
        p_holm: (F,), Holm-corrected over the F scores.
    """

    difference: Scores
    ci95: Scores
    p: Scores
    p_holm: Scores


def compare_pooled(first: Counts, second: Counts, statistic: Statistic, seed: int = 0) -> Difference:
    """Compare two models, patient by patient.

    Args:
        first: (P, K, K), one model's counts of each patient; P at least 1.
        second: (P, K, K), the other's, of the same patients in the same order.
        statistic: The score; its F figures are one family for Holm's correction.
        seed: Of draws and swaps.

    Raises:
        ValueError: the arrays differ in shape, or their patients in labelled pixels, so that they cannot be the same.
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
    less: Less,
    seed: int = 0,
) -> tuple[Scores, Scores]:
    """Difference of two tests whose images need not be the same, with an interval over patients.

    All patients of either test are drawn together, and one who is drawn so many times counts so many times in both,
    wherever they have images. So patients in both tests are paired and others independent, and the interval holds for
    any mixture: for the same images it is that of :func:`compare_pooled`.

    Args:
        first: (N, K, K), counts of the first test's images.
        first_patients: Each image's patient, N of them.
        second: (M, K, K), counts of the second's.
        second_patients: M of them.
        less: The difference of two scores, such as :func:`~lss_lightning.metrics.overlap.iou_and_means_less`.
        seed: Of the draws.

    Returns:
        The difference (F,), first minus second, NaN where a score is undefined, and its 95 % percentile interval
        (F, 2), NaN with fewer than two patients in either test.
    """
    place = {name: index for index, name in enumerate(sorted({*first_patients, *second_patients}))}

    def placed(counts: Counts, patients: Sequence[str]) -> Counts:
        everybody = np.zeros((len(place), *counts.shape[1:]), dtype=np.int64)
        np.add.at(everybody, [place[patient] for patient in patients], counts)
        return everybody

    one, other = placed(first, first_patients), placed(second, second_patients)
    replicates = less(resample(one, seed=seed), resample(other, seed=seed))
    if min(len(set(first_patients)), len(set(second_patients))) < 2:
        replicates = np.full_like(replicates, np.nan)
    return less(one.sum(axis=0), other.sum(axis=0)), interval95(replicates)


def _difference(first: Counts, second: Counts, statistic: Statistic) -> Scores:
    return statistic(first.sum(axis=0)) - statistic(second.sum(axis=0))


def _pooled(weights: NDArray[Any], patients: Counts) -> Counts:
    """Sums (R, K, K) of patients (P, K, K), each taken so many times (R, P)."""
    # In float64, whose products are fast, and exact for sums below 2^53 pixels.
    pooled = weights.astype(np.float64) @ patients.reshape(len(patients), -1).astype(np.float64)
    return pooled.astype(np.int64).reshape(len(weights), *patients.shape[1:])
