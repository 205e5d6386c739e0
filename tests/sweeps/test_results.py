from __future__ import annotations

import pytest

from lss_lightning.sweeps.job_records import DIVERGED, FAILED, PRUNED, RUNNING
from lss_lightning.sweeps.results import read_sweep_results
from tests.sweeps.fake_sweeps import make_job


def test_jobs_without_an_objective_are_ranked_last(tmp_path):
    make_job(tmp_path, "0", ["seed=1", "optimizer.lr=0.1"], 0.2)
    make_job(tmp_path, "1", ["seed=1", "optimizer.lr=0.2"], 0.9)
    make_job(tmp_path, "2", ["seed=1", "optimizer.lr=0.3"], state=RUNNING)
    make_job(tmp_path, "3", ["seed=1", "optimizer.lr=0.4"], state=FAILED, reason="memory")
    make_job(tmp_path, "10", ["seed=1", "optimizer.lr=0.5"], state=DIVERGED, reason="loss")
    make_job(tmp_path, "4", ["seed=1", "optimizer.lr=0.6"], state=PRUNED, reason="median")
    results = read_sweep_results(tmp_path)
    assert [job.name for job in results.jobs] == ["1", "0", "10", "4", "3", "2"]
    assert [job.state for job in results.jobs[2:]] == ["diverged", "pruned", "failed", "unfinished"]
    assert (results.parameters, results.repeats) == (("optimizer.lr",), ())
    assert results.best is not None
    assert results.best.values == {"optimizer.lr": 0.2}


def test_folds_of_a_setting_are_averaged(tmp_path):
    scores = {("0.1", 0): 0.5, ("0.1", 1): 0.7, ("0.1", 2): 0.9, ("0.2", 0): 0.8, ("0.2", 1): 0.8, ("0.2", 2): None}
    for number, ((rate, fold), score) in enumerate(scores.items()):
        state, reason = ("finished", None) if score is not None else (FAILED, "memory")
        overrides = ["split=kfold", f"split.fold={fold}", f"optimizer.lr={rate}"]
        make_job(tmp_path, str(number), overrides, score, state, reason)
    results = read_sweep_results(tmp_path)
    assert (results.parameters, results.repeats) == (("optimizer.lr",), ("split.fold",))
    complete, partial = results.settings
    assert complete is results.best  # the other has a higher mean but lacks a fold
    assert complete.mean == pytest.approx(0.7)
    assert complete.sd == pytest.approx(0.2)
    assert partial.mean == pytest.approx(0.8)
    assert (partial.sd, len(partial.objectives)) == (0, 2)
