"""Errors of a checkpoint's measurements on its test part, and the intervals derived from them.

The intervals are weaker than those of a calibration (:mod:`~lss_lightning.stenosis.conformal`): they assume normally
distributed errors, but require fewer patients and no further command, because training already measures the test part.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lss_lightning.stenosis.criteria import CRITERIA
from lss_lightning.stenosis.measurements import MEASUREMENTS
from lss_lightning.stenosis.uncertainty import CONFIDENCE_LEVEL, MeasurementInterval, Support

MIN_TEST_PATIENTS = 5
"""Minimum number of patients for estimating an error. With fewer, the interval is wider than ± 3 SD."""


@dataclass(frozen=True)
class MeasurementError:
    """The error of one measurement, prediction − label map.

    Attributes:
        bias: Mean over slices, in the unit of the measurement.
        sd: Standard deviation over slices.
        slices: Number of slices.
        patients: Number of patients.
    """

    bias: float
    sd: float
    slices: int
    patients: int

    def compute_interval(self, name: str, value: float) -> MeasurementInterval:
        """Compute the 95 % interval of the value that would be measured on the label map of a new patient's slice.

        This is Student's prediction interval, centred on the value minus the bias. The degrees of freedom are the
        number of patients minus one, because slices of one patient are similar.

        Args:
            name: Name of the measurement.
            value: The predicted value.
        """
        from scipy.special import stdtr, stdtrit

        freedom, centre = self.patients - 1, value - self.bias
        scale = max(self.sd * math.sqrt(1 + 1 / self.patients), 1e-9)
        reach = float(stdtrit(freedom, (1 + CONFIDENCE_LEVEL) / 2)) * scale
        return MeasurementInterval(
            low=max(0.0, centre - reach),
            high=max(0.0, centre + reach),
            probability_below={
                criterion.key: float(stdtr(freedom, (criterion.below - centre) / scale))
                for criterion in CRITERIA
                if criterion.measurement == name
            },
            support=Support(self.slices, self.patients),
            from_test=True,
        )


@dataclass(frozen=True)
class HeldOutErrors:
    """Errors of a checkpoint by measurement, on slices that it was not trained on.

    Attributes:
        errors: Error of each measurement that at least :data:`MIN_TEST_PATIENTS` patients have.
    """

    errors: Mapping[str, MeasurementError]

    @classmethod
    def fit(
        cls, reference: NDArray[np.float64], predicted: NDArray[np.float64], patients: Sequence[str]
    ) -> HeldOutErrors:
        """Estimate the errors from N slices and F measurements, in the order of ``MEASUREMENTS``.

        Args:
            reference: (N, F), measured on the label maps; NaN if withheld.
            predicted: (N, F), measured on predictions; NaN if withheld.
            patients: Patient of each slice.
        """
        errors, owners = {}, np.array(patients)
        for name, differences in zip(MEASUREMENTS, (predicted - reference).T, strict=True):
            defined = ~np.isnan(differences)
            count, values = len(set(owners[defined])), differences[defined]
            if count >= MIN_TEST_PATIENTS:
                errors[name] = MeasurementError(float(values.mean()), float(values.std(ddof=1)), len(values), count)
        return cls(errors)

    def compute_intervals(self, values: Mapping[str, float | None]) -> dict[str, MeasurementInterval]:
        """Compute the interval of each measurement of a slice, except for withheld measurements (None)."""
        return {
            name: self.errors[name].compute_interval(name, value)
            for name, value in values.items()
            if value is not None and name in self.errors
        }
