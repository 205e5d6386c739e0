from __future__ import annotations

from dataclasses import replace

import pytest
from PIL import Image

from lss_lightning.reporting.page import Block, Figure, Page, Prose, Section, Table
from lss_lightning.reporting.page.markdown import write_markdown


def test_markdown_links_to_figures_relative_to_its_folder(tmp_path):
    picture = tmp_path / "pictures" / "a.png"
    picture.parent.mkdir()
    Image.new("RGB", (4, 4)).save(picture)
    blocks: list[Block] = [
        Figure(picture, "A caption", "A square"),
        Table(["x", "y"], [["1|2", "3"]], "A table"),
        Prose("One.\n\nTwo."),
    ]
    page = Page("Title", "Lead.", "Phantom data.", [Section("first", "First", blocks)])
    path = tmp_path / "page.md"
    write_markdown(page, path)
    text = path.read_text(encoding="utf-8")
    assert "![A square](pictures/a.png)\n\n*A caption*" in text
    assert "| 1\\|2 | 3 |" in text
    assert text.startswith("# Title\n\nLead.\n\n**Phantom data.**\n\n## First\n\n")
    without_file = Section("x", "X", [Figure(picture.read_bytes(), "c", "alt")])
    with pytest.raises(ValueError, match="not a file"):
        write_markdown(replace(page, sections=[without_file]), path)
