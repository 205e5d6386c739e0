"""Split-conformal calibration of measurement intervals on labelled slices from other patients.

Sources: Lei et al., J Am Stat Assoc 113:1094 (2018), split-conformal intervals; Romano, Patterson & Candès,
Conformalized Quantile Regression, NeurIPS 2019, separate tails; Vovk et al., Mach Learn 108:445 (2019), the whole
distribution; Lee, Barber & Willett, arXiv:2306.06342 (2023), several slices per patient. Errors are not scaled by the
spread of the ensemble members, because the two are hardly correlated (``docs/decision-support.md``).

The coverage guarantee assumes that future patients come from the same distribution as the calibration patients
(scanner, sequences, pixel spacing, annotators, patient population). It holds on average over slices and over
calibrations, not for each patient, level or severity. It concerns the measurement on an annotator's label map, not the
anatomy itself.
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
from lss_lightning.stenosis.uncertainty import CONFIDENCE_LEVEL, MeasurementInterval, Support

_TAIL = (1 - CONFIDENCE_LEVEL) / 2
_ROUNDING = 1e-9  # tolerance for sums of weights

MIN_CALIBRATION_PATIENTS = math.ceil(1 / _TAIL - _ROUNDING) - 1
"""Minimum number of patients for bounded intervals.

With fewer patients, the weight of one new patient exceeds a tail of 2.5 %, and the interval is unbounded.
"""


@dataclass(frozen=True)
class Residuals:
    """Predictive distribution of the error (reference − prediction) of one measurement.

    Slices of one patient are correlated, so patients are the unit of exchangeability. Each of K patients has a weight
    of 1 / (K + 1), divided equally among the patient's slices. The remaining weight belongs to a new patient, whose
    error may take any value. With one slice per patient, this is the usual uniform distribution over K + 1 ranks.

    Attributes:
        values: (n,), ascending: reference − prediction, in the unit of the measurement.
        weights: (n,), probability of each value; they sum to K / (K + 1).
        patients: Number of patients, K.
    """

    values: NDArray[np.float64]
    weights: NDArray[np.float64]
    patients: int

    @classmethod
    def from_slices(cls, values: NDArray[np.float64], patients: Sequence[str]) -> Residuals:
        """Create the distribution from the errors of n slices, at least one.

        Args:
            values: (n,), reference − prediction.
            patients: Patient of each slice.
        """
        order = np.argsort(values, kind="stable")
        _, index, slices = np.unique(np.array(patients), return_inverse=True, return_counts=True)
        weights = 1 / ((len(slices) + 1) * slices[index])
        return cls(values[order], weights[order], len(slices))

    @cached_property
    def bounds(self) -> tuple[float, float]:
        """The bounds with at most 2.5 % of the distribution on either side; infinite if there are too few patients."""
        return -_upper_bound(-self.values[::-1], self.weights[::-1]), _upper_bound(self.values, self.weights)

    def probability_below(self, limit: float) -> float:
        """Return the probability (0 to 1) of an error below a limit, including half of a new patient's weight."""
        return float(self.weights[self.values < limit].sum()) + 0.5 / (self.patients + 1)


@dataclass(frozen=True)
class Calibration:
    """Error distributions of all measurements, fitted on an evaluation.

    Attributes:
        residuals: Error distribution of each measurement that at least :data:`MIN_CALIBRATION_PATIENTS` patients have.
        support: Number of slices and patients; a measurement that was withheld on some slices has fewer.
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
        """Fit a calibration on N slices and F measurements.

        The measurements are in the order of :data:`~lss_lightning.stenosis.MEASUREMENTS`.

        Args:
            reference: (N, F), measured on the label maps; NaN if withheld.
            predicted: (N, F), measured on the predictions of the networks and views to be calibrated; NaN if withheld.
            patients: Patient of each slice.
        """
        errors = reference - predicted
        residuals = {}
        for column, name in enumerate(MEASUREMENTS):
            defined = ~np.isnan(errors[:, column])
            owners = [patient for patient, keep in zip(patients, defined, strict=True) if keep]
            if len(set(owners)) >= MIN_CALIBRATION_PATIENTS:
                residuals[name] = Residuals.from_slices(errors[defined, column], owners)
        return cls(residuals, Support(len(patients), len(set(patients))))

    def compute_interval(self, name: str, value: float) -> MeasurementInterval | None:
        """Compute the calibrated interval of a measurement.

        If the network is biased, the interval is shifted accordingly and may exclude the value itself.

        Args:
            name: Name of the measurement.
            value: The predicted value.

        Returns:
            The interval, or None if too few calibration patients have the measurement.
        """
        residuals = self.residuals.get(name)
        if residuals is None:
            return None
        lower, upper = residuals.bounds
        return MeasurementInterval(
            low=max(0.0, value + lower),
            high=max(0.0, value + upper),
            probability_below={
                criterion.key: residuals.probability_below(criterion.below - value)
                for criterion in CRITERIA
                if criterion.measurement == name
            },
            support=Support(len(residuals.values), residuals.patients),
        )

    def compute_intervals(self, values: Mapping[str, float | None]) -> dict[str, MeasurementInterval]:
        """Compute the calibrated interval of each measurement of a slice, except for withheld measurements (None)."""
        intervals = {name: self.compute_interval(name, value) for name, value in values.items() if value is not None}
        return {name: interval for name, interval in intervals.items() if interval is not None}


def _upper_bound(ascending: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """Return the smallest value that is exceeded with a probability of at most ``_TAIL``."""
    index = np.searchsorted(np.cumsum(weights), 1 - _TAIL - _ROUNDING)
    return float(ascending[index]) if index < len(ascending) else math.inf
