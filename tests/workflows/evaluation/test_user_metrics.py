"""Metrics of the section ``metrics`` in training, evaluation and cross-validation."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from lss_lightning.errors import UserError
from lss_lightning.reporting.loggers import read_result
from lss_lightning.workflows import evaluate
from tests.conftest import write_patients
from tests.workflows.quick_runs import rows, start
from tests.workflows.test_evaluate import evaluation, score

F1 = "+metrics.f1={_target_: torchmetrics.F1Score, average: none}"


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """Five patients in `tree`, and in `sweep` the trainings of two folds with metrics."""
    root = tmp_path_factory.mktemp("metrics")
    write_patients(root / "tree", 5, ("D3", "D4"))
    folds = ("split=kfold", "split.folds=2", "split.val_fraction=0.4", "scheduler=plateau", "scheduler.mode=max")
    for fold in range(2):
        settings = (*folds, f"split.fold={fold}", "trainer.max_epochs=2", "metrics=kappa", F1)
        start(root / f"sweep/{fold}", root / "tree", *settings, "scheduler.monitor=val/kappa")
    return root


def kappa(run: Path) -> float:
    """Compute kappa from the confusion counts of a test."""
    with np.load(run / "counts.npz") as arrays:
        shares = arrays["counts"].sum(axis=0) / arrays["counts"].sum()
    chance = shares.sum(0) @ shares.sum(1)
    return float((np.trace(shares) - chance) / (1 - chance))


def test_training_logs_and_reports_metrics(root, capsys):
    run = root / "sweep/0"
    metrics = json.loads((run / "metrics.json").read_text())["metrics"]
    assert metrics["kappa"] == pytest.approx(kappa(run), abs=1e-5)
    assert len(metrics) == 7
    epochs = rows(run / "metrics.csv")
    assert all(-1 <= float(row["val/kappa"]) <= 1 for row in epochs)
    assert "val/f1/thecal_sac" in epochs[0]
    page = (run / "report/index.html").read_text()
    assert "Further metrics" in page
    assert "f1/thecal_sac" in page
    assert "| kappa | " in (run / "report/scores.md").read_text()
    with (run / "report/scores.csv").open() as stream:
        values = {row["measure"]: row["value"] for row in csv.DictReader(stream)}
    assert float(values["kappa"]) == metrics["kappa"]
    tracked = read_result(run, confusion=np.zeros((6, 6), dtype=np.int64), rows=[])
    assert tracked.metrics["test/kappa"] == metrics["kappa"]


def test_evaluation_computes_metrics_of_its_own(root, tmp_path, capsys):
    checkpoint = root / "sweep/0/checkpoints/best.ckpt"
    assert "metrics" not in score(tmp_path / "none", checkpoint)
    capsys.readouterr()
    metrics = score(tmp_path / "some", checkpoint, "metrics=kappa")["metrics"]
    assert metrics == {"kappa": pytest.approx(kappa(tmp_path / "some"), abs=1e-5)}
    assert "Further metric" in capsys.readouterr().out


def test_folds_are_pooled(root, tmp_path):
    (tmp_path / "run").mkdir()
    evaluate.run(evaluation(f"folds={root / 'sweep'}", "trainer=cpu", "metrics=kappa"), tmp_path / "run")
    metrics = json.loads((tmp_path / "run/metrics.json").read_text())
    assert metrics["data"]["images"] == 10
    assert metrics["metrics"]["kappa"] == pytest.approx(kappa(tmp_path / "run"), abs=1e-5)


def test_a_monitor_that_nothing_logs_is_refused(tmp_path, tree):
    settings = ("scheduler=plateau", "scheduler.monitor=val/kapa", "trainer.limit_train_batches=1")
    with pytest.raises(UserError, match=r"^scheduler\.monitor=val/kapa: no such value; did you mean 'val/kappa'"):
        start(tmp_path, tree, "metrics=kappa", *settings)
