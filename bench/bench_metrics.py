"""What a test's measurements cost in processor time: boundaries, parts and calibration, intervals for 1545 slices.

``python bench/bench_metrics.py [slices]``

Slices are 320 × 320 pixels with six classes: random smooth shapes, and a prediction that differs at their edges.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

# A checkout's package need not be installed.
sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lss_lightning.labels import LUMBAR
from lss_lightning.metrics import ImageRecords, Records, summarise_metrics

SIZE, SPACING, BATCH = 320, 0.6875, 8
SLICES, PER_PATIENT = 1545, 3


def make_batch(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Logits (8, 6, 320, 320) and a target (8, 320, 320) that follows them but for smooth noise."""
    noise = torch.randn(2 * BATCH, len(LUMBAR), 12, 12, generator=generator)
    fields = 6 * F.interpolate(noise, (SIZE, SIZE), mode="bicubic")
    fields[:, -1] += 5  # most pixels are of no structure
    logits, other = fields.chunk(2)
    return logits, (logits + 0.2 * other).argmax(1).to(torch.uint8)


def median_seconds(work: Callable[[], object], repeats: int) -> float:
    """Median processor time over the repeats, after one that does not count: other work on the machine does not."""
    times = []
    for _ in range(repeats + 1):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return statistics.median(times[1:])


def main(slices: int) -> None:
    """Print both costs."""
    logits, target = make_batch(torch.Generator().manual_seed(0))
    metric = ImageRecords(LUMBAR)
    sizes, spacings = [(SIZE, SIZE)] * BATCH, [SPACING] * BATCH
    seconds = median_seconds(lambda: metric.update(logits, target, torch.arange(BATCH), sizes, spacings), 5)
    each = seconds / BATCH
    print(f"boundaries, parts, calibration: {1000 * each:.0f} ms per slice, {each * slices:.0f} s for {slices}")

    measured = Records(**metric.compute())
    records = measured[np.arange(slices) % BATCH]
    patients = [str(place // PER_PATIENT) for place in range(slices)]
    levels = [f"D{3 + place % PER_PATIENT}" for place in range(slices)]
    for name, columns in (("all slices", {}), ("all slices and by level", {"level": levels})):
        seconds = median_seconds(
            lambda columns=columns: summarise_metrics(records, patients, [SPACING] * slices, LUMBAR, columns), 3
        )
        print(f"figures and intervals, {name}: {seconds:.2f} s for {slices}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else SLICES)
