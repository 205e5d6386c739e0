"""Resuming runs, and comparing what they leave bit by bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from lss_lightning.models.checkpoint import read_checkpoint
from tests.workflows.quick_runs import start

EXACT = ("trainer.precision=32-true", "augmentation=default", "data.batch_size=5")


def content(run: Path) -> dict:
    """Return the content of the last checkpoint."""
    return read_checkpoint(run / "checkpoints/last.ckpt")


def resume(run: Path, tree: Path, *overrides: str) -> None:
    """Resume a run from its last checkpoint."""
    (run / ".hydra").mkdir(exist_ok=True)
    start(run, tree, *EXACT, *overrides, f"ckpt_path={run}/checkpoints/last.ckpt")


def assert_equal(first: Any, second: Any, path: str = "") -> None:
    """Check that nested plain data and tensors are the same, bit by bit."""
    assert type(first) is type(second), path
    if isinstance(first, torch.Tensor):
        assert torch.equal(first, second), path
    elif isinstance(first, dict):
        assert first.keys() == second.keys(), path
        for key in first:
            assert_equal(first[key], second[key], f"{path}/{key}")
    elif isinstance(first, list):
        assert len(first) == len(second), path
        for index, pair in enumerate(zip(first, second, strict=True)):
            assert_equal(pair[0], pair[1], f"{path}/{index}")
    else:
        assert first == second, path


def assert_same_run(first: Path, second: Path) -> None:
    """Check that two runs have the same weights, optimizer states and metrics, bit by bit."""
    for part in ("state_dict", "optimizer_states", "lr_schedulers", "epoch", "global_step"):
        assert_equal(content(first)[part], content(second)[part], part)
    assert (first / "metrics.csv").read_bytes() == (second / "metrics.csv").read_bytes()
