"""The blocks of a page as Markdown, for a repository's own pages."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from lss_lightning.reporting.page.blocks import Block, Bullets, Facts, Figure, Numbers, Prose, Table
from lss_lightning.reporting.page.page import Page
from lss_lightning.reporting.tables import markdown_table


def write_markdown(page: Page, path: Path) -> None:
    """Write a page as Markdown.

    Args:
        page: Its figures must be files, not bytes: the text names them, relative to its own folder.
        path: The file; what it names is found as long as the two are moved together.
    """
    parts = [f"# {page.title}", page.lead, f"**{page.disclaimer}**"]
    for section in page.sections:
        parts += [f"## {section.title}", *(_block(block, path.parent) for block in section.blocks)]
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def _block(block: Block, folder: Path) -> str:
    match block:
        case Figure(png=Path() as png):
            address = Path(os.path.relpath(png, folder)).as_posix()
            return f"![{block.alt}]({address})\n\n*{block.caption}*"
        case Figure():
            raise ValueError(f"figure {block.alt!r} is no file, so that Markdown cannot name it")
        case Table():
            lines = markdown_table([block.columns, *block.rows, *block.foot], block.numeric)
            return f"*{block.caption}*\n\n" + "\n".join(lines)
        case Prose():
            return "\n\n".join(block.paragraphs)
        case Bullets():
            return _listed(block.items)
        case Facts():
            return _listed([f"{name}: {text}" for name, text in block.entries.items()])
        case Numbers():
            return _listed([f"{number.name}: **{number.value}** {number.note}".rstrip() for number in block.items])


def _listed(items: Sequence[str]) -> str:
    return "\n".join(f"- {item}" for item in items)
