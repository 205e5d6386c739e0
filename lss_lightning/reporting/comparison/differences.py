"""Paired differences between models that were tested on the same images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lss_lightning.files import write_csv
from lss_lightning.labels import LabelSet
from lss_lightning.metrics import PairedComparison
from lss_lightning.metrics.intervals import PERMUTATIONS, REPLICATES
from lss_lightning.reporting.page import Table
from lss_lightning.reporting.style import MISSING
from lss_lightning.reporting.tables import format_score, list_score_names, round_score

_COLUMNS = ["Score", "First", "Second", "First − second", "95 % CI", "p", "p, corrected"]

DIFFERENCE_NOTES = (
    "Positive differences favour the first model. Paired: both models were tested on the same images, and the images "
    "of a patient stay together.",
    f"95 % CI: confidence interval from the percentiles of a bootstrap over patients ({REPLICATES:,} replicates, the "
    "same for both models).",
    f"p: two-sided permutation test that swaps the two models patient by patient ({PERMUTATIONS:,} permutations). "
    "Corrected by Holm's method over the classes of all pairs together, and for each mean over all pairs.",
)
"""Notes on how the differences are computed."""


def make_difference_table(pairs: Sequence[PairedComparison], labels: LabelSet, caption: str) -> Table:
    """Make a table with a row for each pair of models and each score.

    Args:
        pairs: The comparisons. Pairs that cannot be compared are omitted.
        labels: The classes.
        caption: Caption of the table.
    """
    rows = []
    for pair in pairs:
        if (result := pair.difference) is None:
            continue
        for index, name in enumerate(list_score_names(labels)):
            low, high = result.ci95[index]
            interval = (
                MISSING if np.isnan((low, high)).any() else f"[{format_difference(low)}, {format_difference(high)}]"
            )
            p_values = (format_p(float(values[index])) for values in (result.p, result.p_holm))
            difference = format_difference(float(result.difference[index]))
            rows.append([name, pair.first, pair.second, difference, interval, *p_values])
    return Table(_COLUMNS, rows, caption)


def list_difference_notes(pairs: Sequence[PairedComparison]) -> list[str]:
    """List the notes on the table of :func:`make_difference_table` and the reasons why pairs cannot be compared."""
    sizes = [pair.patients for pair in pairs if pair.difference is not None]
    notes = [*DIFFERENCE_NOTES] if sizes else []
    if sizes and min(sizes) < 14:  # With more patients, the smallest possible p depends on the number of permutations.
        patients = f"{min(sizes)} patients" if min(sizes) > 1 else "a single patient"
        notes.append(f"With {patients}, p cannot be below {2 / 2 ** min(sizes):.2g}, whatever the models.")
    return notes + [
        f"Not compared: {pair.first} and {pair.second} were tested on different images: {pair.reason}."
        for pair in pairs
        if pair.difference is None
    ]


def write_differences(pairs: Sequence[PairedComparison], labels: LabelSet, path: Path, note: str) -> None:
    """Write the differences as numbers, with a row for each pair and score.

    Args:
        pairs: The comparisons. Pairs that cannot be compared are omitted.
        labels: The classes.
        path: CSV file to write.
        note: Text of the last line of the file.
    """
    header = ["first", "second", "score", "difference", "ci95_low", "ci95_high", "p", "p_corrected", "patients"]
    rows: list[list[Any]] = []
    for pair in pairs:
        if (result := pair.difference) is None:
            continue
        numbers = np.column_stack((result.difference, result.ci95, result.p, result.p_holm))
        for name, values in zip(list_score_names(labels), numbers, strict=True):
            rows.append([pair.first, pair.second, name, *map(round_score, values), pair.patients])
    write_csv(path, header, [*rows, [f"# {note}"]])


def format_difference(difference: float) -> str:
    """Format a difference of scores with its sign and three decimals, e.g. ``+0.012``. NaN is formatted as a dash."""
    if np.isnan(difference):
        return MISSING
    text = format_score(abs(difference))
    return text if float(text) == 0 else f"{'−' if difference < 0 else '+'}{text}"


def format_p(p: float) -> str:
    """Format a p-value with three decimals, or as ``< 0.001``. NaN is formatted as a dash."""
    if np.isnan(p):
        return MISSING
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
