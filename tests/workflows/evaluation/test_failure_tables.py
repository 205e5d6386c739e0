from __future__ import annotations

from pathlib import Path

import numpy as np

from lss_lightning.data.loading import LoadedSlice
from lss_lightning.data.slices import Slice
from lss_lightning.labels import LUMBAR
from lss_lightning.metrics import Records
from lss_lightning.metrics.failures import count_image_parts
from lss_lightning.workflows.evaluation.failure_tables import make_patient_table, make_worst_table

OTHER, DISC, SAC = (LUMBAR.keys.index(key) for key in ("other", "intervertebral_disc", "thecal_sac"))


def make_map(disc: int, sac: int = 0) -> np.ndarray:
    """Return a map of 20 × 20 pixels whose first rows are disc and whose last rows are sac."""
    classes = np.full((20, 20), OTHER, dtype=np.uint8)
    classes[:disc] = DISC
    classes[20 - sac :] = SAC
    return classes


PAIRS = [
    ("y", "D3", make_map(8), make_map(8)),
    ("y", "D4", make_map(8, 4), make_map(4)),
    ("x", "", make_map(8), np.concatenate([make_map(2)[:5], make_map(8)[:4], make_map(0)[:11]])),
]
"""Patient, level, label and prediction: correct; half the disc and no sac; the disc in two parts of 40 and 80 pixels
instead of one of 160."""


def make_records() -> tuple[list[LoadedSlice], Records]:
    pairs = [(label, predicted) for _, _, label, predicted in PAIRS]
    counts = [
        np.bincount(6 * label.ravel() + predicted.ravel(), minlength=36).reshape(6, 6) for label, predicted in pairs
    ]
    empty = np.zeros(3)
    parts = np.stack([count_image_parts(predicted, label, 6) for label, predicted in pairs])
    records = Records(np.arange(3), np.stack(counts), empty, empty, empty, parts, np.ones(3, dtype=bool))
    slices = []
    for patient, level, label, _ in PAIRS:
        slice_ = Slice(patient, level, {}, Path("label.png"), None)
        slices.append(LoadedSlice(slice_, np.zeros((3, 20, 20), dtype=np.uint8), label, 1.0, f"{patient}{level}"))
    return slices, records


def test_worst_table_lists_failures():
    table = make_worst_table(*make_records(), LUMBAR)
    assert table.rows[0] == ["Patient y", "D4", "1", "0.250", "Thecal Sac", "0.000", "Thecal Sac missed"]
    # Rows 0, 1, 5, 6 and 7 of 8 are correct, and row 8 is wrong.
    assert table.rows[1][:6] == ["Patient x", "–", "2", "0.556", "Intervertebral Disc", "0.556"]
    assert table.rows[1][6] == "Intervertebral Disc split (2 parts, not 1)"
    assert table.rows[2][:4] == ["Patient y", "D3", "3", "1.000"]
    assert table.rows[2][6] == "–"


def test_patient_table_pools_the_slices_of_a_patient():
    table = make_patient_table(*make_records(), LUMBAR)
    assert table.columns == ["Patient", "Slices", "Mean IoU", *(label.name for label in LUMBAR if label.anatomical)]
    # Patient y: 12 of 16 rows of disc and none of 4 rows of sac are correct.
    assert table.rows == [
        ["Patient y", "2", "0.375", "0.750", "–", "0.000", "–"],
        ["Patient x", "1", "0.556", "0.556", "–", "–", "–"],
    ]
