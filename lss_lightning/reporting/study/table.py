"""Measurements as shown to readers: value, interval, thresholds, and the reason a value is withheld."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lss_lightning.reporting.calipers import CALIPER_STYLES
from lss_lightning.reporting.style import MISSING
from lss_lightning.stenosis import (
    CRITERIA,
    MEASUREMENTS,
    NO_ERROR_KNOWN,
    SITES,
    Criterion,
    MeasurementInterval,
    Site,
)
from lss_lightning.stenosis.criteria import describe_status
from lss_lightning.stenosis.study import LEVEL_KEYS, SliceResult

SOURCES: tuple[str, ...] = tuple(dict.fromkeys(criterion.source for criterion in CRITERIA))
"""Publications of the thresholds, cited by number from 1."""

_LEVELS = {key: level for level, key in LEVEL_KEYS.items()}

_HEADROOM = 1.12  # length of a scale relative to its largest number


@dataclass(frozen=True)
class ThresholdResult:
    """A published threshold compared with a value.

    Attributes:
        threshold: The threshold, with its unit.
        passed: Whether the value is below the threshold. None if there is no value.
        borderline: Whether the threshold is within the error of the value.
        reliable: Whether the threshold counts at this level.
        probability: The probability of a value below the threshold, formatted. Empty if it is unknown.
        source: The number of the threshold's source in :data:`SOURCES`, from 1.
    """

    threshold: str
    passed: bool | None
    borderline: bool
    reliable: bool
    probability: str
    source: int


@dataclass(frozen=True)
class MeasurementRow:
    """A measurement of a slice.

    Attributes:
        name: The name of the measurement.
        title: The title of the measurement.
        letter: The letter of the caliper. Empty if there is none.
        value: The value with its unit, formatted.
        error: The interval, formatted, or a note that no error is known. Empty if there is no value.
        thresholds: The thresholds that apply to the slice.
        withheld: The reason the value is withheld. Empty if there is a value.
    """

    name: str
    title: str
    letter: str
    value: str
    error: str
    thresholds: tuple[ThresholdResult, ...]
    withheld: str


@dataclass(frozen=True)
class ComparisonCell:
    """A value on the scale of its measurement. Positions and widths are percentages of the scale.

    Attributes:
        value: The value without its unit, formatted.
        error: The interval without its unit, formatted, or a note that no error is known. Empty if there is no value.
        ticks: The positions of the thresholds that apply to the slice.
        below: Whether the value is below a threshold that counts at its level.
        position: The position of the value. None if there is no value.
        low: The position of the interval's lower end. None if there is no interval.
        width: The width of the interval.
        withheld: The reason the value is withheld. Empty if there is a value.
    """

    value: str
    error: str
    ticks: tuple[float, ...]
    below: bool
    position: float | None
    low: float | None
    width: float
    withheld: str


@dataclass(frozen=True)
class LevelComparison:
    """A measurement at all levels.

    Attributes:
        title: The title of the measurement, with its unit.
        thresholds: The thresholds that apply to any of the slices, formatted.
        cells: The values, one per slice.
    """

    title: str
    thresholds: tuple[str, ...]
    cells: tuple[ComparisonCell, ...]


def build_rows(result: SliceResult) -> Iterator[MeasurementRow]:
    """Yield the measurements of a slice in the order of :data:`~lss_lightning.stenosis.MEASUREMENTS`."""
    measurements = result.measurements
    if measurements is None:
        return
    for name, value in measurements.values().items():
        interval = result.intervals.get(name)
        yield MeasurementRow(
            name,
            MEASUREMENTS[name].title,
            CALIPER_STYLES[name].letter if name in measurements.calipers else "",
            MISSING if value is None else MEASUREMENTS[name].format(value),
            _format_error(name, value, interval),
            tuple(_compare(criterion, value, result) for criterion in _criteria(name, result)),
            measurements.withheld.get(name, ""),
        )


def describe_sites(result: SliceResult) -> Mapping[Site, str]:
    """Return the state of each site.

    A state is ``below``, ``not below``, ``not below, partly withheld``, ``withheld``, or ``not compared`` if no
    threshold applies to the slice. ``(borderline)`` follows ``below`` or ``not below`` if measurement errors could
    change the result.
    """
    if not result.criteria:
        return dict.fromkeys(SITES, "not compared")
    return {site: _describe_site(result, site) for site in SITES}


def _describe_site(result: SliceResult, site: Site) -> str:
    criteria = [criterion for name in MEASUREMENTS for criterion in _counting(name, result) if criterion.site == site]
    values = {criterion: _values(result)[criterion.measurement] for criterion in criteria}
    statuses = {
        describe_status(criterion, value, result.intervals.get(criterion.measurement))
        for criterion, value in values.items()
        if value is not None
    }
    if "below" in statuses:
        return "below"
    if any(status.startswith("below") for status in statuses):
        return "below (borderline)"
    if not statuses:
        return "withheld"
    state = "not below (borderline)" if "not below (borderline)" in statuses else "not below"
    return f"{state}, partly withheld" if None in values.values() else state


def summarise_sites(states: Mapping[Site, str]) -> str:
    """Summarise the states of a slice's sites in one phrase, e.g. ``central (borderline); not determined: left``."""
    if set(states.values()) == {"not compared"}:
        return "not compared with thresholds"
    below = [f"{site}{state.removeprefix('below')}" for site, state in states.items() if state.startswith("below")]
    near = [f"{site} borderline, not below" for site, state in states.items() if state.startswith("not below (")]
    withheld = [site for site, state in states.items() if "withheld" in state]
    unknown = [f"not determined: {', '.join(withheld)}"] if withheld else []
    return "; ".join([*([", ".join(below)] if below else []), *near, *unknown]) or "none"


