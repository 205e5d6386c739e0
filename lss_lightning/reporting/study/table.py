"""Measurements as a reader sees them: value, interval, thresholds, and the reason a value is withheld."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lss_lightning.reporting.calipers import CALIPER_STYLES
from lss_lightning.reporting.style import MISSING
from lss_lightning.stenosis import CRITERIA, MEASUREMENTS, SITES, Criterion, Site
from lss_lightning.stenosis.criteria import find_criteria
from lss_lightning.stenosis.study import LEVEL_KEYS, SliceResult

SOURCES: tuple[str, ...] = tuple(dict.fromkeys(criterion.source for criterion in CRITERIA))
"""Publications of the thresholds, cited by number from 1."""

_HEADROOM = 1.12  # length of a scale relative to its largest number


@dataclass(frozen=True)
class ThresholdResult:
    """A published threshold compared with a value.

    Attributes:
        threshold: The threshold, with its unit.
        passed: Whether the value is below it. None if there is no value.
        reliable: Whether the threshold counts at this level.
        probability: The probability of a value below it, formatted. Empty if unknown.
        source: The number of its source in :data:`SOURCES`.
    """

    threshold: str
    passed: bool | None
    reliable: bool
    probability: str
    source: int


@dataclass(frozen=True)
class MeasurementRow:
    """A measurement of a slice.

    Attributes:
        name: The name of the measurement.
        title: Its title.
        letter: The letter of its caliper. Empty if it has none.
        value: The value with its unit, formatted.
        interval: The interval, formatted. Empty if there is none.
        thresholds: The thresholds that apply at the level.
        withheld: The reason there is no value. Empty if there is one.
    """

    name: str
    title: str
    letter: str
    value: str
    interval: str
    thresholds: tuple[ThresholdResult, ...]
    withheld: str


@dataclass(frozen=True)
class ComparisonCell:
    """A value on the scale of its measurement. Positions and widths are percentages of the scale.

    Attributes:
        value: The value without its unit, formatted.
        below: Whether the value is below a threshold that counts at its level.
        position: The position of the value. None if there is no value.
        low: The position of the interval's lower end. None if there is no interval.
        width: The width of the interval.
        withheld: The reason there is no value. Empty if there is one.
    """

    value: str
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
        thresholds: The formatted thresholds and their positions on the scale in percent.
        cells: The values, one per slice.
    """

    title: str
    thresholds: tuple[tuple[str, float], ...]
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
            _format_number(name, value, unit=True),
            f"{_format_number(name, interval.low)} to {_format_number(name, interval.high)}" if interval else "",
            tuple(_compare(criterion, value, result) for criterion in _criteria(name, result)),
            measurements.withheld.get(name, ""),
        )


def describe_sites(result: SliceResult) -> Mapping[Site, str]:
    """Return the state of each site: ``below``, ``not below``, ``not below, partly withheld`` or ``withheld``."""
    states: dict[Site, str] = {}
    for site in SITES:
        criteria = [
            criterion for name in MEASUREMENTS for criterion in _counting(name, result) if criterion.site == site
        ]
        available = [_values(result)[criterion.measurement] is not None for criterion in criteria]
        if site in result.sites:
            states[site] = "below"
        elif all(available):
            states[site] = "not below"
        else:
            states[site] = "not below, partly withheld" if any(available) else "withheld"
    return states


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
                    value=_format_number(name, value),
                    below=value is not None and any(value < criterion.below for criterion in _counting(name, result)),
                    position=None if value is None else 100 * value / scale,
                    low=None if interval is None else 100 * interval.low / scale,
                    width=0 if interval is None else 100 * (interval.high - interval.low) / scale,
                    withheld=result.measurements.withheld.get(name, "") if result.measurements else "",
                )
            )
        title = f"{measurement.title}, {measurement.unit}" if measurement.unit else measurement.title
        ticks = tuple((f"{below:g}", 100 * below / scale) for below in sorted(criteria))
        yield LevelComparison(title, ticks, tuple(cells))


def _values(result: SliceResult) -> dict[str, float | None]:
    return result.measurements.values() if result.measurements else dict.fromkeys(MEASUREMENTS)


def _criteria(name: str, result: SliceResult) -> list[Criterion]:
    """Return the criteria of a measurement that apply at the slice's level."""
    applying = find_criteria(LEVEL_KEYS.get(result.level or ""))
    return [criterion for criterion in applying if criterion.measurement == name]


def _counting(name: str, result: SliceResult) -> list[Criterion]:
    """Return the criteria of a measurement that are reliable at the slice's level."""
    return [criterion for criterion in _criteria(name, result) if _is_reliable(criterion, result)]


def _is_reliable(criterion: Criterion, result: SliceResult) -> bool:
    return LEVEL_KEYS.get(result.level or "") not in criterion.unreliable_at


def _compare(criterion: Criterion, value: float | None, result: SliceResult) -> ThresholdResult:
    interval = result.intervals.get(criterion.measurement)
    probability = interval.probability_below.get(criterion.key) if interval else None
    return ThresholdResult(
        threshold=f"{criterion.below:g} {MEASUREMENTS[criterion.measurement].unit}".strip(),
        passed=None if value is None else value < criterion.below,
        reliable=_is_reliable(criterion, result),
        probability="" if probability is None else _format_probability(probability),
        source=SOURCES.index(criterion.source) + 1,
    )


def _format_probability(probability: float) -> str:
    """Return a percentage that is never 0 % or 100 %, since no probability here is certain."""
    if probability < 0.005:
        return "< 1 %"
    return "> 99 %" if probability > 0.995 else f"{100 * probability:.0f} %"


def _format_number(name: str, value: float | None, *, unit: bool = False) -> str:
    if value is None:
        return MISSING
    symbol = MEASUREMENTS[name].unit
    number = f"{value:.{1 if symbol else 3}f}"
    return f"{number} {symbol}".strip() if unit else number
