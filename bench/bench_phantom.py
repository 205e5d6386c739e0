"""Phantom slices per second on one core: both contrasts, label and true values.

``python bench/bench_phantom.py [--size 320] [--slices 12] [--repeats 5]``

Processor time is measured, which other programs hardly affect; the code is pure Python and numpy on one thread. Each
pass renders the same slices, with all three levels equally often. The first pass is a warm-up; the median of the others
is reported, also for the anatomy and the true values alone.
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

# Works without installing the package.
sys.path.insert(0, str(Path(__file__).parents[1]))

from rich.console import Console
from rich.table import Table

from lss_lightning.data.alkafri_layout import ALKAFRI_LEVELS
from lss_lightning.phantom import render_slice
from lss_lightning.phantom.patient import RandomStream, make_generator, sample_patient
from lss_lightning.phantom.regions import TissueRegions, build_regions
from lss_lightning.phantom.spine import sample_spine
from lss_lightning.phantom.truth import compute_true_measurements

TARGET = 3.0
"""Required slices per second and core at 320 × 320."""


def anatomy(patient_id: int, level: str) -> TissueRegions:
    """Draw the curves of a slice."""
    patient = sample_patient(0, patient_id, level)
    return build_regions(sample_spine(patient, make_generator(0, patient_id, level, RandomStream.ANATOMY)))


def measured_anatomy(patient_id: int, level: str) -> None:
    """Draw the curves of a slice and measure them."""
    compute_true_measurements(anatomy(patient_id, level))


def main() -> None:
    """Time the tasks and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", type=int, default=320, help="height and width in pixels (320)")
    parser.add_argument("--slices", type=int, default=12, help="slices per pass (12)")
    parser.add_argument("--repeats", type=int, default=5, help="timed passes (5)")
    args = parser.parse_args()
    slices = list(islice(product(range(1, 10_000), ALKAFRI_LEVELS), args.slices))
    tasks: dict[str, Callable[[int, str], object]] = {
        "slice: both contrasts, label, truth": lambda patient, level: render_slice(0, patient, level, args.size),
        "anatomy alone": anatomy,
        "anatomy and truth alone": measured_anatomy,
    }
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for repeat in range(args.repeats + 1):
        for name, run in tasks.items():
            start = time.process_time()
            for patient, level in slices:
                run(patient, level)
            if repeat:  # the first pass is a warm-up
                seconds[name].append((time.process_time() - start) / len(slices))
    title = f"{args.size} × {args.size} pixels, one thread, median of {args.repeats} passes of {len(slices)} slices"
    table = Table(title=title)
    table.add_column("")
    for heading in ("ms of processor time", "per second and core"):
        table.add_column(heading, justify="right")
    for name, times in seconds.items():
        table.add_row(name, f"{1e3 * statistics.median(times):.0f}", f"{1 / statistics.median(times):.1f}")
    Console().print(table)
    Console().print(f"Required at 320 × 320: {TARGET:g} slices per second and core.")


if __name__ == "__main__":
    main()
