"""Published thresholds, and the findings of a slice whose measurements lie below them.

A finding calls for a closer look and is never a diagnosis. Grades that require distinguishing nerve roots from CSF
(Schizas A-D, Lee 0-3) cannot be derived from label maps and are not reported.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from lss_lightning.stenosis.measurements import MEASUREMENTS

if TYPE_CHECKING:
    from lss_lightning.stenosis.uncertainty import MeasurementInterval

Site: TypeAlias = Literal["central", "left", "right"]
"""Location of a stenosis; left and right are the patient's."""

SITES: tuple[Site, ...] = ("central", "left", "right")
"""All sites, in the order of reports."""

_ALL_LEVELS = ("D3", "D4", "D5")


@dataclass(frozen=True)
class Criterion:
    """A published threshold.

    Attributes:
        measurement: Name of the measurement.
        below: The threshold, in the unit of the measurement; smaller values are findings.
        meaning: Interpretation of a smaller value according to the source.
        source: The publication.
        site: Site of the stenosis that a smaller value suggests; None if the threshold separates the groups of a
            single study.
        levels: Levels at which the criterion applies: some of ``D3`` (L3/4), ``D4`` (L4/5) and ``D5`` (L5/S1).
        unreliable_at: Those of ``levels`` at which a finding is mentioned but not counted.
        caution: Limitation of the criterion, e.g. the reason why it is unreliable at a level.
    """

    measurement: str
    below: float
    meaning: str
    source: str
    site: Site | None
    levels: tuple[str, ...] = _ALL_LEVELS
    unreliable_at: tuple[str, ...] = ()
    caution: str = ""

    @property
    def key(self) -> str:
        """The name used in files, e.g. ``sac_area_mm2<75``."""
        return f"{self.measurement}<{self.below:g}"

    @property
    def is_general(self) -> bool:
        """Whether the criterion applies at all levels."""
        return self.levels == _ALL_LEVELS

    @property
    def threshold(self) -> str:
        """The threshold with its unit."""
        return f"{self.below:g} {MEASUREMENTS[self.measurement].unit}".strip()

    def is_met(self, value: float) -> bool:
        """Return whether a value, after rounding to the reported decimals, is below the threshold."""
        return MEASUREMENTS[self.measurement].round(value) < self.below

    def is_borderline(self, value: float, interval: MeasurementInterval | None) -> bool:
        """Return whether the threshold is within the error of a value; False if its error is unknown (None)."""
        return interval is not None and interval.is_near(value, self.below)


_SCHONSTROM = "Schönström and Hansson, Spine 13:385 (1988)"
_HAMANISHI = "Hamanishi et al., J Spinal Disord (October 1994)"
_LIM = "Lim et al., Medicine 96:e9087 (2017)"
_STEURER = "Steurer et al., BMC Musculoskelet Disord 12:175 (2011)"
_KALICHMAN = "Kalichman et al., Spine J 9:545 (2009)"
_TAPER = "at L5/S1 the sac tapers within fat, so its area is an unreliable sign there"
_CT = "published for the bony canal on CT"
_TALEKAR = "Talekar et al., Appl Radiol 46(1) (2017)"
_GAP = "published for the foramen's AP diameter on sagittal images, measured here as the axial disc-facet gap"

