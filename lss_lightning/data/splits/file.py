"""``split=file``: the parts that a CSV file names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from lss_lightning.config.validation import setting
from lss_lightning.data.slices import Slice
from lss_lightning.data.splits.protocol import PARTS, Split, SplitProtocol
from lss_lightning.data.splits.table import ALLOWED, COLUMNS, Key, SplitTable, parse_table
from lss_lightning.errors import UserError

_SHOWN = 5


@dataclass(frozen=True)
class FileSplit(SplitProtocol):
    """Takes the parts from a table of patients or of slices, such as the ``split.csv`` of a run.

    Each lies in one part; only where all lie in all three it is resubstitution, and stamped. Slices that the table
    does not name lie in no part; without ``val`` rows there is no validation part.

    Attributes:
        file: Path of the CSV, with columns as in :data:`~lss_lightning.data.splits.table.COLUMNS`.
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
            if not self._table.members[part]:
                raise UserError(f"{self._origin}: no {part} rows; a split needs both train and test")
        if self.select_on_test and self._table.members["val"]:
            raise UserError(
                f"{self._origin}: has val rows, which select, but split.select_on_test=true; remove them, or set "
                "split.select_on_test=false"
            )

    def divide(self, slices: Sequence[Slice]) -> Split:
        """Look the slices up in the table.

        Raises:
            UserError: the table names patients or slices that are not there.
        """
        key_of, members = COLUMNS[self._table.columns], self._table.members
        keys = [key_of(piece) for piece in slices]
        named = set().union(*members.values())
        if unknown := named - set(keys):
            what = "patients" if self._table.columns == ("patient",) else "slices"
            raise UserError(
                f"{self._origin}: {len(unknown)} of its {len(named)} {what} are not in the data: {_some(unknown)}; the "
                f"data has {_some(set(keys))}; correct the names, or remove the rows"
            )
        return {part: [index for index, key in enumerate(keys) if key in members[part]] for part in PARTS}

    @property
    def selecting_part(self) -> str | None:
        """The validation part; without one the test part, if ``select_on_test`` says so."""
        if self.select_on_test:
            return "test"
        return "val" if self._table.members["val"] else None

    @property
    def in_words(self) -> str:
        """Which file names the parts."""
        return f"split as in {Path(self.file).name}"

    @property
    def resubstitutes(self) -> bool:
        """Whether the table has everybody in all three parts."""
        return self._table.resubstitutes

    @cached_property
    def _table(self) -> SplitTable:
        return parse_table(self.content or "", self._origin)

    @property
    def _origin(self) -> str:
        return f"split.file={self.file}"

    def _read(self) -> str:
        path = Path(self.file).expanduser()
        if not path.is_file():
            what = "a folder" if path.is_dir() else "no such file"
            raise UserError(f"{self._origin}: {what}; give a CSV with columns {ALLOWED}")
        try:
            return path.read_bytes().decode("utf-8-sig")  # Excel's mark of UTF-8 is no part of the first column's name
        except OSError as error:
            raise UserError(f"{self._origin}: cannot be read ({error.strerror})") from error
        except UnicodeDecodeError as error:
            raise UserError(f"{self._origin}: not text in UTF-8; give a CSV with columns {ALLOWED}") from error


def _some(keys: set[Key]) -> str:
    """The first few names."""
    shown = ", ".join(" ".join(filter(None, key)) for key in sorted(keys)[:_SHOWN])
    return f"{shown}, …" if len(keys) > _SHOWN else shown
