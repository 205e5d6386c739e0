"""Searches as whole commands: pruning, failures, resuming, parallel jobs and several devices."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from tests.workflows.processes import command
from tests.workflows.quick_runs import QUICK, rows
from tests.workflows.test_sweep_commands import contents, listed, train

optuna = pytest.importorskip("optuna", reason="pip install -e .[optuna]")

STRICT = ["hydra.sweeper.pruner.n_startup_trials=1", "hydra.sweeper.pruner.n_warmup_steps=0"]
"""Settings of a median pruner that stops a trial as early as it can."""


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("searches")


@pytest.fixture(scope="module")
def line(root, patients) -> list[str]:
    """The command line of a search of the batch size."""
    quick = [text for text in QUICK if not text.startswith("data.batch_size=")]
    space = ["data.batch_size=choice(4,8)", "loss=cross_entropy", "optimizer.weight_decay=0"]
    return ["-m", "hparams_search=optuna", "data=alkafri", f"data.root={patients}", *quick, *space]


def trials(folder: Path) -> list[Any]:
    """Return what the database of a search has about each trial."""
    [study] = optuna.get_all_study_names(f"sqlite:///{folder}/optuna.db")
    found = optuna.load_study(study_name=study, storage=f"sqlite:///{folder}/optuna.db").trials
    return [(trial.params, trial.state.name, trial.value, trial.intermediate_values) for trial in found]


def test_a_killed_search_is_resumed_to_the_trials_of_an_uninterrupted_one(line, root):
    search = [*line, "trainer.max_epochs=3", "hydra.sweeper.n_trials=4", "hydra.sweeper.sampler.seed=5", *STRICT]
    whole, killed = root / "whole", root / "killed"
    done = train(*search, f"hydra.sweep.dir={whole}")
    assert done.returncode == 0, done.stderr
    states = listed(whole)
    assert set(states.values()) == {"finished", "pruned"}
    pruned = [job for job, state in states.items() if state == "pruned"]
    assert f"job {pruned[0]}, pruned: stopped after epoch " in done.stdout
    assert "by MedianPruner" in (whole / "sweep.md").read_text()
    assert "pruned" in (whole / "sweep.csv").read_text()

    stopped = train(*search, f"hydra.sweep.dir={killed}", changes="send_signal+skip_figures")
    assert stopped.returncode == -signal.SIGKILL
    last = max(killed.glob("[0-9]"))
    assert (last / "checkpoints/last.ckpt").is_file()
    assert trials(killed)[-1][1] == "RUNNING"
    before = {path: contents(path) for path in killed.glob("[0-9]") if path != last}

    done = train(f"sweep={killed}")
    assert done.returncode == 0, done.stderr
    assert (last / ".hydra/resume-1").is_dir()
    assert trials(killed) == trials(whole)
    assert listed(killed) == states
    assert {path: contents(path) for path in before} == before
    for job in states:
        assert rows(killed / job / "metrics.csv") == rows(whole / job / "metrics.csv")


def test_failed_trials_are_named_and_repeated_in_their_directories(line, root):
    folder = root / "failing"
    search = [*line, "optimizer.lr=choice(0.2,0.1,0.001)", "trainer.max_epochs=1", "hydra/sweeper/sampler=grid"]
    search = [text.replace("choice(4,8)", "8") for text in search]
    first = train(*search, f"hydra.sweep.dir={folder}", changes="fail_by_learning_rate+skip_figures")
    assert first.returncode == 1, first.stderr
    assert sorted(listed(folder).values()) == ["diverged", "failed", "finished"]
    outcomes = {params["optimizer.lr"]: (state, value) for params, state, value, _ in trials(folder)}
    assert outcomes[0.2] == ("FAIL", None)
    assert outcomes[0.1] == ("COMPLETE", 0)
    assert outcomes[0.001][0] == "COMPLETE"
    [failed] = [job for job, state in listed(folder).items() if state == "failed"]
    before = {job: contents(folder / job) for job in listed(folder) if job != failed}

    second = train(f"sweep={folder}")
    assert second.returncode == 0, second.stderr
    assert listed(folder)[failed] == "finished"
    assert {job: contents(folder / job) for job in before} == before
    assert "best: python train.py" in second.stdout
    assert len(trials(folder)) == 4


def test_parallel_trials_on_two_devices_each_are_pruned(line, root):
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="pip install -e .[cluster]")
    folder = root / "parallel"
    pruner = ["hydra/sweeper/pruner=none", "hydra.sweeper.pruner._target_=optuna.pruners.ThresholdPruner"]
    parallel = ["hydra/launcher=joblib", "hydra.sweeper.n_jobs=2", "trainer.devices=2", "trainer.max_epochs=2"]
    search = [*line, *pruner, "+hydra.sweeper.pruner.lower=2.0", *parallel, "hydra.sweeper.n_trials=2"]
    done = command("train.py", *search, f"hydra.sweep.dir={folder}")
    assert done.returncode == 1, done.stderr  # no trial has finished
    assert listed(folder) == {"0": "pruned", "1": "pruned"}
    assert "Traceback" not in done.stderr
    assert done.stdout.count("2 × cpu") == 2
    assert [(state, list(values)) for _, state, _, values in trials(folder)] == [("PRUNED", [0])] * 2
    for job in "01":
        assert [row["epoch"] for row in rows(folder / job / "metrics.csv")] == ["0"]
        assert (folder / job / "checkpoints/last.ckpt").is_file()
        assert not (folder / job / "metrics.json").exists()
        assert (folder / job / "job.json").read_text().count("by ThresholdPruner") == 1
