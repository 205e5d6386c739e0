from __future__ import annotations

import hashlib
import json


def test_training_writes_a_model_card(runs):
    checkpoints = runs / "train/checkpoints"
    text = (checkpoints / "model-card.md").read_text(encoding="utf-8")
    metrics = json.loads((runs / "train/metrics.json").read_text())
    low, high = metrics["iou_ci95"]["thecal_sac"]
    for fact in (
        hashlib.sha256((checkpoints / "best.ckpt").read_bytes()).hexdigest(),
        "**Research use only. Not a medical device.**",
        "alkafri, split by patient",
        "Part test: 6 slices of 2 patients.",
        "Selected by: the part val",
        f"{metrics['iou']['thecal_sac']:.3f} [{low:.3f}, {high:.3f}]",
        "Tested on 6 slices of 2 patients",
        "Code: Apache-2.0.",
        "Data: CC BY 4.0.",
        "Altun",
        "Sudirman",
        "Training time: 0:00:0",
        "torch 2.",
    ):
        assert fact in text
    assert str(runs) not in text  # the card has no paths of this machine


def test_evaluation_writes_no_model_card(runs):
    assert not list((runs / "evaluate").rglob("model-card.md"))
