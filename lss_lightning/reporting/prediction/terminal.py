"""A study's measured slices as a table on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from lss_lightning.reporting import style
from lss_lightning.stenosis import SliceResult, StudyResult

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
    table = Table(
        title=f"{study.name}: {len(study.slices)} slices, {len(measured)} measured",
        title_justify="left",
        caption=" ".join((*study.remarks, study.disclaimer)),
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
    values = slice_.measurements.values()
    numbers = [style.MISSING if (value := values[name]) is None else f"{value:.1f}" for name in _COLUMNS]
    level = style.MISSING if slice_.level is None else slice_.level
    return [slice_.name, level, *numbers, ", ".join(slice_.sites) or style.MISSING, str(len(slice_.flags))]
