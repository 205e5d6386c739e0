"""HTML reports and their sections."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lss_lightning.reporting.page.blocks import Block
from lss_lightning.reporting.page.rendering import render


@dataclass(frozen=True)
class Section:
    """A section of an HTML report.

    Attributes:
        key: Anchor of the section: a lower-case letter, then lower-case letters, digits and hyphens.
        title: Heading of the section, also used in the navigation.
        blocks: The blocks from top to bottom.

    Raises:
        ValueError: If the key does not have this form.
    """

    key: str
    title: str
    blocks: Sequence[Block]

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9-]*", self.key):
            raise ValueError(f"section key {self.key!r}: only lower-case letters, digits and hyphens are allowed")


@dataclass(frozen=True)
class Page:
    """A self-contained HTML report.

    Attributes:
        title: Title of the report and of the browser tab.
        lead: One or two introductory sentences.
        disclaimer: Disclaimer for the data. Every report also states that it is for research only.
        sections: The sections in order.

    Raises:
        ValueError: If two sections have the same key.
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
        """Write the report to an HTML file."""
        text = render(
            "page.html.j2", title=self.title, lead=self.lead, disclaimer=self.disclaimer, sections=self.sections
        )
        path.write_text(text, encoding="utf-8")
