"""How far a slice's measures can be trusted: what the members of an ensemble, or test-time views, make of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lss_lightning.labels import LabelSet
from lss_lightning.stenosis.criteria import CRITERIA
from lss_lightning.stenosis.flags import NAMES, needing
from lss_lightning.stenosis.measure import Side, measure_slice
from lss_lightning.stenosis.measurements import AAP, DISC, POSTERIOR, SAC, Flag, SliceMeasurements

LEVEL = 0.95
"""Share of the intervals that ought to hold what they are intervals of."""

_PIXEL = 0.6875

RASTERISATION: Mapping[str, float] = MappingProxyType(
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
"""SD of each measure's error from true label maps of 0.6875 mm a pixel, in the measure's unit: what drawing curves as
pixels costs alone (``bench/bench_measure.py``: phantom, 60 label maps)."""

# IoU of a real label with itself moved by one pixel, by class; from it follows the Dice after a move of so many pixels.
_MOVED_IOU: Mapping[str, float] = {DISC: 0.962, POSTERIOR: 0.909, SAC: 0.880, AAP: 0.757}
_MOVE = 3

LEAST_AGREEMENT: Mapping[str, float] = MappingProxyType(
    {key: 1 - _MOVE * (1 - iou) / (1 + iou) for key, iou in _MOVED_IOU.items()}
)
"""Mean pairwise Dice, by class, below which members disagree: that of a label map with itself moved by 2 mm."""


@dataclass(frozen=True)
class Support:
    """The labelled slices that an interval is calibrated on, and how many patients they are of."""

    slices: int
    patients: int

    def __str__(self) -> str:
        return f"{self.slices} slices of {self.patients} patients"


@dataclass(frozen=True)
class Interval:
    """Where a measure may lie, 95 %.

    Without a calibration, where another member would put it. That knows what the members tell apart, and the cost of
    rasterising; it does not know the errors that all members share, as they do the labels and the scanner they learned
    from, and holds the truth less often than 95 % (``docs/decision-support.md``). Calibrated
    (:mod:`~lss_lightning.stenosis.conformal`), where the label map's measure lies.

    Attributes:
        low: In the measure's unit, at least 0.
        high: Likewise.
        below: Probability, 0 to 1, of lying below each of the measure's published thresholds, by
            :attr:`~lss_lightning.stenosis.criteria.Criterion.key`.
        support: What it is calibrated on; None where it is not.
    """

    low: float
    high: float
    below: Mapping[str, float]
    support: Support | None = None

    @property
    def basis(self) -> str:
        """What it rests on, in the words that stand with it wherever it is shown."""
        return SPREAD_ONLY if self.support is None else f"calibrated on {self.support}"


SPREAD_ONLY = "spread of models or views only, not calibrated"
"""Of an interval that promises no coverage."""


def common_basis(intervals: Iterable[Interval]) -> str:
    """What the intervals of several measures rest on, all of one calibration or of none; empty where there are none."""
    supports = {interval.support for interval in intervals}
    known = sorted((one for one in supports if one is not None), key=lambda one: (one.slices, one.patients))
    if not known:
        return SPREAD_ONLY if supports else ""
    return f"calibrated on {'up to ' if len(known) > 1 else ''}{known[-1]}"


def measure_members(
    probabilities: NDArray[np.floating],
    labels: LabelSet,
    spacing: tuple[float, float] | None,
    image_left: Side | None = None,
) -> tuple[SliceMeasurements, dict[str, Interval], tuple[Flag, ...]]:
    """Measure a slice on the mean of several networks' or views' probabilities, and see how far these differ.

    Args:
        probabilities: (M, K, H, W), floating; M members, at least one.
        labels: The K classes.
        spacing: Height and width of a pixel, mm; None where unknown.
        image_left: The patient's side that the image's left shows; None where unknown.

    Returns:
        - The measures of the mean, without those that low agreement undermines.
        - By measure, as far as it is not withheld and at least two members give it, its interval.
        - The flags of low agreement, which are among the measurements' as well.

    Raises:
        UserError: as :func:`~lss_lightning.stenosis.measure.measure_slice`.
    """
    flags = tuple(agreement_flags(probabilities.argmax(axis=1), labels)) if len(probabilities) > 1 else ()
    measured = measure_slice(mean_of(probabilities), labels, spacing, image_left=image_left).withhold(flags)
    several = probabilities if len(probabilities) > 1 else ()
    members = [measure_slice(single, labels, spacing, image_left=image_left).values() for single in several]
    pixel = _PIXEL if spacing is None else math.sqrt(spacing[0] * spacing[1])
    intervals = {}
    for name, value in measured.values().items():
        given = [single for member in members if (single := member[name]) is not None]
        if value is not None and len(given) > 1:
            intervals[name] = interval(name, value, given, pixel)
    return measured, intervals, flags


def mean_of(members: NDArray[Any]) -> NDArray[Any]:
    """The mean of members, (M, K, H, W), as (K, H, W); of one that itself, not a copy."""
    mean: NDArray[Any] = members[0] if len(members) == 1 else members.mean(axis=0)
    return mean


def interval(name: str, value: float, members: Sequence[float], pixel: float = _PIXEL) -> Interval:
    """The interval of a measure.

    That of a further member drawn like the M there are, Student's t with M - 1 degrees of freedom and the scale
    s √(1 + 1/M) (s: the members' SD about the value shown), widened by the SD of rasterising, r, which is known. The
    sum is taken for Student's t again, its degrees of freedom by Welch (1947) and Satterthwaite (1946):
    (a² + r²)² / (a⁴ / (M - 1)) with a² = s² (1 + 1/M). Three members that agree thus give ± 2 r, and three that do not
    ± 5 s: few members know their own spread badly, and the interval says so.

    Args:
        name: Of the measure.
        value: What is shown, from the members' mean.
        members: Each member's own, at least two.
        pixel: Its side, mm; rasterising costs in proportion to it, on areas to its power of 1.5.
    """
    from scipy.special import stdtr, stdtrit

    count = len(members)
    spread = sum((member - value) ** 2 for member in members) / (count - 1) * (1 + 1 / count)
    rastered = (RASTERISATION[name] * (pixel / _PIXEL) ** (1.5 if name.endswith("mm2") else 1)) ** 2
    scale = math.sqrt(spread + rastered)
    # Of members that agree wholly the spread is nil, and only the normal spread of rasterising is left.
    freedom = min((spread + rastered) ** 2 * (count - 1) / max(spread**2, 1e-12 * rastered**2), 1e6)
    reach = float(stdtrit(freedom, (1 + LEVEL) / 2)) * scale
    below = {
        criterion.key: float(stdtr(freedom, (criterion.below - value) / scale))
        for criterion in CRITERIA
        if criterion.measure == name
    }
    return Interval(max(0.0, value - reach), value + reach, below)


def agreement_flags(maps: NDArray[np.integer], labels: LabelSet) -> Iterator[Flag]:
    """Flag the structures that members draw differently.

    Args:
        maps: (M, H, W), each member's class indices.
        labels: The classes.
    """
    for key, least in LEAST_AGREEMENT.items():
        agreement = pairwise_dice(maps == labels.keys.index(key))
        if agreement < least:
            message = (
                f"models or views disagree on the {NAMES[key]}: mean pairwise Dice {agreement:.3f}, below {least:.3f}"
            )
            yield Flag("low_agreement", message, needing(key))


def pairwise_dice(masks: NDArray[np.bool_]) -> float:
    """Mean Dice over all pairs of M masks, (M, H, W); a pair of empty masks does not count, NaN if all are."""
    sizes = masks.sum(axis=(1, 2))
    scores = [
        2 * np.count_nonzero(masks[one] & masks[other]) / (sizes[one] + sizes[other])
        for one, other in combinations(range(len(masks)), 2)
        if sizes[one] + sizes[other]
    ]
    return float(np.mean(scores)) if scores else math.nan
