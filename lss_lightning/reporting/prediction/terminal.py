"""A study's measured slices as a table on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from lss_lightning.display import format_count
from lss_lightning.reporting import style
from lss_lightning.stenosis import MEASUREMENTS, NO_ERROR_KNOWN, SliceResult, StudyResult, describe_basis

# The line breaks keep the table within 80 columns.
_COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "sac_area_mm2": "sac\nmm²",
        "canal_ap_mm": "canal AP\nmm",
        "foramen_left_mm": "gap L\nmm",
        "foramen_right_mm": "gap R\nmm",
    }
)


def print_study(study: StudyResult) -> None:
    """Print a table of the measured slices, with the study's remarks and the disclaimer."""
    from rich.console import Console
    from rich.table import Table

    measured = [slice_ for slice_ in study.slices if slice_.measurements]
    intervals = [interval for slice_ in measured for interval in slice_.intervals.values()]
    title = f"{study.name}: {format_count(len(study.slices), 'slice')}, {len(measured)} measured"
    if not measured:
        Console().print(f"{title}\n{' '.join((*study.remarks, study.disclaimer))}", highlight=False)
        return
    errors = [f"95 % intervals: {describe_basis(intervals)}.", "Sites with ? are borderline."]
    if not intervals:
        errors = [f"Values: {NO_ERROR_KNOWN}."]
    table = Table(
        title=title,
        title_justify="left",
        caption=" ".join((*study.remarks, *errors, study.disclaimer)),
        caption_justify="left",
    )
    for column in ("slice", "level"):
        table.add_column(column)
    for title in _COLUMNS.values():
        table.add_column(title, justify="right")
    table.add_column("sites below\nthreshold")
    table.add_column("flags", justify="right")
    for slice_ in measured:
        table.add_row(*_cells(slice_))
    Console().print(table)


def _cells(slice_: SliceResult) -> list[str]:
    assert slice_.measurements is not None
    level = style.MISSING if slice_.level is None else slice_.level
    clear = {finding.criterion.site for finding in slice_.findings if finding.reliable and not finding.is_borderline}
    sites = ", ".join(site if site in clear else f"{site}?" for site in slice_.sites) or style.MISSING
    if slice_.content != "disc":
        sites = "not compared"
    return [slice_.name, level, *(_format_value(slice_, name) for name in _COLUMNS), sites, str(len(slice_.flags))]


def _format_value(slice_: SliceResult, name: str) -> str:
    """Format a value with its interval on a second line."""
    assert slice_.measurements is not None
    measurement, value = MEASUREMENTS[name], slice_.measurements.values()[name]
    if value is None:
        return style.MISSING
    interval, text = slice_.intervals.get(name), measurement.format(value, unit=False)
    if interval is None:
        return f"{text}\nunknown" if slice_.intervals else text
    low, high = (measurement.format(bound, unit=False) for bound in (interval.low, interval.high))
    return f"{text}\n{low}–{high}"
