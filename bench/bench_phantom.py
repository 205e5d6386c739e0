"""How many phantom slices a second one core makes: both contrasts, label and truth.

``python bench/bench_phantom.py [--size 320] [--slices 12] [--repeats 5]``

Processor time is counted, not the clock, so that other programs on the machine change little; pure Python and numpy,
on one thread. The same slices are made in each pass, all three levels alike; the first pass warms up, the median of
the others is shown, and beside it what goes into the anatomy and the truth alone.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from itertools import islice, product
from pathlib import Path

# A checkout's package need not be installed.
sys.path.insert(0, str(Path(__file__).parents[1]))

from rich.console import Console
from rich.table import Table

from lss_lightning.phantom import render_slice
from lss_lightning.phantom.patient import LEVELS, RandomStream, generator, sample_subject
from lss_lightning.phantom.regions import class_regions
from lss_lightning.phantom.spine import sample_spine
from lss_lightning.phantom.truth import true_measures

TARGET = 3.0
"""Slices a second and core that are asked for at 320 × 320."""


def anatomy(patient: int, level: str) -> None:
    """The curves of a slice."""
    class_regions(sample_spine(sample_subject(0, patient, level), generator(0, patient, level, RandomStream.ANATOMY)))


def measured_anatomy(patient: int, level: str) -> None:
    """The curves of a slice, and their measures."""
    spine = sample_spine(sample_subject(0, patient, level), generator(0, patient, level, RandomStream.ANATOMY))
    true_measures(class_regions(spine))


def main() -> None:
    """Time the passes and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", type=int, default=320, help="pixels a side (320)")
    parser.add_argument("--slices", type=int, default=12, help="slices in a pass (12)")
    parser.add_argument("--repeats", type=int, default=5, help="timed passes (5)")
    given = parser.parse_args()
    names = [(patient, level) for patient, level in islice(product(range(1, 10_000), LEVELS), given.slices)]
    timed: dict[str, Callable[[int, str], object]] = {
        "slice: both contrasts, label, truth": lambda patient, level: render_slice(0, patient, level, given.size),
        "of it anatomy": anatomy,
        "of it anatomy and truth": measured_anatomy,
    }
    seconds: dict[str, list[float]] = {what: [] for what in timed}
    for repeat in range(given.repeats + 1):
        for what, make in timed.items():
            start = time.process_time()
            for name in names:
                make(*name)
            if repeat:  # the first pass warms up
                seconds[what].append((time.process_time() - start) / len(names))
    title = f"{given.size} × {given.size} pixels, one thread, median of {given.repeats} passes of {len(names)} slices"
    table = Table(title=title)
    for heading, side in (("", "left"), ("ms of processor time", "right"), ("per second and core", "right")):
        table.add_column(heading, justify="left" if side == "left" else "right")
    for what, taken in seconds.items():
        table.add_row(what, f"{1e3 * statistics.median(taken):.0f}", f"{1 / statistics.median(taken):.1f}")
    Console().print(table)
    Console().print(f"Asked for at 320 × 320: {TARGET:g} slices a second and core.")


if __name__ == "__main__":
    main()
