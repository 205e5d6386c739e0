"""The radiologists' notes beside the measures of the same slices."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from lss_lightning.data.loading import LoadedSlice
from lss_lightning.metrics.measurements import MeasurementTable, site_below, values_of
from lss_lightning.reporting.tables import markdown_table
from lss_lightning.runs.layout import RunFolder
from lss_lightning.stenosis import MEASUREMENTS, SITES
from lss_lightning.stenosis.notes import read_notes, says

_NOTED = {True: "yes", False: "no", None: ""}
_BELOW = {True: "below", False: "not below", None: "withheld"}
_OF_SITE = {
    "central": ("sac_area_mm2", "canal_area_mm2", "canal_ap_mm"),
    "left": ("foramen_left_mm",),
    "right": ("foramen_right_mm",),
}
_CONVENTION = (
    "Notes: whether a stenosis is asserted (yes) or denied (no) at the level, by a small vocabulary (levels, canal, "
    "sac, foramen, side, negation); what names no level counts only if it denies. Measures: whether one lies below a "
    "published threshold for the site. A note tells what its radiologist thought worth writing; it is no ground truth."
)

Row = dict[str, Any]


def tabulate_reports(
    measured: MeasurementTable, slices: Sequence[LoadedSlice], folder: Path, caption: str
) -> dict[str, Any]:
    """Write ``reports.csv``, a row per patient and level, and ``report/reports.md``, how often the two go together.

    Args:
        measured: Of the slices, with notes.
        slices: Those tested.
        folder: Of the run.
        caption: What is tested.

    Returns:
        For ``metrics.json``: ``slices`` with a note and ``without`` one; ``counts`` by site, by what the note says
        (``yes``, ``no``, ``nothing``), by kind of measure (``label``, ``predicted``), by what they say.
    """
    rows = [
        _row(piece, level, note, values)
        for piece, level, note, *values in zip(
            slices, measured.levels, measured.notes or (), measured.label, measured.predicted, strict=True
        )
        if level and note
    ]
    counts = {site: _count(rows, site) for site in SITES}
    if rows:
        with RunFolder(folder).reports.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    about = f"{len(rows)} slices have a note, {len(slices) - len(rows)} have none or no level."
    lines = [f"**Radiologists' notes and measures.** {caption} {about}", "", _CONVENTION]
    for site in SITES:
        lines += ["", f"### {site.capitalize()}", "", *markdown_table(_table(rows, site, counts[site]))]
    (RunFolder(folder).report / "reports.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return {"slices": len(rows), "without": len(slices) - len(rows), "counts": counts}


def _row(piece: LoadedSlice, level: str, note: str, values: Sequence[Any]) -> Row:
    mentions = read_notes(note)
    row: Row = {"patient": piece.slice.patient, "level": level}
    row |= {f"note_{site}": _NOTED[says(mentions, level, site)] for site in SITES}
    for kind, found in zip(("label", "predicted"), map(values_of, values), strict=True):
        row |= {f"{kind}_{site}": _BELOW[site_below(found, level, site)] for site in SITES}
        for name in (name for names in _OF_SITE.values() for name in names):
            value = found[name]
            row[f"{kind}_{name}"] = None if value is None else round(value, 2)
    here = [one.statement for one in mentions if one.level in (level, None)]
    return row | {"statements": "; ".join(dict.fromkeys(here))}


def _count(rows: Sequence[Row], site: str) -> dict[str, dict[str, dict[str, int]]]:
    def counted(said: str, kind: str) -> dict[str, int]:
        found = Counter(row[f"{kind}_{site}"] for row in rows if row[f"note_{site}"] == said)
        return {below: found[below] for below in _BELOW.values()}

    return {
        said or "nothing": {kind: counted(said, kind) for kind in ("label", "predicted")} for said in _NOTED.values()
    }


def _table(rows: Sequence[Row], site: str, counts: Mapping[str, Mapping[str, Mapping[str, int]]]) -> list[list[str]]:
    """A row for each thing that notes say."""
    first = _OF_SITE[site][0]
    heading = ["Notes say", "Slices"]
    heading += [f"{kind}: {' / '.join(_BELOW.values())}" for kind in ("label", "predicted")]
    heading += [f"median {MEASUREMENTS[first].title.lower()}, {MEASUREMENTS[first].unit} (label, predicted)"]
    table = [heading]
    for said, kinds in counts.items():
        here = [row for row in rows if row[f"note_{site}"] == ("" if said == "nothing" else said)]
        cells = [" / ".join(str(number) for number in found.values()) for found in kinds.values()]
        middles = [[row[f"{kind}_{first}"] for row in here if row[f"{kind}_{first}"] is not None] for kind in kinds]
        shown = ", ".join(f"{median(found):.1f}" if found else "–" for found in middles)
        table.append([said, str(len(here)), *cells, shown])
    return table
