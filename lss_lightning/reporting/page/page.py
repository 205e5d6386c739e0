"""A page of sections."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lss_lightning.reporting.page.blocks import Block
from lss_lightning.reporting.page.rendering import render


@dataclass(frozen=True)
class Section:
    """A part of a page.

    Attributes:
        key: Its anchor: lower-case letters, digits and hyphens.
        title: Its heading, and what the navigation calls it.
        blocks: What it shows, from top to bottom.

    Raises:
        ValueError: the key is no anchor.
    """

    key: str
    title: str
    blocks: Sequence[Block]

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9-]*", self.key):
            raise ValueError(f"section key {self.key!r}: only lower-case letters, digits and hyphens are allowed")


@dataclass(frozen=True)
class Page:
    """A report as one HTML file that needs no other.

    Attributes:
        title: Of the page and of the browser's tab.
        lead: A sentence or two on what it is about.
        disclaimer: The data's; that all is for research only stands on every page anyway.
        sections: In order.

    Raises:
        ValueError: two sections share a key.
    """

    title: str
    lead: str
    disclaimer: str
    sections: Sequence[Section]

    def __post_init__(self) -> None:
        keys = [section.key for section in self.sections]
        if len(set(keys)) < len(keys):
            raise ValueError(f"section keys {keys} are not unique")

    def write(self, path: Path) -> None:
        """Write the file."""
        text = render(
            "page.html.j2", title=self.title, lead=self.lead, disclaimer=self.disclaimer, sections=self.sections
        )
        path.write_text(text, encoding="utf-8")
