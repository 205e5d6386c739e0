"""A table of a test's report, in whichever form it is read."""

from __future__ import annotations

from dataclasses import dataclass

from lss_lightning.reporting.tables import markdown_table


@dataclass(frozen=True)
class ReportTable:
    """A table that says how its figures came about.

    Attributes:
        topic: What it belongs to, a section of the page: ``overlap``, ``boundary``, ``by_level``, ``measurements``, …
        title: Its heading.
        convention: How the figures are computed and pooled.
        columns: Headings.
        rows: As many cells each; the first names the row.
        means: Rows that stay at the bottom, such as means over the others.
    """

    topic: str
    title: str
    convention: str
    columns: list[str]
    rows: list[list[str]]
    means: tuple[list[str], ...] = ()

    def markdown(self) -> list[str]:
        """Its lines, with a heading."""
        table = markdown_table([self.columns, *self.rows, *self.means])
        return ["", f"### {self.title}", "", self.convention, "", *table]
