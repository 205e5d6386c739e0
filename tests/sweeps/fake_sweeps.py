"""Sweep directories as their jobs leave them, written without any training."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from lss_lightning.sweeps.job_records import FINISHED, JobRecord, write_record

DISCLAIMER = "Phantom data: no clinical meaning."


def make_job(
    sweep: Path,
    name: str,
    overrides: Sequence[str],
    objective: float | None = None,
    state: str = FINISHED,
    reason: str | None = None,
) -> Path:
    """Write the directory of a job. A finished job has metrics and a best checkpoint."""
    folder = sweep / name
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "config.yaml").write_text("name: made\n")
    write_record(folder, JobRecord(list(overrides), state, reason))
    if state == FINISHED:
        (folder / "checkpoints").mkdir()
        (folder / "checkpoints" / "best.ckpt").write_text("")
        data = {"name": "phantom", "protocol": "patient", "remarks": [], "disclaimer": DISCLAIMER}
        metrics = {
            "data": data,
            "mean_iou_anatomy": 0.987654,
            "validation": {"objective": objective, "epoch": 3},
            "timing": {"train_seconds": 90.0},
        }
        (folder / "metrics.json").write_text(json.dumps(metrics))
    return folder


def make_grid(sweep: Path, rates: Sequence[float], sizes: Sequence[int]) -> Path:
    """Write a job for each pair, with the objective 0.5 + 0.01 × size - rate. Jobs with rate 0.1 diverge."""
    for number, (rate, size) in enumerate((rate, size) for rate in rates for size in sizes):
        overrides = [f"optimizer.lr={rate}", f"data.batch_size={size}", "data.patients=10"]
        if rate == 0.1:
            make_job(sweep, str(number), overrides, None, "diverged", "step 3 (epoch 0): the loss is not finite")
        else:
            make_job(sweep, str(number), overrides, 0.5 + 0.01 * size - rate)
    return sweep
