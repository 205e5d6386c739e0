"""Reports as self-contained HTML files, for screens of all sizes and for print."""

from lss_lightning.reporting.page.blocks import Block, Bullets, Facts, Figure, KeyNumber, KeyNumbers, Prose, Table
from lss_lightning.reporting.page.page import Page, Section
from lss_lightning.reporting.page.rendering import render

__all__ = [
    "Block",
    "Bullets",
    "Facts",
    "Figure",
    "KeyNumber",
    "KeyNumbers",
    "Page",
    "Prose",
    "Section",
    "Table",
    "render",
]
