"""One self-contained HTML file for each report: no network, readable on a phone, printable."""

from lss_lightning.reporting.page.blocks import Block, Bullets, Facts, Figure, Number, Numbers, Prose, Table
from lss_lightning.reporting.page.page import Page, Section
from lss_lightning.reporting.page.rendering import render

__all__ = [
    "Block",
    "Bullets",
    "Facts",
    "Figure",
    "Number",
    "Numbers",
    "Page",
    "Prose",
    "Section",
    "Table",
    "render",
]
