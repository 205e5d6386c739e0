"""Accuracy and speed of measurements on true label maps of the phantom.

``python bench/bench_measure.py [--patients 20] [--size 320] [--seed 0]``

Three slices per patient are rendered, their label maps are measured, and the measurements are compared with the true
values, which are computed from the curves before rasterisation: bias, standard deviation, 95 % limits of agreement
(Bland and Altman) and mean absolute error. Results on the phantom show metrological, not clinical, performance.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path
from typing import TypeAlias

# Works without installing the package.
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
"""Width of the table in characters."""
WARM_UP = 3
"""Number of slices that are measured before timing starts."""

Pairs: TypeAlias = dict[str, list[tuple[float, float]]]
"""True value and error of each slice, by measurement; without withheld measurements."""


def compare(seed: int, patients: int, size: int) -> tuple[Pairs, dict[str, int], list[float]]:
    """Measure the slices of the phantom.

    Returns:
        - True values and errors by measurement.
        - How often each measurement was withheld.
        - The time of each slice in seconds.
    """
    pairs: Pairs = {name: [] for name in MEASUREMENTS}
    withheld = dict.fromkeys(MEASUREMENTS, 0)
    seconds = []
    names = [(patient, level) for patient in range(1, patients + 1) for level in LEVELS]
    for index, (patient, level) in enumerate(track(names, "Phantom")):
        rendered = render_slice(seed, patient, level, size)
        start = time.perf_counter()
        measurements = measure_slice(rendered.label, LUMBAR, (FIELD_OF_VIEW / size,) * 2, image_left="right")
        if index >= WARM_UP:
            seconds.append(time.perf_counter() - start)
        for name, value in measurements.values().items():
            true = float(rendered.truth[name])
            if value is None:
                withheld[name] += 1
            else:
                pairs[name].append((true, value - true))
    return pairs, withheld, seconds


def print_errors(pairs: Pairs, withheld: dict[str, int], title: str) -> None:
    """Print a table with the errors of each measurement."""
    table = Table(title=title)
    table.add_column("", no_wrap=True)
    for heading in ("unit", "truth", "bias", "SD", "95 % limits", "MAE", "MAE, % of truth", "withheld"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, values in pairs.items():
        true, error = np.array(values).T
        digits = 2 if MEASUREMENTS[name].unit else 4
        bias, sd = error.mean(), error.std(ddof=1)
        limits = f"{bias - 1.96 * sd:+.{digits}f} to {bias + 1.96 * sd:+.{digits}f}"
        table.add_row(
            MEASUREMENTS[name].title,
            MEASUREMENTS[name].unit,
            f"{true.min():.{digits - 1}f}-{true.max():.{digits - 1}f}",
            f"{bias:+.{digits}f}",
            f"{sd:.{digits}f}",
            limits,
            f"{np.abs(error).mean():.{digits}f}",
            f"{100 * (np.abs(error) / true).mean():.1f}",
            str(withheld[name]),
        )
    Console(width=max(Console().width, WIDTH)).print(table)


def main() -> None:
    """Measure the slices and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--patients", type=int, default=20, help="number of patients, with three slices each (20)")
    parser.add_argument("--size", type=int, default=320, help="height and width in pixels (320)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the phantom (0)")
    args = parser.parse_args()
    pairs, withheld, seconds = compare(args.seed, args.patients, args.size)
    speed = f"{1000 * statistics.median(seconds):.0f} ms per slice (median, one thread)"
    print_errors(
        pairs,
        withheld,
        f"Phantom, seed {args.seed}: {3 * args.patients} label maps, {args.size} × {args.size}; {speed}",
    )


if __name__ == "__main__":
    main()
