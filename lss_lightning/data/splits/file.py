"""``split=file``: parts read from a CSV file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from lss_lightning.data.slices import Slice
from lss_lightning.data.splits.protocol import PARTS, Split, SplitProtocol
from lss_lightning.data.splits.table import COLUMN_CHOICES, KEY_COLUMNS, SplitKey, SplitTable, parse_split_table
from lss_lightning.errors import UserError

_MAX_NAMES = 5  # names in an error message


@dataclass(frozen=True)
class FileSplit(SplitProtocol):
    """A split read from a table of patients or slices, such as the ``split.csv`` of a run.

    Either each patient or slice is in one part, or all are in all three parts (resubstitution, with its warning).
    Slices that are not in the table are in no part. Without ``val`` rows, there is no validation set.

    Attributes:
        file: Path of the CSV file, with columns as in :data:`~lss_lightning.data.splits.table.KEY_COLUMNS`.
        select_on_test: Whether to select the checkpoint on the test set if there are no ``val`` rows, instead of using
            the last epoch.
        content: Text of the file. If None, as in the configuration, the file is read. Checkpoints store the text, so
            that they can be evaluated without the file.

    Raises:
        UserError: If the file cannot be read or contradicts itself.
    """

    protocol: ClassVar[str] = "file"

    file: str
    select_on_test: bool = False
    content: str | None = None

    def __post_init__(self) -> None:
        if self.content is None:
            object.__setattr__(self, "content", self._read())
        for part in ("train", "test"):
            if not self._table.members[part]:
                raise UserError(f"{self._origin}: no {part} rows; a split needs both train and test")
        if self.select_on_test and self._table.members["val"]:
            raise UserError(
                f"{self._origin}: has val rows, which select the checkpoint, but split.select_on_test=true; remove "
                "the rows, or set split.select_on_test=false"
            )

    def divide(self, slices: Sequence[Slice]) -> Split:
        """Look up the parts of the slices in the table.

        Raises:
            UserError: If the table names patients or slices that are not in the data.
        """
        key_of, members = KEY_COLUMNS[self._table.columns], self._table.members
        keys = [key_of(slice_) for slice_ in slices]
        listed = set().union(*members.values())
        if unknown := listed - set(keys):
            unit = "patients" if self._table.columns == ("patient",) else "slices"
            raise UserError(
                f"{self._origin}: {len(unknown)} of its {len(listed)} {unit} are not in the data: {_list(unknown)}; "
                f"the data has {_list(set(keys))}; correct the names, or remove the rows"
            )
        return {part: [index for index, key in enumerate(keys) if key in members[part]] for part in PARTS}

    @property
    def selection_part(self) -> str | None:
        """The part that selects the checkpoint: the validation set, the test set with ``select_on_test``, or None."""
        if self.select_on_test:
            return "test"
        return "val" if self._table.members["val"] else None

    @property
    def description(self) -> str:
        """A description that names the file."""
        return f"split as in {Path(self.file).name}"

    @property
    def is_resubstitution(self) -> bool:
        """Whether all patients or slices are in all three parts."""
        return self._table.is_resubstitution

    @cached_property
    def _table(self) -> SplitTable:
        return parse_split_table(self.content or "", self._origin)

    @property
    def _origin(self) -> str:
        return f"split.file={self.file}"

    def _read(self) -> str:
        path = Path(self.file).expanduser()
        if not path.is_file():
            problem = "a folder" if path.is_dir() else "no such file"
            raise UserError(f"{self._origin}: {problem}; give a CSV with columns {COLUMN_CHOICES}")
        try:
            return path.read_bytes().decode("utf-8-sig")  # drop the byte order mark that Excel writes
        except OSError as error:
            raise UserError(f"{self._origin}: cannot be read ({error.strerror})") from error
        except UnicodeDecodeError as error:
            raise UserError(f"{self._origin}: not text in UTF-8; give a CSV with columns {COLUMN_CHOICES}") from error


def _list(keys: set[SplitKey]) -> str:
    names = ", ".join(" ".join(filter(None, key)) for key in sorted(keys)[:_MAX_NAMES])
    return f"{names}, …" if len(keys) > _MAX_NAMES else names
