"""Results of runs to compare, and a reader of table columns."""

from __future__ import annotations

from typing import Any

import numpy as np

from lss_lightning.labels import LUMBAR
from lss_lightning.metrics import summarise_overlap
from lss_lightning.reporting.comparison import RunResult
from lss_lightning.reporting.page import Table
from tests.conftest import configure

_SETTINGS = configure("experiment=paper_resunet", "data=phantom", "trainer.accumulate_grad_batches=2").plain


def make_counts(patients: int = 4, errors: int = 300) -> np.ndarray:
    """Make the confusion counts of an image per patient, with pixels of the disc predicted as posterior element."""
    counts = np.diag([0, 1000 - errors, 800, 900, 1000, 5000])
    counts[1, 2] = errors
    return np.stack([counts] * patients)


def make_result(name: str = "ours", **changes: Any) -> RunResult:
    """Make the result of a run on the phantom, with changed attributes."""
    counts = make_counts()
    data = {
        "name": "phantom",
        "subset": "test",
        "protocol": "patient",
        "images": 12,
        "patients": 4,
        "excluded_seen": 0,
        "spacing_mm": 0.6875,
        "remarks": [],
        "disclaimer": "Phantom data: no clinical meaning. Research use only.",
    }
    metrics = {
        "data": data,
        **summarise_overlap(counts, [str(number) for number in range(len(counts))], LUMBAR),
        "validation": {"objective": 0.5, "epoch": 7},
        "timing": {"train_seconds": 3723.4, "epochs": 10},
        "hardware": {"device": "cpu", "processes": 2, "precision": "bf16-mixed"},
    }
    attributes: dict[str, Any] = {
        "metrics": metrics,
        "settings": _SETTINGS,
        "parameters": 24_436_000,
        "checkpoint": "best.ckpt",
        "rows": [],
    }
    return RunResult(name=name, **(attributes | changes))


def read_column(table: Table, heading: str) -> dict[str, str]:
    """Return the cells of a column by the name of the row."""
    index = list(table.columns).index(heading)
    return {row[0]: row[index] for row in [*table.rows, *table.foot]}
