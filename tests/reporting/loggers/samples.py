"""Descriptions, results and settings of small runs for the loggers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from lss_lightning.labels import LUMBAR
from lss_lightning.reporting import Case
from lss_lightning.reporting.loggers import LoggedResult, RunDescription, SliceRow

SIZE = 12, 10


def make_description(folder: Path, **changes) -> RunDescription:
    folder.mkdir(exist_ok=True)
    fields = {
        "name": "a run",
        "job": "train",
        "group": None,
        "settings": {"model": "resunet"},
        "labels": LUMBAR,
        "note": "Phantom.",
    }
    return RunDescription(**{**fields, "folder": folder, **changes})


def make_case(title="Patient 0001 D3", shift=0) -> Case:
    """Make a slice whose prediction is its label, shifted by a number of rows."""
    rows = np.arange(SIZE[0])[:, None] // 2
    label = np.broadcast_to(rows, SIZE).astype(np.uint8)
    image = np.arange(np.prod(SIZE), dtype=np.uint8).reshape(*SIZE, 1)
    return Case(title=title, image=image, label=label, prediction=np.roll(label, shift, axis=0), iou=0.5)


def make_result(folder: Path, **changes) -> LoggedResult:
    """Make a result whose report and checkpoint are in a folder."""
    folder.mkdir(exist_ok=True)
    for name in ("confusion.png", "curves.png"):
        Image.new("RGB", (8, 6), "white").save(folder / name)
    (folder / "index.html").write_text("<html><head></head><body>Report</body></html>")
    (folder / "best.ckpt").write_bytes(b"weights")
    scores = np.array([0.9, 0.8, 0.7, 0.6, np.nan, 0.5])
    fields = {
        "metrics": {"test/mean_iou": 0.7, "test/iou/thecal_sac": 0.6, "objective": 0.65},
        "confusion": np.arange(36).reshape(6, 6),
        "rows": [
            SliceRow("0001", "D3", scores, 0.7, make_case(shift=1)),
            SliceRow("0002", "D4", scores, np.nan, make_case(shift=2)),
        ],
        "figures": {"confusion": folder / "confusion.png", "curves": folder / "curves.png"},
        "pages": {"index": folder / "index.html"},
        "checkpoint": folder / "best.ckpt",
        "card": None,
        "epoch": 3,
    }
    return LoggedResult(**{**fields, **changes})
