"""``split=file``: the parts that a CSV file names."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from lss_lightning.data.slices import Slice
from lss_lightning.data.splits.parts import PARTS, Split
from lss_lightning.data.splits.protocol import SplitProtocol
from lss_lightning.errors import UserError, nearest
from lss_lightning.settings import setting

Key = tuple[str, ...]
"""What names a patient or a slice: a row's cells but for the part."""

COLUMNS: dict[Key, Callable[[Slice], Key]] = {
    ("patient",): lambda piece: (piece.patient,),
    ("patient", "level"): lambda piece: (piece.patient, piece.level),
    ("image",): lambda piece: (piece.name,),
}
"""The columns that a file may have beside ``part``, in any order, and how a slice reads in them."""

_ALLOWED = " or ".join(",".join((*columns, "part")) for columns in COLUMNS)
_SHOWN = 5


@dataclass(frozen=True)
class FileSplit(SplitProtocol):
    """Takes the parts from a CSV file of patients, or of slices, such as the ``split.csv`` of a run.

    The file's slices lie in one part each. Only where all of them lie in all three is it resubstitution, and stamped.
    Slices that it does not name lie in no part; without ``val`` rows there is no validation part.

    Attributes:
        file: Its path; columns as in :data:`COLUMNS`.
        select_on_test: Without ``val`` rows: whether the test part selects, instead of the last epoch being taken.
        content: Its text. None, as in the configuration, reads the file; checkpoints carry it, so that they can be
            evaluated where the file is not.

    Raises:
        UserError: the file cannot be read, or contradicts itself.
    """

    protocol: ClassVar[str] = "file"

    file: str = setting()
    select_on_test: bool = setting(False)
    content: str | None = setting(None)

    def __post_init__(self) -> None:
        if self.content is None:
            object.__setattr__(self, "content", self._read())
        for part in ("train", "test"):
            if not self._rows.members[part]:
                raise self._wrong(f"no {part} rows; a split needs both train and test")
        if self.select_on_test and self._rows.members["val"]:
            raise self._wrong(
                "has val rows, which select, but split.select_on_test=true; remove them, or set "
                "split.select_on_test=false"
            )

    def divide(self, slices: Sequence[Slice]) -> Split:
        """Look the slices up in the file.

        Raises:
            UserError: the file names patients or slices that are not there.
        """
        key_of = COLUMNS[self._rows.columns]
        keys = [key_of(piece) for piece in slices]
        named = set().union(*self._rows.members.values())
        if unknown := sorted(named - set(keys)):
            what = "patients" if self._rows.columns == ("patient",) else "slices"
            raise self._wrong(
                f"{len(unknown)} of its {len(named)} {what} are not in the data: {_some(unknown)}; the data has "
                f"{_some(sorted(set(keys)))}; correct the names, or remove the rows"
            )
        members = self._rows.members
        return {part: [index for index, key in enumerate(keys) if key in members[part]] for part in PARTS}

    @property
    def selecting_part(self) -> str | None:
        """The validation part; without one the test part, if ``select_on_test`` says so."""
        if self.select_on_test:
            return "test"
        return "val" if self._rows.members["val"] else None

    @property
    def in_words(self) -> str:
        """Which file names the parts."""
        return f"split as in {Path(self.file).name}"

    @property
    def resubstitutes(self) -> bool:
        """Whether the file has every slice in all three parts."""
        members = self._rows.members
        return members["train"] == members["val"] == members["test"]

    def _read(self) -> str:
        path = Path(self.file).expanduser()
        if not path.is_file():
            raise self._wrong(f"{'a folder' if path.is_dir() else 'no such file'}; give a CSV with columns {_ALLOWED}")
        try:
            return path.read_bytes().decode("utf-8-sig")  # Excel's mark of UTF-8 is no part of the first column's name
        except UnicodeDecodeError as error:
            raise self._wrong(f"not a text file in UTF-8; give a CSV with columns {_ALLOWED}") from error

    @cached_property
    def _rows(self) -> _Rows:
        """What the content says.

        Raises:
            UserError: it is no such table, or has something in two parts.
        """
        reader = csv.reader(io.StringIO(self.content, newline=""))
        try:
            lines = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
        except csv.Error as error:
            raise self._wrong(f"line {reader.line_num}: not CSV ({error})") from error
        lines = [(number, row) for number, row in lines if any(row)]
        if not lines:
            raise self._wrong(f"empty; its first line must name the columns {_ALLOWED}")
        (_, header), *rows = lines
        columns = next((columns for columns in COLUMNS if sorted(header) == sorted((*columns, "part"))), None)
        if columns is None:
            raise self._wrong(f"its first line names the columns {','.join(header)}; allowed: {_ALLOWED}")
        found: dict[Key, dict[str, int]] = {}
        for number, row in rows:
            if len(row) != len(header):
                raise self._wrong(f"line {number}: {len(row)} cells under {len(header)} columns")
            cells = dict(zip(header, row, strict=True))
            if not cells[columns[0]]:
                raise self._wrong(f"line {number}: no {columns[0]}")
            part = cells["part"]
            if part not in PARTS:
                raise self._wrong(
                    f"line {number}: part {part!r} is unknown{nearest(part, PARTS)}; allowed: {', '.join(PARTS)}"
                )
            found.setdefault(tuple(cells[column] for column in columns), {}).setdefault(part, number)
        members = {part: {key for key, held in found.items() if part in held} for part in PARTS}
        crossing = {key: held for key, held in found.items() if len(held) > 1}
        if crossing and not members["train"] == members["val"] == members["test"]:
            key, held = next(iter(crossing.items()))
            places = " and ".join(f"in {part} (line {number})" for part, number in held.items())
            raise self._wrong(
                f"{' '.join(key)} is {places}; one part each, unless all are in all three (resubstitution)"
            )
        return _Rows(columns, members)

    def _wrong(self, what: str) -> UserError:
        return UserError(f"split.file={self.file}: {what}")


@dataclass(frozen=True)
class _Rows:
    """What a file says: the columns that name a patient or slice, and who is in which part."""

    columns: Key
    members: dict[str, set[Key]]


def _some(keys: Sequence[Key]) -> str:
    more = ", …" if len(keys) > _SHOWN else ""
    return ", ".join(" ".join(key) for key in keys[:_SHOWN]) + more
