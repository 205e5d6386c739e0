"""Two measurements of the same things: how far apart they lie, and how often they fall on the same side of a limit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lss_lightning.metrics.intervals import draw_patients, interval95
from lss_lightning.metrics.overlap import Counts, Scores

_Z = 1.96


@dataclass(frozen=True)
class BlandAltman:
    """Differences of one measurement minus another (Bland & Altman, Lancet 327:307, 1986).

    Attributes:
        count: Pairs.
        bias: Mean difference; NaN without pairs.
        bias_ci95: (2,), percentile bootstrap over patients; NaN with fewer than two.
        sd: Standard deviation of the differences; NaN with fewer than two pairs.
        mae: Mean absolute difference.
    """

    count: int
    bias: float
    bias_ci95: NDArray[np.float64]
    sd: float
    mae: float

    @property
    def limits(self) -> NDArray[np.float64]:
        """95 % limits of agreement, (2,): bias ± 1.96 SD."""
        return self.bias + np.array((-_Z, _Z)) * self.sd


def bland_altman(differences: NDArray[np.float64], patients: Sequence[str]) -> BlandAltman:
    """Summarise differences.

    Args:
        differences: (N,), first minus second; NaN where one of the two is missing, which then does not count.
        patients: The patient of each; a patient's slices are drawn together.
    """
    there = ~np.isnan(differences)
    found = differences[there]
    if not found.size:
        return BlandAltman(0, np.nan, np.full(2, np.nan), np.nan, np.nan)
    _, place = np.unique(np.array(patients)[there], return_inverse=True)
    sums, sizes = np.bincount(place, found), np.bincount(place)
    bounds = np.full(2, np.nan)
    if len(sizes) > 1:
        drawn = draw_patients(len(sizes))
        bounds = interval95((drawn @ sums) / (drawn @ sizes))
    spread = float(found.std(ddof=1)) if found.size > 1 else np.nan
    return BlandAltman(int(found.size), float(found.mean()), bounds, spread, float(np.abs(found).mean()))


def cohen_kappa(counts: Counts) -> Scores:
    """Agreement beyond chance (Cohen, Educational and Psychological Measurement 20:37, 1960), unweighted.

    Args:
        counts: (..., K, K), how often the first fell in the row's category and the second in the column's.

    Returns:
        (...,), at most 1; NaN where both always fall in one and the same category, and chance explains all.
    """
    shares = counts / np.maximum(counts.sum(axis=(-2, -1), keepdims=True), 1)
    observed = np.trace(shares, axis1=-2, axis2=-1)
    chance = (shares.sum(axis=-1) * shares.sum(axis=-2)).sum(axis=-1)
    defined = (chance < 1 - 1e-12) & (counts.sum(axis=(-2, -1)) > 0)
    return np.where(defined, (observed - chance) / np.where(defined, 1 - chance, 1), np.nan)
