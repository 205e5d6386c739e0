"""A split as a CSV table: what every run writes as ``split.csv``, and what ``split=file`` reads."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lss_lightning.data.slices import Slice
from lss_lightning.data.splits.protocol import PARTS, Split
from lss_lightning.errors import UserError, nearest

Key = tuple[str, ...]
"""What names a patient or a slice: a row's cells but for the part."""

COLUMNS: dict[Key, Callable[[Slice], Key]] = {
    ("patient",): lambda piece: (piece.patient,),
    ("patient", "level"): lambda piece: (piece.patient, piece.level),
    ("image",): lambda piece: (piece.name,),
}
"""The columns that a table may have beside ``part``, in any order, and how a slice reads in them."""

ALLOWED = " or ".join(",".join((*columns, "part")) for columns in COLUMNS)
"""The same, in words."""


@dataclass(frozen=True)
class SplitTable:
    """What a table says.

    Attributes:
        columns: A key of :data:`COLUMNS`.
        members: Who is in each part.
    """

    columns: Key
    members: dict[str, set[Key]]

    @property
    def resubstitutes(self) -> bool:
        """Whether everybody is in all three parts."""
        return self.members["train"] == self.members["val"] == self.members["test"]


def parse_table(text: str, origin: str) -> SplitTable:
    """Understand a table; blank lines, spaces around cells and rows that are said twice do no harm.

    Args:
        text: The CSV.
        origin: What an error names.

    Raises:
        UserError: it is no such table, or has somebody in some parts, but not all have all three.
    """
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        lines = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    except csv.Error as error:
        raise UserError(f"{origin}: line {reader.line_num}: not CSV ({error})") from error
    lines = [(number, row) for number, row in lines if any(row)]
    if not lines:
        raise UserError(f"{origin}: empty; its first line must name the columns {ALLOWED}")
    (_, header), *rows = lines
    columns = next((columns for columns in COLUMNS if sorted(header) == sorted((*columns, "part"))), None)
    if columns is None:
        raise UserError(f"{origin}: its first line names the columns {','.join(header)}; allowed: {ALLOWED}")
    places: dict[Key, dict[str, int]] = {}
    for number, row in rows:
        cells = _cells(header, row, f"{origin}: line {number}")
        key = tuple(cells[column] for column in columns)
        if not key[0]:
            raise UserError(f"{origin}: line {number}: no {columns[0]}")
        places.setdefault(key, {}).setdefault(cells["part"], number)
    table = SplitTable(columns, {part: {key for key, held in places.items() if part in held} for part in PARTS})
    for key, held in places.items():
        if len(held) > 1 and not table.resubstitutes:
            where = " and ".join(f"in {part} (line {number})" for part, number in held.items())
            raise UserError(
                f"{origin}: {' '.join(key)} is {where}; one part each, unless all are in all three (resubstitution)"
            )
    return table


def write_split(path: Path, slices: Sequence[Slice], split: Split) -> None:
    """Write ``patient, level, part`` rows; a slice in several parts (``resubstitution``) has a row for each."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("patient", "level", "part"))
        for part in PARTS:
            writer.writerows((slices[index].patient, slices[index].level, part) for index in split[part])


def _cells(header: list[str], row: list[str], place: str) -> dict[str, str]:
    """A row's cells by column, the part one that there is."""
    if len(row) != len(header):
        raise UserError(f"{place}: {len(row)} cells under {len(header)} columns")
    cells = dict(zip(header, row, strict=True))
    part = cells["part"]
    if part not in PARTS:
        raise UserError(f"{place}: part {part!r} is unknown{nearest(part, PARTS)}; allowed: {', '.join(PARTS)}")
    return cells
