"""What a page is made of. Each kind of block has a template of its name, ``templates/<kind>.html.j2``.

All text is plain: it is escaped, and addresses that begin with ``https://`` become links.
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
    """A picture that opens large.

    Attributes:
        png: The file, or its bytes.
        caption: Stands beneath it.
        alt: What it shows, for those who cannot see it.

    Raises:
        ValueError: it is no PNG.
    """

    kind: ClassVar[str] = "figure"
    png: Path | bytes
    caption: str
    alt: str

    def __post_init__(self) -> None:
        if not self._bytes.startswith(_PNG):
            raise ValueError(f"figure {self.alt!r} is no PNG")

    @cached_property
    def _bytes(self) -> bytes:
        return self.png if isinstance(self.png, bytes) else self.png.read_bytes()

    @property
    def uri(self) -> str:
        """The picture as a data URI."""
        return f"data:image/png;base64,{base64.b64encode(self._bytes).decode()}"

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels, from the header (PNG specification, 11.2.2)."""
        width, height = struct.unpack(">II", self._bytes[16:24])
        return width, height


@dataclass(frozen=True)
class Table:
    """A table that readers can sort by any column.

    A column after the first whose cells all begin with a number, or hold a dash or nothing, is sorted by that number:
    ``0.912 [0.901, 0.920]`` and ``< 0.001`` are such cells.

    Attributes:
        columns: The headings.
        rows: As many cells each; the first names the row.
        caption: Stands above it.
        foot: Rows that stay at the bottom however the others are sorted, such as means.

    Raises:
        ValueError: a row has another number of cells than there are headings.
    """

    kind: ClassVar[str] = "table"
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str
    foot: Sequence[Sequence[str]] = ()

    def __post_init__(self) -> None:
        for row in (*self.rows, *self.foot):
            if len(row) != len(self.columns):
                raise ValueError(f"row {row} of {len(row)} cells under {len(self.columns)} headings")

    @cached_property
    def numeric(self) -> list[bool]:
        """Which columns hold numbers."""
        columns = list(zip(*self.rows, *self.foot, strict=True))[1:]
        return [False, *map(_all_numbers, columns)] if columns else [False] * len(self.columns)


@dataclass(frozen=True)
class Prose:
    """Text in paragraphs, which blank lines part."""

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
    """Names and what they stand for, a line each."""

    kind: ClassVar[str] = "facts"
    entries: Mapping[str, str]


@dataclass(frozen=True)
class Number:
    """A figure to be seen first.

    Attributes:
        name: What it is.
        value: As printed.
        note: What stands beneath, such as its interval.
    """

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Numbers:
    """The few figures that a page is about, side by side."""

    kind: ClassVar[str] = "numbers"
    items: Sequence[Number]


Block: TypeAlias = Figure | Table | Prose | Bullets | Facts | Numbers


def number_of(cell: str) -> str | None:
    """The number that a cell begins with, as a programming language writes it; None where there is none."""
    found = _NUMBER.match(cell)
    return None if found is None else found[1].replace(",", "").replace("−", "-")


def _all_numbers(cells: Sequence[str]) -> bool:
    return any(map(number_of, cells)) and all(number_of(cell) or cell in ("", MISSING) for cell in cells)