CRITERIA: tuple[Criterion, ...] = (
    Criterion("sac_area_mm2", 75, "nerve roots affected", _SCHONSTROM, "central", _ALL_LEVELS, ("D5",), _TAPER),
    Criterion(
        "sac_area_mm2",
        100,
        "associated with intermittent claudication if at several of L2/3, L3/4 and L4/5",
        _HAMANISHI,
        "central",
        _ALL_LEVELS,
        ("D5",),
        _TAPER,
    ),
    Criterion("sac_area_mm2", 111.09, "best cut-off at L4/5, sensitivity 80 %, specificity 81 %", _LIM, None, ("D4",)),
    Criterion("canal_area_mm2", 70, "central stenosis", _STEURER, "central"),
    Criterion(
        "canal_area_mm2", 147.12, "best cut-off at L4/5, sensitivity 75 %, specificity 79 %", _LIM, None, ("D4",)
    ),
    Criterion("canal_ap_mm", 10, "absolute stenosis", _KALICHMAN, "central", caution=_CT),
    Criterion("canal_ap_mm", 12, "relative stenosis", _KALICHMAN, "central", caution=_CT),
    Criterion("foramen_left_mm", 3, "foraminal stenosis", _TALEKAR, "left", caution=_GAP),
    Criterion("foramen_right_mm", 3, "foraminal stenosis", _TALEKAR, "right", caution=_GAP),
)
"""The thresholds in use."""


@dataclass(frozen=True)
class Finding:
    """A measurement below a published threshold.

    Attributes:
        criterion: The threshold.
        value: The measured value.
        reliable: Whether the criterion is reliable at the level of the slice.
        interval: The 95 % interval of the value, or None if its error is unknown.
    """

    criterion: Criterion
    value: float
    reliable: bool
    interval: MeasurementInterval | None = None

    @property
    def is_borderline(self) -> bool:
        """Whether the threshold is within the error of the value. False if the error is unknown."""
        return self.criterion.is_borderline(self.value, self.interval)

    def __str__(self) -> str:
        criterion, measurement = self.criterion, MEASUREMENTS[self.criterion.measurement]
        error = "no error known"
        if self.interval is not None:
            error = f"95 % interval {measurement.format_range(self.interval.low, self.interval.high)}"
        text = (
            f"{measurement.title} {measurement.format(self.value)} ({error}): "
            f"{'borderline, ' if self.is_borderline else ''}below the published threshold of "
            f"{criterion.threshold} ({criterion.meaning}; {criterion.source})"
        )
        limited = criterion.caution and (not self.reliable or not criterion.unreliable_at)
        return f"{text}; {criterion.caution}" if limited else text


def find_criteria(level: str | None) -> tuple[Criterion, ...]:
    """Return the criteria that apply at a level.

    Args:
        level: ``D3``, ``D4`` or ``D5``. At other levels, and if the level is unknown (None), only the criteria for
            all levels apply.
    """
    general = level not in _ALL_LEVELS
    return tuple(criterion for criterion in CRITERIA if level in criterion.levels or (general and criterion.is_general))


def apply_criteria(
    values: Mapping[str, float | None],
    level: str | None,
    intervals: Mapping[str, MeasurementInterval] | None = None,
) -> tuple[Finding, ...]:
    """Return the findings of a slice: all measurements that, after rounding for the report, lie below a threshold.

    Args:
        values: Measurements by name, as returned by
            :meth:`~lss_lightning.stenosis.measurements.SliceMeasurements.values`; None if withheld.
        level: The level, as for :func:`find_criteria`.
        intervals: 95 % intervals by measurement, for measurements with a known error.

    Returns:
        Findings in the order of :data:`CRITERIA`.
    """
    findings = []
    for criterion in find_criteria(level):
        value = values.get(criterion.measurement)
        if value is not None and criterion.is_met(value):
            interval = (intervals or {}).get(criterion.measurement)
            findings.append(Finding(criterion, value, level not in criterion.unreliable_at, interval))
    return tuple(findings)


def describe_status(criterion: Criterion, value: float, interval: MeasurementInterval | None) -> str:
    """Return ``below`` or ``not below``, with ``(borderline)`` if the threshold is within the error of a value."""
    relation = "below" if criterion.is_met(value) else "not below"
    return f"{relation} (borderline)" if criterion.is_borderline(value, interval) else relation


def find_sites(findings: Iterable[Finding]) -> tuple[Site, ...]:
    """Return the sites of the reliable findings, in the order of :data:`SITES`."""
    affected = {finding.criterion.site for finding in findings if finding.reliable}
    return tuple(site for site in SITES if site in affected)
