from __future__ import annotations

import os

import pytest
from hydra import compose, initialize_config_dir

from lss_lightning.config.sections import config_folder
from lss_lightning.sweeps.search import SearchConfig
from lss_lightning.sweeps.trial import RunningTrial, expose_trial, is_trial

optuna = pytest.importorskip("optuna", reason="pip install -e .[optuna]")


@pytest.fixture
def study(tmp_path):
    """A study with three trials that reported 0.5 in each of three epochs, and a running one."""
    search = SearchConfig({"_target_": "optuna.samplers.RandomSampler"}, {}, str(tmp_path))
    study = optuna.create_study(storage=search._make_storage(), study_name="search", direction="maximize")
    for _ in range(3):
        trial = study.ask()
        for epoch in range(3):
            trial.report(0.5, epoch)
        study.tell(trial, 0.5)
    study.ask()
    return study


def hydra(folder, *overrides):
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        line = [f"hydra.sweep.dir={folder}", *overrides]
        return compose("train", overrides=line, return_hydra_config=True).hydra


PRUNER = ["hydra/sweeper=optuna", "hydra/sweeper/pruner=median", "hydra.sweeper.pruner.n_startup_trials=1"]


@pytest.fixture
def settings(tmp_path):
    return hydra(tmp_path, *PRUNER, "hydra.sweeper.pruner.n_warmup_steps=1", "hydra.sweeper.trial=3")


def test_a_trial_is_stopped_when_it_falls_behind_the_others(study, settings):
    with expose_trial(settings):
        trial = RunningTrial()
    assert trial.pruner == "MedianPruner"
    assert not trial.should_stop(0, 0.1)  # the pruner waits for an epoch
    assert not trial.should_stop(1, 0.6)
    assert study.trials[3].intermediate_values == {0: 0.1, 1: 0.6}


@pytest.mark.filterwarnings("error")
def test_an_epoch_that_a_resumed_training_repeats_is_stored_once(study, settings):
    with expose_trial(settings):
        assert not RunningTrial().should_stop(0, 0.1)
        resumed = RunningTrial()
    assert not resumed.should_stop(0, 0.2)
    assert resumed.should_stop(1, 0.3)
    assert study.trials[3].intermediate_values == {0: 0.1, 1: 0.3}


def test_processes_know_their_trial_only_while_its_job_runs(tmp_path, settings):
    assert not is_trial()
    with expose_trial(settings):
        assert is_trial()
        assert "LSS_TRIAL" in os.environ  # for the processes that it starts
    assert not is_trial()
    with expose_trial(hydra(tmp_path, "hydra/sweeper=basic")):
        assert not is_trial()
