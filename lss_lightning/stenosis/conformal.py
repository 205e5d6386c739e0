"""Intervals that hold as often as they say: split-conformal calibration on labelled slices of other patients.

Sources: Lei et al., J Am Stat Assoc 113:1094 (2018), split-conformal intervals; Romano, Patterson & Candès,
Conformalized Quantile Regression, NeurIPS 2019, each tail for itself; Vovk et al., Mach Learn 108:445 (2019), the whole
distribution; Lee, Barber & Willett, arXiv:2306.06342 (2023), several slices of a patient. Errors are not scaled by the
members' spread, as they could be: it hardly goes with them (``docs/decision-support.md``).

What is promised rests on an assumption: that patients to come are drawn as those of the calibration were (scanner,
sequences, pixel, labellers, kind of patient). It holds on average over slices and over calibrations, not for each
patient, level or severity; and it speaks of the measure that a labeller's map would give, not of the anatomy.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lss_lightning.stenosis.criteria import CRITERIA
from lss_lightning.stenosis.measurements import MEASUREMENTS
from lss_lightning.stenosis.uncertainty import LEVEL, Interval, Support

_TAIL = (1 - LEVEL) / 2
_ROUNDING = 1e-9  # of sums of shares

PATIENTS_NEEDED = math.ceil(1 / _TAIL - _ROUNDING) - 1
"""With fewer, one new patient among them takes up more than a tail of the distribution, 2.5 %, and leaves it open."""


@dataclass(frozen=True)
class Residuals:
    """How far a measure's references lay from its predictions, as the distribution of the next one.

    Slices of one patient resemble one another, so patients are what is counted: each of K holds 1 / (K + 1) of the
    distribution, in equal parts for the patient's slices. The last share is a new patient's, who may lie anywhere. With
    a slice for each patient these are the usual ranks among K + 1.

    Attributes:
        values: (n,), ascending: reference − prediction, in the measure's unit.
        shares: (n,), of the distribution; they sum to K / (K + 1).
        patients: K.
    """

    values: NDArray[np.float64]
    shares: NDArray[np.float64]
    patients: int

    @classmethod
    def of(cls, values: NDArray[np.float64], patients: Sequence[str]) -> Residuals:
        """Those of n slices, at least one, and the patient of each."""
        order = np.argsort(values, kind="stable")
        _, place, slices = np.unique(np.array(patients), return_inverse=True, return_counts=True)
        shares = 1 / ((len(slices) + 1) * slices[place])
        return cls(values[order], shares[order], len(slices))

    @cached_property
    def bounds(self) -> tuple[float, float]:
        """Beyond either lies at most half of what the level leaves out; infinite of too few patients."""
        return -_reached(-self.values[::-1], self.shares[::-1]), _reached(self.values, self.shares)

    def below(self, limit: float) -> float:
        """Probability, 0 to 1, that the next one lies below a limit; a new patient's share counts by half."""
        return float(self.shares[self.values < limit].sum()) + 0.5 / (self.patients + 1)


@dataclass(frozen=True)
class Calibration:
    """What an evaluation says of the errors to expect.

    Attributes:
        residuals: By measure, of those that :data:`PATIENTS_NEEDED` patients have at least.
        support: How many slices and patients it rests on; of a measure that was withheld in some, fewer.
    """

    residuals: Mapping[str, Residuals]
    support: Support

    @classmethod
    def fit(
        cls,
        reference: NDArray[np.float64],
        predicted: NDArray[np.float64],
        patients: Sequence[str],
    ) -> Calibration:
        """Learn from N slices and the F measures, in the order of :data:`~lss_lightning.stenosis.MEASUREMENTS`.

        Args:
            reference: (N, F), from the label maps; NaN where withheld, here and below.
            predicted: (N, F), from the same networks and views that are to be calibrated.
            patients: The patient of each slice.
        """
        errors = reference - predicted
        residuals = {}
        for place, name in enumerate(MEASUREMENTS):
            known = ~np.isnan(errors[:, place])
            whose = [patient for patient, there in zip(patients, known, strict=True) if there]
            if len(set(whose)) >= PATIENTS_NEEDED:
                residuals[name] = Residuals.of(errors[known, place], whose)
        return cls(residuals, Support(len(patients), len(set(patients))))

    def interval(self, name: str, value: float) -> Interval | None:
        """The calibrated interval of a measure.

        Where the network is biased it lies to one side of the value, and may leave it out.

        Args:
            name: Of the measure.
            value: The prediction.

        Returns:
            None where too few patients of the calibration have the measure.
        """
        residuals = self.residuals.get(name)
        if residuals is None:
            return None
        lower, upper = residuals.bounds
        return Interval(
            low=max(0.0, value + lower),
            high=max(0.0, value + upper),
            below={one.key: residuals.below(one.below - value) for one in CRITERIA if one.measure == name},
            support=Support(len(residuals.values), residuals.patients),
        )

    def intervals(self, values: Mapping[str, float | None]) -> dict[str, Interval]:
        """The calibrated intervals of a slice, by measure; of what is withheld (None) there are none."""
        found = {name: self.interval(name, value) for name, value in values.items() if value is not None}
        return {name: interval for name, interval in found.items() if interval is not None}


def _reached(ascending: NDArray[np.float64], shares: NDArray[np.float64]) -> float:
    """The least value up to which all lies but a tail."""
    place = np.searchsorted(np.cumsum(shares), 1 - _TAIL - _ROUNDING)
    return float(ascending[place]) if place < len(ascending) else math.inf
