"""The blocks of an HTML report. The template of a block is ``templates/<kind>.html.j2``.

All text is plain text: it is escaped, and URLs that start with ``https://`` become links.
"""

from __future__ import annotations

import base64
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, TypeAlias

from lss_lightning.reporting.style import MISSING

_NUMBER = re.compile(r"[<>≤≥~ ]*([-−+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?)")
_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Figure:
    """A picture that readers can enlarge.

    Attributes:
        png: The PNG file, or its bytes.
        caption: Text below the picture.
        alt: Alternative text for readers who cannot see the picture.

    Raises:
        ValueError: If the content is not a PNG image.
    """

    kind: ClassVar[str] = "figure"
    png: Path | bytes
    caption: str
    alt: str

    def __post_init__(self) -> None:
        if not self._bytes.startswith(_PNG):
            raise ValueError(f"figure {self.alt!r} is not a PNG")

    @cached_property
    def _bytes(self) -> bytes:
        return self.png if isinstance(self.png, bytes) else self.png.read_bytes()

    @property
    def uri(self) -> str:
        """The picture as a data URI."""
        return f"data:image/png;base64,{base64.b64encode(self._bytes).decode()}"

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels, from the file header (PNG specification, 11.2.2)."""
        width, height = struct.unpack(">II", self._bytes[16:24])
        return width, height


@dataclass(frozen=True)
class Table:
    """A table that readers can sort by any column.

    A column is sorted numerically if each of its cells starts with a number, such as ``0.912 [0.901, 0.920]`` or
    ``< 0.001``, is empty, or is a dash, and at least one has a number. The first column is always sorted as text.

    Attributes:
        columns: The headings.
        rows: Rows with a cell for each heading; the first cell is the name of the row.
        caption: Text above the table.
        foot: Rows that stay at the bottom when the table is sorted, such as means.

    Raises:
        ValueError: If the number of cells of a row differs from the number of headings.
    """

    kind: ClassVar[str] = "table"
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str
    foot: Sequence[Sequence[str]] = ()

    def __post_init__(self) -> None:
        for row in (*self.rows, *self.foot):
            if len(row) != len(self.columns):
                raise ValueError(f"row {row} has {len(row)} cells, but there are {len(self.columns)} headings")

    @cached_property
    def numeric(self) -> list[bool]:
        """Whether each column is sorted numerically."""
        columns = list(zip(*self.rows, *self.foot, strict=True))[1:]
        return [False, *map(_is_numeric, columns)] if columns else [False] * len(self.columns)


@dataclass(frozen=True)
class Prose:
    """Paragraphs of text, separated by blank lines."""

    kind: ClassVar[str] = "prose"
    text: str

    @property
    def paragraphs(self) -> list[str]:
        """The paragraphs."""
        return [paragraph.strip() for paragraph in re.split(r"\n\s*\n", self.text) if paragraph.strip()]


@dataclass(frozen=True)
class Bullets:
    """A list of sentences."""

    kind: ClassVar[str] = "bullets"
    items: Sequence[str]


@dataclass(frozen=True)
class Facts:
    """A list of names and values."""

    kind: ClassVar[str] = "facts"
    entries: Mapping[str, str]


@dataclass(frozen=True)
class KeyNumber:
    """A highlighted number.

    Attributes:
        name: Name of the number.
        value: The formatted number.
        note: Text below the number, such as its confidence interval.
    """

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class KeyNumbers:
    """The most important numbers of a report, side by side."""

    kind: ClassVar[str] = "key_numbers"
    items: Sequence[KeyNumber]


Block: TypeAlias = Figure | Table | Prose | Bullets | Facts | KeyNumbers


def parse_number(cell: str) -> str | None:
    """Return the number at the start of a cell in a form that JavaScript can parse, or None if there is none."""
    match = _NUMBER.match(cell)
    return None if match is None else match[1].replace(",", "").replace("−", "-")


def _is_numeric(cells: Sequence[str]) -> bool:
    return any(map(parse_number, cells)) and all(parse_number(cell) or cell in ("", MISSING) for cell in cells)
