"""HTML reports as Markdown, for the documentation of a repository."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from lss_lightning.reporting.page.blocks import Block, Bullets, Facts, Figure, KeyNumbers, Prose, Table
from lss_lightning.reporting.page.page import Page
from lss_lightning.reporting.tables import format_markdown_table


def write_markdown(page: Page, path: Path) -> None:
    """Write an HTML report as Markdown.

    Args:
        page: The report. Its figures must be files, not bytes. Links to them are relative to the folder of ``path``.
        path: Markdown file to write.

    Raises:
        ValueError: If a figure is not a file.
    """
    parts = [f"# {page.title}", page.lead, f"**{page.disclaimer}**"]
    for section in page.sections:
        parts += [f"## {section.title}", *(_format_block(block, path.parent) for block in section.blocks)]
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def _format_block(block: Block, folder: Path) -> str:
    match block:
        case Figure(png=Path() as png):
            link = Path(os.path.relpath(png, folder)).as_posix()
            return f"![{block.alt}]({link})\n\n*{block.caption}*"
        case Figure():
            raise ValueError(f"figure {block.alt!r} is not a file, so Markdown cannot link to it")
        case Table():
            lines = format_markdown_table([block.columns, *block.rows, *block.foot], block.numeric)
            return f"*{block.caption}*\n\n" + "\n".join(lines)
        case Prose():
            return "\n\n".join(block.paragraphs)
        case Bullets():
            return _format_list(block.items)
        case Facts():
            return _format_list([f"{name}: {text}" for name, text in block.entries.items()])
        case KeyNumbers():
            return _format_list([f"{number.name}: **{number.value}** {number.note}".rstrip() for number in block.items])


def _format_list(items: Sequence[str]) -> str:
    return "\n".join(f"- {item}" for item in items)
