"""How well and how fast the measures are taken from true label maps of the phantom.

``python bench/bench_measure.py [--patients 20] [--size 320] [--seed 0]``

Three slices a patient are rendered, their label maps measured, and the measures compared with the truth, which is
taken from the curves before anything is rasterised: bias, standard deviation, 95 % limits of agreement (Bland and
Altman) and mean absolute error.
Phantom figures prove metrology, never clinical performance.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path
from typing import TypeAlias

# A checkout's package need not be installed.
sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from lss_lightning.labels import LUMBAR
from lss_lightning.phantom import render_slice
from lss_lightning.stenosis import MEASUREMENTS, measure_slice

FIELD_OF_VIEW = 220.0
LEVELS = ("D3", "D4", "D5")
WIDTH = 150
"""Columns that the table needs."""
WARM_UP = 3
"""Slices that are measured untimed first."""


Pairs: TypeAlias = dict[str, list[tuple[float, float]]]
"""By measure, truth and error of each slice where it was not withheld."""


def compare(seed: int, patients: int, size: int) -> tuple[Pairs, dict[str, int], list[float]]:
    """Truth and errors, how often each measure was withheld, and the seconds that each slice took."""
    pairs: Pairs = {name: [] for name in MEASUREMENTS}
    withheld = dict.fromkeys(MEASUREMENTS, 0)
    seconds = []
    names = [(patient, level) for patient in range(1, patients + 1) for level in LEVELS]
    for place, (patient, level) in enumerate(track(names, "Phantom")):
        rendered = render_slice(seed, patient, level, size)
        start = time.perf_counter()
        measured = measure_slice(rendered.label, LUMBAR, (FIELD_OF_VIEW / size,) * 2, image_left="right")
        if place >= WARM_UP:
            seconds.append(time.perf_counter() - start)
        for name, value in measured.values().items():
            true = float(rendered.truth[name])
            if value is None:
                withheld[name] += 1
            else:
                pairs[name].append((true, value - true))
    return pairs, withheld, seconds


def show(pairs: Pairs, withheld: dict[str, int], title: str) -> None:
    """Print a row per measure; errors of areas and ratios also as a share of the truth."""
    table = Table(title=title)
    table.add_column("", no_wrap=True)
    for heading in ("unit", "truth", "bias", "SD", "95 % limits", "MAE", "MAE, % of truth", "withheld"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, found in pairs.items():
        true, error = np.array(found).T
        digits = 2 if MEASUREMENTS[name].unit else 4
        bias, spread = error.mean(), error.std(ddof=1)
        limits = f"{bias - 1.96 * spread:+.{digits}f} to {bias + 1.96 * spread:+.{digits}f}"
        table.add_row(
            MEASUREMENTS[name].title,
            MEASUREMENTS[name].unit,
            f"{true.min():.{digits - 1}f}-{true.max():.{digits - 1}f}",
            f"{bias:+.{digits}f}",
            f"{spread:.{digits}f}",
            limits,
            f"{np.abs(error).mean():.{digits}f}",
            f"{100 * (np.abs(error) / true).mean():.1f}",
            str(withheld[name]),
        )
    Console(width=max(Console().width, WIDTH)).print(table)


def main() -> None:
    """Measure the slices and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--patients", type=int, default=20, help="patients of three slices each (20)")
    parser.add_argument("--size", type=int, default=320, help="pixels a side (320)")
    parser.add_argument("--seed", type=int, default=0, help="of the phantom (0)")
    given = parser.parse_args()
    pairs, withheld, seconds = compare(given.seed, given.patients, given.size)
    pace = f"{1000 * statistics.median(seconds):.0f} ms a slice (median, one thread)"
    show(
        pairs,
        withheld,
        f"Phantom, seed {given.seed}: {3 * given.patients} label maps, {given.size} × {given.size}; {pace}",
    )


if __name__ == "__main__":
    main()
