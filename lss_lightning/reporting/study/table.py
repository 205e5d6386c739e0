"""Measures as a reader is shown them: with interval, thresholds and the reason where there is none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lss_lightning.reporting.calipers import LOOKS
from lss_lightning.reporting.style import MISSING
from lss_lightning.stenosis import CRITERIA, MEASUREMENTS, SITES, Criterion, Site
from lss_lightning.stenosis.criteria import criteria_at
from lss_lightning.stenosis.study import LEVELS, SliceResult

SOURCES: tuple[str, ...] = tuple(dict.fromkeys(criterion.source for criterion in CRITERIA))
"""Where thresholds were published; a threshold refers to them by number, from 1."""

_ROOM = 1.12  # of a scale's largest number


@dataclass(frozen=True)
class Threshold:
    """A published threshold beside a value.

    Attributes:
        below: The threshold, with its unit.
        passed: Whether the value lies below it; None where there is no value.
        reliable: Whether it counts at this level.
        probability: Of lying below it, as printed; empty where unknown.
        source: Number among :data:`SOURCES`.
    """

    below: str
    passed: bool | None
    reliable: bool
    probability: str
    source: int


@dataclass(frozen=True)
class MeasurementRow:
    """A measure of a slice.

    Attributes:
        name: Of the measure.
        title: Likewise, as printed.
        letter: Of its caliper; empty where it has none.
        value: As printed, with its unit.
        interval: Likewise; empty where there is none.
        thresholds: Those that apply at the level.
        withheld: Why there is no value; empty where there is one.
    """

    name: str
    title: str
    letter: str
    value: str
    interval: str
    thresholds: tuple[Threshold, ...]
    withheld: str


@dataclass(frozen=True)
class Cell:
    """A value on its measure's scale, whose places are in percent.

    Attributes:
        value: As printed, without unit.
        below: Largest number of thresholds passed.
        place: Of the value; None where there is none.
        low: Of its interval's lower end; None where there is none.
        width: Of its interval.
        withheld: Why there is no value; empty where there is one.
    """

    value: str
    below: bool
    place: float | None
    low: float | None
    width: float
    withheld: str


@dataclass(frozen=True)
class ThresholdComparison:
    """A measure at all levels.

    Attributes:
        title: Of the measure, with its unit.
        thresholds: As printed; and their places on the scale, percent.
        cells: One for each slice.
    """

    title: str
    thresholds: tuple[tuple[str, float], ...]
    cells: tuple[Cell, ...]


def rows_of(result: SliceResult) -> Iterator[MeasurementRow]:
    """All measures of a slice that was measured, in the order of reports."""
    measured = result.measurements
    if measured is None:
        return
    for name, value in measured.values().items():
        interval = result.intervals.get(name)
        yield MeasurementRow(
            name,
            MEASUREMENTS[name].title,
            LOOKS[name].letter if name in measured.calipers else "",
            _number(name, value, unit=True),
            f"{_number(name, interval.low)} to {_number(name, interval.high)}" if interval else "",
            tuple(_threshold(criterion, value, result) for criterion in _criteria(name, result)),
            measured.withheld.get(name, ""),
        )


def states_of(result: SliceResult) -> Mapping[Site, str]:
    """What is known of each site: ``below`` a threshold, ``not below`` one, or ``withheld``, wholly or ``in part``."""
    states: dict[Site, str] = {}
    for site in SITES:
        criteria = [one for name in MEASUREMENTS for one in _counting(name, result) if one.site == site]
        given = [_values(result)[one.measure] is not None for one in criteria]
        if site in result.sites:
            states[site] = "below"
        elif all(given):
            states[site] = "not below"
        else:
            states[site] = "not below, in part withheld" if any(given) else "withheld"
    return states


def compare_thresholds(results: Sequence[SliceResult]) -> Iterator[ThresholdComparison]:
    """Each measure that has any value side by side, for slices that were measured."""
    for name, measure in MEASUREMENTS.items():
        values = [_values(result)[name] for result in results]
        intervals = [result.intervals.get(name) for result in results]
        if all(value is None for value in values):
            continue
        criteria = {criterion.below: criterion for result in results for criterion in _criteria(name, result)}
        most = _ROOM * max(
            *criteria,
            *(value for value in values if value is not None),
            *(interval.high for interval in intervals if interval is not None),
            1e-9,
        )
        cells = []
        for result, value, interval in zip(results, values, intervals, strict=True):
            cells.append(
                Cell(
                    value=_number(name, value),
                    below=value is not None and any(value < one.below for one in _counting(name, result)),
                    place=None if value is None else 100 * value / most,
                    low=None if interval is None else 100 * interval.low / most,
                    width=0 if interval is None else 100 * (interval.high - interval.low) / most,
                    withheld=result.measurements.withheld.get(name, "") if result.measurements else "",
                )
            )
        title = f"{measure.title}, {measure.unit}" if measure.unit else measure.title
        ticks = tuple((f"{below:g}", 100 * below / most) for below in sorted(criteria))
        yield ThresholdComparison(title, ticks, tuple(cells))


def _values(result: SliceResult) -> dict[str, float | None]:
    return result.measurements.values() if result.measurements else dict.fromkeys(MEASUREMENTS)


def _criteria(name: str, result: SliceResult) -> list[Criterion]:
    return [one for one in criteria_at(LEVELS.get(result.level or "")) if one.measure == name]


def _counting(name: str, result: SliceResult) -> list[Criterion]:
    """Those that are reliable at the level."""
    return [one for one in _criteria(name, result) if LEVELS.get(result.level or "") not in one.unreliable_at]


def _threshold(criterion: Criterion, value: float | None, result: SliceResult) -> Threshold:
    interval = result.intervals.get(criterion.measure)
    probability = interval.below.get(criterion.key) if interval else None
    return Threshold(
        below=f"{criterion.below:g} {MEASUREMENTS[criterion.measure].unit}".strip(),
        passed=None if value is None else value < criterion.below,
        reliable=LEVELS.get(result.level or "") not in criterion.unreliable_at,
        probability="" if probability is None else _percent(probability),
        source=SOURCES.index(criterion.source) + 1,
    )


def _percent(probability: float) -> str:
    """Without ever claiming to be sure."""
    if probability < 0.005:
        return "< 1 %"
    return "> 99 %" if probability > 0.995 else f"{100 * probability:.0f} %"


def _number(name: str, value: float | None, *, unit: bool = False) -> str:
    if value is None:
        return MISSING
    of = MEASUREMENTS[name].unit
    number = f"{value:.{1 if of else 3}f}"
    return f"{number} {of}".strip() if unit else number
