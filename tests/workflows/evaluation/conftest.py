"""Runs that several tests of the evaluation read."""

from __future__ import annotations

from pathlib import Path

import pytest

from lss_lightning.workflows import evaluate, train
from tests.conftest import configure, write_patients
from tests.workflows.quick_runs import QUICK
from tests.workflows.test_evaluate import evaluation


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training `train` that tests two of ten patients, and its evaluation `evaluate` on all slices."""
    root = tmp_path_factory.mktemp("runs")
    write_patients(root / "tree")
    for name in ("train", "evaluate"):
        (root / name).mkdir()
    data = ("data=alkafri", f"data.root={root / 'tree'}")
    train.run(configure(*data, *QUICK, "split.test_fraction=0.2", "trainer.max_epochs=2"), root / "train")
    config = evaluation(f"ckpt_path={root}/train/checkpoints/best.ckpt", "trainer=cpu", "subset=all")
    evaluate.run(config, root / "evaluate")
    return root
