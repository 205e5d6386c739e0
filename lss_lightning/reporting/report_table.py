"""A table of an evaluation report, independent of its output format."""

from __future__ import annotations

from dataclasses import dataclass

from lss_lightning.reporting.tables import format_markdown_table


@dataclass(frozen=True)
class ReportTable:
    """A table with a note on how its numbers are computed.

    Attributes:
        topic: Section of the HTML report to which the table belongs: ``overlap``, ``boundary``, ``by_level``,
            ``measurements``, …
        title: Title of the table.
        convention: Note on how the numbers are computed and pooled.
        columns: Headings.
        rows: Rows with a cell for each heading; the first cell is the name of the row.
        means: Rows that stay at the bottom, such as means over the other rows.
    """

    topic: str
    title: str
    convention: str
    columns: list[str]
    rows: list[list[str]]
    means: tuple[list[str], ...] = ()

    def to_markdown(self) -> list[str]:
        """Return the title, the note and the table as lines of Markdown."""
        table = format_markdown_table([self.columns, *self.rows, *self.means])
        return ["", f"### {self.title}", "", self.convention, "", *table]
