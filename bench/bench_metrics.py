"""Processor time of the metrics of a test with 1545 slices: boundaries, components, calibration and intervals.

``python bench/bench_metrics.py [slices]``

Slices have 320 × 320 pixels and six classes: random smooth shapes, and predictions that differ at their edges.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

# Works without installing the package.
sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lss_lightning.labels import LUMBAR
from lss_lightning.metrics import Records, RecordsMetric, summarise_metrics

SIZE, SPACING, BATCH = 320, 0.6875, 8
SLICES, PER_PATIENT = 1545, 3


def make_batch(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return logits (8, 6, 320, 320) and a target (8, 320, 320) that differs from them by smooth noise."""
    noise = torch.randn(2 * BATCH, len(LUMBAR), 12, 12, generator=generator)
    fields = 6 * F.interpolate(noise, (SIZE, SIZE), mode="bicubic")
    fields[:, -1] += 5  # most pixels belong to no structure
    logits, perturbation = fields.chunk(2)
    return logits, (logits + 0.2 * perturbation).argmax(1).to(torch.uint8)


def median_seconds(work: Callable[[], object], repeats: int) -> float:
    """Return the median processor time of several runs after a warm-up; other load on the machine hardly affects it."""
    times = []
    for _ in range(repeats + 1):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return statistics.median(times[1:])


def main(slices: int) -> None:
    """Time the metric and the summary and print both."""
    logits, target = make_batch(torch.Generator().manual_seed(0))
    metric = RecordsMetric(LUMBAR)
    sizes, spacings = [(SIZE, SIZE)] * BATCH, [SPACING] * BATCH
    seconds = median_seconds(lambda: metric.update(logits, target, torch.arange(BATCH), sizes, spacings), 5)
    each = seconds / BATCH
    print(f"boundaries, components, calibration: {1000 * each:.0f} ms per slice, {each * slices:.0f} s for {slices}")

    records = Records(**metric.compute())[np.arange(slices) % BATCH]
    patients = [str(index // PER_PATIENT) for index in range(slices)]
    levels = [f"D{3 + index % PER_PATIENT}" for index in range(slices)]
    by_level: dict[str, list[str | None]] = {"level": [*levels]}
    for name, columns in (("all slices", {}), ("all slices and by level", by_level)):
        summarise = partial(summarise_metrics, records, patients, [SPACING] * slices, LUMBAR, columns)
        seconds = median_seconds(summarise, 3)
        print(f"scores and intervals, {name}: {seconds:.2f} s for {slices}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else SLICES)
