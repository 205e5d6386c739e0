"""Comparison of radiologists' notes with the measurements of the same slices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from lss_lightning.data.loading import LoadedSlice
from lss_lightning.files import write_csv
from lss_lightning.metrics.measurements import MeasurementTable, is_below_threshold_at, row_to_values
from lss_lightning.reporting.tables import format_markdown_table
from lss_lightning.runs.layout import RunFolder
from lss_lightning.stenosis import MEASUREMENTS, SITES
from lss_lightning.stenosis.notes import asserts_stenosis, read_notes

_NOTED = {True: "yes", False: "no", None: ""}
_BELOW = {True: "below", False: "not below", None: "withheld"}
_KINDS = ("label", "predicted")
_SITE_MEASUREMENTS = {
    "central": ("sac_area_mm2", "canal_area_mm2", "canal_ap_mm"),
    "left": ("foramen_left_mm",),
    "right": ("foramen_right_mm",),
}
_CONVENTION = (
    "Notes: whether a stenosis is asserted (yes) or denied (no) at the level, according to a small vocabulary (levels, "
    "canal, sac, foramen, side, negation). A statement without a level counts only if it denies. Measurements: whether "
    "one is below a published threshold for the site. A note records what its radiologist considered worth writing; it "
    "is not ground truth."
)

NoteRow = dict[str, Any]
"""A row of ``reports.csv``."""


def tabulate_notes(table: MeasurementTable, slices: Sequence[LoadedSlice]) -> list[NoteRow]:
    """Tabulate the notes and the measurements of each slice.

    Args:
        table: The measurements of N slices, with notes.
        slices: The N slices.

    Returns:
        A row for each slice that has a level and a note.
    """
    return [
        _make_row(loaded, level, note, values)
        for loaded, level, note, *values in zip(
            slices, table.levels, table.notes or (), table.label, table.predicted, strict=True
        )
        if level and note
    ]


def summarise_notes(rows: Sequence[NoteRow], slice_count: int) -> dict[str, Any]:
    """Count how often notes and measurements agree, for ``metrics.json``.

    Args:
        rows: The rows of :func:`tabulate_notes`.
        slice_count: The number of slices tested.

    Returns:
        ``slices`` and ``without``, the numbers of slices with and without a note, and ``counts``, nested by site, by
        statement of the note (``yes``, ``no``, ``nothing``), by origin of the measurements (``label``, ``predicted``),
        and by result (``below``, ``not below``, ``withheld``).
    """
    counts = {site: _count(rows, site) for site in SITES}
    return {"slices": len(rows), "without": slice_count - len(rows), "counts": counts}


def write_notes(rows: Sequence[NoteRow], summary: Mapping[str, Any], run_folder: RunFolder, caption: str) -> None:
    """Write ``reports.csv``, if there are any rows, and ``report/reports.md``.

    Args:
        rows: The rows of :func:`tabulate_notes`.
        summary: The result of :func:`summarise_notes` for the rows.
        run_folder: The run directory.
        caption: A description of the networks and data of the test.
    """
    if rows:
        write_csv(run_folder.reports, list(rows[0]), [list(row.values()) for row in rows])
    about = f"{summary['slices']} slices have a note, {summary['without']} have no note or no level."
    lines = [f"**Radiologists' notes and measurements.** {caption} {about}", "", _CONVENTION]
    for site in SITES:
        cells = _make_cells(rows, site, summary["counts"][site])
        lines += ["", f"### {site.capitalize()}", "", *format_markdown_table(cells)]
    (run_folder.report / "reports.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _make_row(loaded: LoadedSlice, level: str, note: str, values: Sequence[Any]) -> NoteRow:
    mentions = read_notes(note)
    row: NoteRow = {"patient": loaded.slice.patient, "level": level}
    row |= {f"note_{site}": _NOTED[asserts_stenosis(mentions, level, site)] for site in SITES}
    for kind, measured in zip(_KINDS, map(row_to_values, values), strict=True):
        row |= {f"{kind}_{site}": _BELOW[is_below_threshold_at(measured, level, site)] for site in SITES}
        for name in (name for names in _SITE_MEASUREMENTS.values() for name in names):
            value = measured[name]
            row[f"{kind}_{name}"] = None if value is None else round(value, 2)
    statements = [mention.statement for mention in mentions if mention.level in (level, None)]
    return row | {"statements": "; ".join(dict.fromkeys(statements))}


def _count(rows: Sequence[NoteRow], site: str) -> dict[str, dict[str, dict[str, int]]]:
    def count_kind(noted: str, kind: str) -> dict[str, int]:
        counts = Counter(row[f"{kind}_{site}"] for row in rows if row[f"note_{site}"] == noted)
        return {below: counts[below] for below in _BELOW.values()}

    return {noted or "nothing": {kind: count_kind(noted, kind) for kind in _KINDS} for noted in _NOTED.values()}


def _make_cells(
    rows: Sequence[NoteRow], site: str, counts: Mapping[str, Mapping[str, Mapping[str, int]]]
) -> list[list[str]]:
    """Return the heading, and a row for each statement that notes can make about a site."""
    first = _SITE_MEASUREMENTS[site][0]
    heading = ["Notes say", "Slices"]
    heading += [f"{kind}: {' / '.join(_BELOW.values())}" for kind in _KINDS]
    heading += [f"median {MEASUREMENTS[first].title.lower()}, {MEASUREMENTS[first].unit} (label, predicted)"]
    lines = [heading]
    for statement, kinds in counts.items():
        matching = [row for row in rows if row[f"note_{site}"] == ("" if statement == "nothing" else statement)]
        cells = [" / ".join(str(number) for number in by_threshold.values()) for by_threshold in kinds.values()]
        values = [[row[f"{kind}_{first}"] for row in matching if row[f"{kind}_{first}"] is not None] for kind in kinds]
        medians = ", ".join(f"{median(numbers):.1f}" if numbers else "–" for numbers in values)
        lines.append([statement, str(len(matching)), *cells, medians])
    return lines
