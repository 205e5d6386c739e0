"""Differences between models that were tested on the same images."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lss_lightning.labels import LabelSet
from lss_lightning.metrics import PairedComparison
from lss_lightning.metrics.intervals import PERMUTATIONS, REPLICATES
from lss_lightning.reporting.page import Table
from lss_lightning.reporting.style import MISSING
from lss_lightning.reporting.tables import MEAN, MEAN_ANATOMY, format_score

_COLUMNS = ["Score", "First", "Second", "First − second", "95 % interval", "p", "p, corrected"]

NOTES = (
    "Positive where the first is better. Paired: both models saw the same images, and a patient's images stay "
    "together.",
    f"Intervals: 95 % percentile interval of a bootstrap over patients ({REPLICATES:,} draws, the same for both).",
    f"p: two-sided permutation test that swaps the two models patient by patient ({PERMUTATIONS:,} swaps). Corrected "
    "by Holm's method over the classes of all pairs together, and for each mean over all pairs.",
)
"""How the differences are computed, for the reader."""


def difference_table(pairs: Sequence[PairedComparison], labels: LabelSet, caption: str) -> Table:
    """A row for each pair and score; pairs that could not be made are not in it."""
    rows = []
    for pair in pairs:
        if pair.found is None:
            continue
        for place, name in enumerate(_scores(labels)):
            found = pair.found
            bounds = found.ci95[place]
            interval = MISSING if np.isnan(bounds).any() else f"[{signed(bounds[0])}, {signed(bounds[1])}]"
            tests = (format_p(float(values[place])) for values in (found.p, found.p_holm))
            rows.append([name, pair.first, pair.second, signed(float(found.difference[place])), interval, *tests])
    return Table(_COLUMNS, rows, caption)


def difference_notes(pairs: Sequence[PairedComparison]) -> list[str]:
    """What a reader must know, and which pairs were refused and why."""
    refused = [f"Not paired: {pair.first} and {pair.second}, tested on other images: {pair.refusal}." for pair in pairs]
    refused = [note for note, pair in zip(refused, pairs, strict=True) if pair.found is None]
    sizes = [pair.patients for pair in pairs if pair.found is not None]
    notes = [*NOTES] if sizes else []
    if sizes and min(sizes) < 14:  # beyond, chance allows less than the least p that is drawn
        patients = f"{min(sizes)} patients" if min(sizes) > 1 else "a single patient"
        notes.append(f"With {patients} no p below {2 / 2 ** min(sizes):.2g} is possible, whatever the models.")
    return [*notes, *refused]


def write_differences(pairs: Sequence[PairedComparison], labels: LabelSet, path: Path, note: str) -> None:
    """Write the differences as numbers, a row for each pair and score, as CSV."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["first", "second", "score", "difference", "ci95_low", "ci95_high", "p", "p_corrected", "patients"]
        )
        for pair in pairs:
            if pair.found is None:
                continue
            found = pair.found
            figures = np.column_stack((found.difference, found.ci95, found.p, found.p_holm))
            for name, values in zip(_scores(labels), figures, strict=True):
                cells = (None if np.isnan(value) else round(float(value), 6) for value in values)
                writer.writerow([pair.first, pair.second, name, *cells, pair.patients])
        writer.writerow([f"# {note}"])


def signed(difference: float) -> str:
    """A difference of scores with its sign, to three decimals: ``+0.012``; a dash where it is not defined."""
    if np.isnan(difference):
        return MISSING
    text = format_score(abs(difference))
    return text if float(text) == 0 else f"{'−' if difference < 0 else '+'}{text}"


def format_p(p: float) -> str:
    """A p-value to three decimals, ``< 0.001`` below; a dash where there is none."""
    if np.isnan(p):
        return MISSING
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _scores(labels: LabelSet) -> list[str]:
    return [*(label.name for label in labels), MEAN, MEAN_ANATOMY]
