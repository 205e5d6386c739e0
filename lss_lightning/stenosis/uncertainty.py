"""Uncertainty of a slice's measurements, estimated from the members of an ensemble or test-time views."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lss_lightning.labels import LabelSet
from lss_lightning.stenosis.criteria import CRITERIA
from lss_lightning.stenosis.flags import STRUCTURE_NAMES, measurements_needing
from lss_lightning.stenosis.measure import Side, measure_slice
from lss_lightning.stenosis.measurements import AAP, DISC, POSTERIOR, SAC, Flag, SliceMeasurements

CONFIDENCE_LEVEL = 0.95
"""Nominal coverage of all intervals."""

_SPACING = 0.6875  # pixel spacing of the Al-Kafri data, mm

RASTERISATION_SD: Mapping[str, float] = MappingProxyType(
    {
        "canal_ap_mm": 0.27,
        "canal_ap_min_mm": 0.23,
        "sac_ap_mm": 0.23,
        "sac_transverse_mm": 0.19,
        "sac_area_mm2": 1.45,
        "canal_area_mm2": 3.57,
        "disc_area_mm2": 2.66,
        "disc_ap_mm": 0.24,
        "sac_disc_area_ratio": 0.0010,
        "sac_disc_ap_ratio": 0.0070,
        "sac_canal_area_ratio": 0.0103,
        "foramen_left_mm": 0.08,
        "foramen_right_mm": 0.09,
        "bulge_mm": 0.16,
    }
)
"""Error of each measurement that is due to rasterisation alone, in the unit of the measurement.

The SD of the error on true label maps with a spacing of 0.6875 mm (``bench/bench_measure.py``: phantom, 60 label maps).
"""

# IoU of a real label map with itself shifted by one pixel, by class; the Dice after a shift of several pixels is
# derived from it.
_SHIFTED_IOU: Mapping[str, float] = {DISC: 0.962, POSTERIOR: 0.909, SAC: 0.880, AAP: 0.757}
_SHIFT = 3

MIN_AGREEMENT: Mapping[str, float] = MappingProxyType(
    {key: 1 - _SHIFT * (1 - iou) / (1 + iou) for key, iou in _SHIFTED_IOU.items()}
)
"""Minimum mean pairwise Dice of the members by class key; below it, they disagree on the structure.

It is the Dice between a label map and the same map shifted by 2 mm.
"""


@dataclass(frozen=True)
class Support:
    """Size of the data that an interval is calibrated on.

    Attributes:
        slices: Number of labelled slices.
        patients: Number of patients.
    """

    slices: int
    patients: int

    def __str__(self) -> str:
        return f"{self.slices} slices of {self.patients} patients"


IntervalOrigin: TypeAlias = Literal["spread", "calibration", "test"]
"""Origin of an interval: the spread of models or views, a calibration, or the checkpoint's test."""


@dataclass(frozen=True)
class MeasurementInterval:
    """A 95 % interval of a measurement.

    An interval from the spread of models or views is a prediction interval for the value of a further member. It
    accounts for the differences between members and for rasterisation, but not for errors that all members share, such
    as those caused by the labels and the scanner they were trained on. It therefore covers the truth in less than 95 %
    of cases (``docs/decision-support.md``). An interval from a calibration (:mod:`~lss_lightning.stenosis.conformal`)
    or from the errors of the checkpoint on its test part (:mod:`~lss_lightning.stenosis.held_out`) is one for the value
    measured on the label map.

    Attributes:
        low: Lower bound, in the unit of the measurement, at least 0.
        high: Upper bound, in the unit of the measurement, at least 0.
        probability_below: Probability, 0 to 1, of a value below each published threshold of the measurement, by
            :attr:`~lss_lightning.stenosis.criteria.Criterion.key`.
        support: Size of the data of a calibration or test, or None if the interval is from the spread.
        from_test: Whether the data are the checkpoint's test part.
    """

    low: float
    high: float
    probability_below: Mapping[str, float]
    support: Support | None = None
    from_test: bool = False

    @property
    def origin(self) -> IntervalOrigin:
        """The origin of the interval."""
        return "spread" if self.support is None else "test" if self.from_test else "calibration"

    def is_near(self, value: float, threshold: float) -> bool:
        """Return whether a threshold is within the error of a value.

        The interval of a biased network may exclude the value, so the range between the two counts as well.

        Args:
            value: The measured value.
            threshold: The threshold.
        """
        return min(self.low, value) <= threshold <= max(self.high, value)

    @property
    def basis(self) -> str:
        """The description that accompanies the interval wherever it is shown."""
        return _BASES[self.origin].format(self.support)


SPREAD_ONLY = "spread of models or views only, not calibrated"
"""Description of an interval that does not account for the errors that all models share."""

_BASES: Mapping[IntervalOrigin, str] = MappingProxyType(
    {
        "spread": SPREAD_ONLY,
        "calibration": "calibrated on {}",
        "test": "error of this checkpoint on its test part, {}",
    }
)

NO_ERROR_KNOWN = "no error known"
"""The text beside a value whose uncertainty is unknown."""


def describe_basis(intervals: Iterable[MeasurementInterval]) -> str:
    """Describe the basis of the intervals of several measurements, which share one origin; empty without intervals."""
    supports = {(interval.support, interval.origin) for interval in intervals}
    if not supports:
        return ""
    largest, origin = max(supports, key=lambda item: (item[0].slices, item[0].patients) if item[0] else (0, 0))
    return _BASES[origin].format(f"{'up to ' if len(supports) > 1 else ''}{largest}")


