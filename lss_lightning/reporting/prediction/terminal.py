"""A study's measured slices, for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from lss_lightning.reporting import style
from lss_lightning.stenosis import SliceResult, StudyResult

_SHOWN: Mapping[str, str] = MappingProxyType(
    {
        "sac_area_mm2": "sac mm²",
        "canal_ap_mm": "canal AP mm",
        "foramen_left_mm": "gap left mm",
        "foramen_right_mm": "gap right mm",
    }
)


def print_study(study: StudyResult) -> None:
    """Print a table of the measured slices, and what a reader should know of the whole study."""
    from rich.console import Console
    from rich.table import Table

    measured = [piece for piece in study.slices if piece.measurements]
    table = Table(
        title=f"{study.name}: {len(study.slices)} slices, {len(measured)} measured",
        title_justify="left",
        caption=" ".join((*study.remarks, study.disclaimer)),
        caption_justify="left",
    )
    for column in ("slice", "level"):
        table.add_column(column)
    for title in _SHOWN.values():
        table.add_column(title, justify="right")
    table.add_column("below thresholds")
    table.add_column("flags", justify="right")
    for piece in measured:
        table.add_row(*_cells(piece))
    Console().print(table)


def _cells(piece: SliceResult) -> list[str]:
    assert piece.measurements is not None
    values = piece.measurements.values()
    numbers = [style.MISSING if (value := values[name]) is None else f"{value:.1f}" for name in _SHOWN]
    level = style.MISSING if piece.level is None else piece.level
    return [piece.name, level, *numbers, ", ".join(piece.sites) or style.MISSING, str(len(piece.flags))]
