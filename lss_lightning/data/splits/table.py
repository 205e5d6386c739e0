"""A split as a CSV table: written by every run as ``split.csv``, and read by ``split=file``."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lss_lightning.data.slices import Slice
from lss_lightning.data.splits.protocol import PARTS, Split
from lss_lightning.errors import UserError, suggest_nearest
from lss_lightning.files import write_csv

SplitKey = tuple[str, ...]
"""The name of a patient or a slice: the cells of a row except the part."""

KEY_COLUMNS: dict[SplitKey, Callable[[Slice], SplitKey]] = {
    ("patient",): lambda slice_: (slice_.patient,),
    ("patient", "level"): lambda slice_: (slice_.patient, slice_.level),
    ("image",): lambda slice_: (slice_.name,),
}
"""Columns that a table may have besides ``part``, in any order, and functions that return a slice's cells in them."""

COLUMN_CHOICES = " or ".join(",".join((*columns, "part")) for columns in KEY_COLUMNS)
"""The allowed columns in words."""


@dataclass(frozen=True)
class SplitTable:
    """The content of a split table.

    Attributes:
        columns: A key of :data:`KEY_COLUMNS`.
        members: The patients or slices of each part.
    """

    columns: SplitKey
    members: dict[str, set[SplitKey]]

    @property
    def is_resubstitution(self) -> bool:
        """Whether all patients or slices are in all three parts."""
        return self.members["train"] == self.members["val"] == self.members["test"]


def parse_split_table(text: str, origin: str) -> SplitTable:
    """Parse a split table; blank lines, spaces around cells and repeated rows are ignored.

    Args:
        text: Content of the CSV file.
        origin: The table's name in error messages.

    Raises:
        UserError: If the text is not a split table, or if an entry is in several parts although not all entries are in
            all three parts.
    """
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        lines = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    except csv.Error as error:
        raise UserError(f"{origin}: line {reader.line_num}: not CSV ({error})") from error
    lines = [(number, row) for number, row in lines if any(row)]
    if not lines:
        raise UserError(f"{origin}: empty; its first line must name the columns {COLUMN_CHOICES}")
    (_, header), *rows = lines
    columns = next((columns for columns in KEY_COLUMNS if sorted(header) == sorted((*columns, "part"))), None)
    if columns is None:
        raise UserError(f"{origin}: its first line names the columns {','.join(header)}; allowed: {COLUMN_CHOICES}")
    line_of: dict[SplitKey, dict[str, int]] = {}
    for number, row in rows:
        cells = _read_cells(header, row, f"{origin}: line {number}")
        key = tuple(cells[column] for column in columns)
        if not key[0]:
            raise UserError(f"{origin}: line {number}: no {columns[0]}")
        line_of.setdefault(key, {}).setdefault(cells["part"], number)
    table = SplitTable(columns, {part: {key for key, parts in line_of.items() if part in parts} for part in PARTS})
    for key, parts in line_of.items():
        if len(parts) > 1 and not table.is_resubstitution:
            where = " and ".join(f"in {part} (line {number})" for part, number in parts.items())
            raise UserError(
                f"{origin}: {' '.join(key)} is {where}; give it one part, or give all of them all three parts "
                "(resubstitution)"
            )
    return table


def write_split(path: Path, slices: Sequence[Slice], split: Split) -> None:
    """Write a row ``patient, level, part`` for each slice and each of its parts (several for resubstitution)."""
    rows = ((slices[index].patient, slices[index].level, part) for part in PARTS for index in split[part])
    write_csv(path, ("patient", "level", "part"), rows)


def _read_cells(header: list[str], row: list[str], origin: str) -> dict[str, str]:
    if len(row) != len(header):
        raise UserError(f"{origin}: {len(row)} cells under {len(header)} columns")
    cells = dict(zip(header, row, strict=True))
    part = cells["part"]
    if part not in PARTS:
        raise UserError(f"{origin}: unknown part {part!r}{suggest_nearest(part, PARTS)}; allowed: {', '.join(PARTS)}")
    return cells