@dataclass(frozen=True)
class ThresholdRow:
    """A threshold and the slices of a study to which it was applied.

    Attributes:
        criterion: The threshold.
        levels: The levels at which it applies.
        applied: The names of the slices whose values were compared with the threshold.
        source: The number of the threshold's source in :data:`SOURCES`, from 1.
    """

    criterion: Criterion
    levels: str
    applied: tuple[str, ...]
    source: int


def list_thresholds(results: Sequence[SliceResult]) -> Iterator[ThresholdRow]:
    """Yield all thresholds with the slices whose values were compared with them."""
    for criterion in CRITERIA:
        levels = _format_levels(criterion) or "all"
        if criterion.unreliable_at:
            levels += f"; not counted at {', '.join(_LEVELS[key] for key in criterion.unreliable_at)}"
        applied = [
            result.name
            for result in results
            if criterion in result.criteria and _values(result)[criterion.measurement] is not None
        ]
        yield ThresholdRow(criterion, levels, tuple(applied), SOURCES.index(criterion.source) + 1)


def compare_levels(results: Sequence[SliceResult]) -> Iterator[LevelComparison]:
    """Yield each measurement that has a value on any of the measured slices, compared between the slices."""
    for name, measurement in MEASUREMENTS.items():
        values = [_values(result)[name] for result in results]
        intervals = [result.intervals.get(name) for result in results]
        if all(value is None for value in values):
            continue
        criteria = {criterion.below: criterion for result in results for criterion in _criteria(name, result)}
        scale = _HEADROOM * max(
            *criteria,
            *(value for value in values if value is not None),
            *(interval.high for interval in intervals if interval is not None),
            1e-9,
        )
        cells = []
        for result, value, interval in zip(results, values, intervals, strict=True):
            cells.append(
                ComparisonCell(
                    value=MISSING if value is None else measurement.format(value, unit=False),
                    error=_format_error(name, value, interval, unit=False),
                    ticks=tuple(100 * criterion.below / scale for criterion in _criteria(name, result)),
                    below=value is not None and any(criterion.is_met(value) for criterion in _counting(name, result)),
                    position=None if value is None else 100 * value / scale,
                    low=None if interval is None else 100 * interval.low / scale,
                    width=0 if interval is None else 100 * (interval.high - interval.low) / scale,
                    withheld=result.measurements.withheld.get(name, "") if result.measurements else "",
                )
            )
        title = f"{measurement.title}, {measurement.unit}" if measurement.unit else measurement.title
        thresholds = tuple(f"{below:g}{_format_levels(criteria[below], ' at ')}" for below in sorted(criteria))
        yield LevelComparison(title, thresholds, tuple(cells))


def _format_levels(criterion: Criterion, prefix: str = "") -> str:
    """Return the levels of a criterion after a prefix, or an empty string if it applies at all levels."""
    return "" if criterion.is_general else prefix + ", ".join(_LEVELS[key] for key in criterion.levels)


def _values(result: SliceResult) -> dict[str, float | None]:
    return result.measurements.values() if result.measurements else dict.fromkeys(MEASUREMENTS)


def _criteria(name: str, result: SliceResult) -> list[Criterion]:
    """Return the criteria of a measurement that apply to the slice."""
    return [criterion for criterion in result.criteria if criterion.measurement == name]


def _counting(name: str, result: SliceResult) -> list[Criterion]:
    """Return the criteria of a measurement that are reliable at the slice's level."""
    return [criterion for criterion in _criteria(name, result) if _is_reliable(criterion, result)]


def _is_reliable(criterion: Criterion, result: SliceResult) -> bool:
    return LEVEL_KEYS.get(result.level or "") not in criterion.unreliable_at


def _compare(criterion: Criterion, value: float | None, result: SliceResult) -> ThresholdResult:
    interval = result.intervals.get(criterion.measurement)
    probability = interval.probability_below.get(criterion.key) if interval else None
    return ThresholdResult(
        threshold=criterion.threshold,
        passed=None if value is None else criterion.is_met(value),
        borderline=value is not None and criterion.is_borderline(value, interval),
        reliable=_is_reliable(criterion, result),
        probability="" if probability is None else _format_probability(probability),
        source=SOURCES.index(criterion.source) + 1,
    )


def _format_probability(probability: float) -> str:
    """Format a probability as a percentage, but never as 0 % or 100 %, since nothing here is certain."""
    if probability < 0.005:
        return "< 1 %"
    return "> 99 %" if probability > 0.995 else f"{100 * probability:.0f} %"


def _format_error(name: str, value: float | None, interval: MeasurementInterval | None, *, unit: bool = True) -> str:
    if value is None:
        return ""
    if interval is None:
        return NO_ERROR_KNOWN
    return MEASUREMENTS[name].format_range(interval.low, interval.high, unit=unit)
