"""Agreement of paired measurements: Bland-Altman statistics and Cohen's kappa."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lss_lightning.metrics.intervals import draw_patient_counts, interval95
from lss_lightning.metrics.overlap import Counts, Scores

_Z = 1.96


@dataclass(frozen=True)
class BlandAltman:
    """Statistics of the differences of paired measurements (Bland & Altman, Lancet 327:307, 1986).

    Attributes:
        count: Number of pairs.
        bias: Mean difference; NaN without pairs.
        bias_ci95: (2,), percentile bootstrap interval over patients; NaN with fewer than two patients.
        sd: Standard deviation of the differences; NaN with fewer than two pairs.
        mae: Mean absolute difference; NaN without pairs.
    """

    count: int
    bias: float
    bias_ci95: NDArray[np.float64]
    sd: float
    mae: float

    @property
    def limits(self) -> NDArray[np.float64]:
        """The 95 % limits of agreement, (2,): bias ± 1.96 SD."""
        return self.bias + np.array((-_Z, _Z)) * self.sd


def bland_altman(differences: NDArray[np.float64], patients: Sequence[str]) -> BlandAltman:
    """Compute Bland-Altman statistics.

    Args:
        differences: (N,), first minus second; NaN for pairs with a missing value, which are ignored.
        patients: Patient of each difference. The bootstrap draws all slices of a patient together.
    """
    defined = ~np.isnan(differences)
    values = differences[defined]
    if not values.size:
        return BlandAltman(0, np.nan, np.full(2, np.nan), np.nan, np.nan)
    _, owner = np.unique(np.array(patients)[defined], return_inverse=True)
    sums, sizes = np.bincount(owner, values), np.bincount(owner)
    bounds = np.full(2, np.nan)
    if len(sizes) > 1:
        draws = draw_patient_counts(len(sizes))
        bounds = interval95((draws @ sums) / (draws @ sizes))
    sd = float(values.std(ddof=1)) if values.size > 1 else np.nan
    return BlandAltman(int(values.size), float(values.mean()), bounds, sd, float(np.abs(values).mean()))


def cohen_kappa(counts: Counts) -> Scores:
    """Compute the unweighted agreement beyond chance (Cohen, Educational and Psychological Measurement 20:37, 1960).

    Args:
        counts: (..., K, K), number of pairs with the first rating in the category of the row and the second in that
            of the column.

    Returns:
        (...,), at most 1; NaN if all ratings are in the same category, so that chance explains all agreement.
    """
    shares = counts / np.maximum(counts.sum(axis=(-2, -1), keepdims=True), 1)
    observed = np.trace(shares, axis1=-2, axis2=-1)
    chance = (shares.sum(axis=-1) * shares.sum(axis=-2)).sum(axis=-1)
    defined = (chance < 1 - 1e-12) & (counts.sum(axis=(-2, -1)) > 0)
    return np.where(defined, (observed - chance) / np.where(defined, 1 - chance, 1), np.nan)