def measure_ensemble(
    probabilities: NDArray[np.floating],
    labels: LabelSet,
    spacing: tuple[float, float] | None,
    image_left: Side | None = None,
) -> tuple[SliceMeasurements, dict[str, MeasurementInterval], tuple[Flag, ...]]:
    """Measure a slice on the mean probabilities of several networks or views, with intervals from their spread.

    Args:
        probabilities: (M, K, H, W), floating, of M members, at least one.
        labels: The K classes.
        spacing: Height and width of a pixel in mm, or None if unknown.
        image_left: The patient's side at the left of the image, or None if unknown.

    Returns:
        - The measurements on the mean probabilities; those undermined by low agreement are withheld.
        - The interval of each measurement that is not withheld and is available for at least two members.
        - The flags of low agreement, which are also included in the measurements.

    Raises:
        UserError: If the slice cannot be measured (:func:`~lss_lightning.stenosis.measure.measure_slice`).
    """
    flags = tuple(flag_disagreement(probabilities.argmax(axis=1), labels)) if len(probabilities) > 1 else ()
    mean = mean_probabilities(probabilities)
    measurements = measure_slice(mean, labels, spacing, image_left=image_left).withhold(flags)
    several = probabilities if len(probabilities) > 1 else ()
    members = [measure_slice(member, labels, spacing, image_left=image_left).values() for member in several]
    pixel = _SPACING if spacing is None else math.sqrt(spacing[0] * spacing[1])
    intervals = {}
    for name, value in measurements.values().items():
        defined = [single for member in members if (single := member[name]) is not None]
        if value is not None and len(defined) > 1:
            intervals[name] = compute_ensemble_interval(name, value, defined, pixel)
    return measurements, intervals, flags


def mean_probabilities(members: NDArray[Any]) -> NDArray[Any]:
    """Average members (M, K, H, W) to (K, H, W); a single member is returned without a copy."""
    mean: NDArray[Any] = members[0] if len(members) == 1 else members.mean(axis=0)
    return mean


def compute_ensemble_interval(
    name: str, value: float, members: Sequence[float], spacing: float = _SPACING
) -> MeasurementInterval:
    """Compute the interval of a measurement from the values of the ensemble members.

    This is the prediction interval of a further member drawn like the M given ones: Student's t with M - 1 degrees of
    freedom and the scale s √(1 + 1/M), where s is the members' SD about the given value, widened by the known SD of
    rasterisation, r. The sum is approximated by Student's t with degrees of freedom after Welch (1947) and
    Satterthwaite (1946): (a² + r²)² / (a⁴ / (M - 1)) with a² = s² (1 + 1/M). Three members that agree thus yield ± 2 r,
    and three that disagree yield ± 5 s, because the spread of few members is a poor estimate.

    Args:
        name: Name of the measurement.
        value: The value measured on the mean probabilities.
        members: Values of the members, at least two.
        spacing: Pixel spacing in mm. The rasterisation error is proportional to it, or to ``spacing ** 1.5`` for areas.
    """
    from scipy.special import stdtr, stdtrit

    count = len(members)
    member_variance = sum((member - value) ** 2 for member in members) / (count - 1) * (1 + 1 / count)
    raster_variance = (RASTERISATION_SD[name] * (spacing / _SPACING) ** (1.5 if name.endswith("mm2") else 1)) ** 2
    variance = member_variance + raster_variance
    scale = math.sqrt(variance)
    # If the members agree perfectly, only the normally distributed rasterisation error remains.
    freedom = min(variance**2 * (count - 1) / max(member_variance**2, 1e-12 * raster_variance**2), 1e6)
    reach = float(stdtrit(freedom, (1 + CONFIDENCE_LEVEL) / 2)) * scale
    probability_below = {
        criterion.key: float(stdtr(freedom, (criterion.below - value) / scale))
        for criterion in CRITERIA
        if criterion.measurement == name
    }
    return MeasurementInterval(max(0.0, value - reach), value + reach, probability_below)


def flag_disagreement(maps: NDArray[np.integer], labels: LabelSet) -> Iterator[Flag]:
    """Flag the structures on which the members disagree.

    Args:
        maps: Class indices of each member, (M, H, W).
        labels: The classes.
    """
    for key, minimum in MIN_AGREEMENT.items():
        agreement = mean_pairwise_dice(maps == labels.keys.index(key))
        if agreement < minimum:
            message = (
                f"models or views disagree on the {STRUCTURE_NAMES[key]}: mean pairwise Dice {agreement:.3f}, below "
                f"{minimum:.3f}"
            )
            yield Flag("low_agreement", message, measurements_needing(key))


def mean_pairwise_dice(masks: NDArray[np.bool_]) -> float:
    """Compute the mean Dice over all pairs of masks, (M, H, W), except pairs of empty masks; NaN without pairs."""
    sizes = masks.sum(axis=(1, 2))
    scores = [
        2 * np.count_nonzero(masks[i] & masks[j]) / (sizes[i] + sizes[j])
        for i, j in combinations(range(len(masks)), 2)
        if sizes[i] + sizes[j]
    ]
    return float(np.mean(scores)) if scores else math.nan
