"""Sweeps as a user types them, with jobs that fail, stop or are killed."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from lss_lightning.run_folder import occupied
from tests.conftest import write_slice
from tests.workflows.test_commands import command, python
from tests.workflows.test_train import QUICK, rows


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("sweeps")
    for patient in range(1, 11):
        for level in ("D3", "D4", "D5"):
            write_slice(place / "tree", f"{patient:04d}", level)
    return place


@pytest.fixture(scope="module")
def line(place) -> list[str]:
    """A sweep's command line, but for what it sweeps over."""
    return ["-m", "data=alkafri", f"data.root={place / 'tree'}", f"paths.data={place}", *QUICK]


def listed(folder: Path) -> dict[str, str]:
    """Each job's state, as the table has it."""
    return {row["job"]: row["state"] for row in rows(folder / "sweep.csv")}


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "train.log"}


def test_jobs_that_fail_are_listed_and_run_again_alone(line, place):
    folder = place / "failing"
    grid = ["optimizer.lr=0.3,0.2,0.1,0.001", "trainer.max_epochs=1"]
    altered = ["-m", "tests.workflows.altered", "spoilt", "train"]
    done = python(*altered, *line, *grid, f"hydra.sweep.dir={folder}")
    assert done.returncode == 1, done.stderr
    states = {"0": "failed", "1": "failed", "2": "diverged", "3": "finished"}
    assert listed(folder) == states
    reasons = {row["job"]: row["reason"] for row in rows(folder / "sweep.csv")}
    assert reasons["0"].startswith("data.batch_size=4: the device's memory does not suffice; try data.batch_size=2")
    assert reasons["1"] == "RuntimeError: shapes do not fit"
    assert reasons["2"].startswith("step 1 (epoch 0): the loss is not finite at learning rate 0.1")
    assert done.stderr.count("Traceback") == 1  # the bug's, not the user errors'
    assert f"python train.py sweep={folder}" in done.stdout

    before = {job: contents(folder / job) for job in "23"}
    done = command("train.py", f"sweep={folder}")
    assert done.returncode == 0, done.stderr
    assert listed(folder) == states | dict.fromkeys("01", "finished")
    assert {job: contents(folder / job) for job in "23"} == before
    assert done.stdout.count("before, kept") == 2
    assert "sweep=" not in (folder / "sweep.md").read_text()


def test_a_sweep_that_was_killed_is_taken_up_by_the_same_line(line, place):
    folder = place / "killed"
    whole = [*line, "trainer.max_epochs=1,2,3", f"hydra.sweep.dir={folder}"]
    killed = python("-m", "tests.workflows.altered", "struck", "train", *whole)
    assert killed.returncode == -signal.SIGKILL
    assert sorted(path.name for path in folder.glob("?")) == ["0", "1"]
    kept, last = contents(folder / "0"), (folder / "1/checkpoints/last.ckpt")
    stopped = rows(folder / "1/metrics.csv")
    assert last.is_file()
    assert len(stopped) == 1

    done = command("train.py", *whole)
    assert done.returncode == 0, done.stderr
    assert listed(folder) == dict.fromkeys("012", "finished")
    assert contents(folder / "0") == kept
    assert rows(folder / "1/metrics.csv")[:1] == stopped
    assert [json.loads((folder / job / "metrics.json").read_text())["timing"]["epochs"] for job in "012"] == [1, 2, 3]
    assert (folder / "1/.hydra/resume-1/config.yaml").is_file()
    assert OmegaConf.load(folder / "2/.hydra/config.yaml").trainer.max_epochs == 3
    assert "trainer.max_epochs=3" in OmegaConf.load(folder / "2/.hydra/overrides.yaml")

    # A job that was begun when the sweep was taken up can be gone on with by hand.
    done = command("train.py", f"ckpt_path={folder}/2/checkpoints/last.ckpt", "trainer.max_epochs=4")
    assert done.returncode == 0, done.stderr

    before = contents(folder)
    done = command("train.py", *whole[:-2], "trainer.max_epochs=1,2", whole[-1])
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {folder}: holds another sweep, ")
    assert done.stderr.count("\n") == 1
    assert contents(folder) == before


def test_a_job_on_two_processes_is_taken_up(line, place):
    folder = place / "two"
    whole = [*line, "trainer.devices=2", "data.batch_size=2", "trainer.max_epochs=1,2", f"hydra.sweep.dir={folder}"]
    whole.remove("data.batch_size=4")
    done = command("train.py", *whole)
    assert done.returncode == 0, done.stderr
    record, metrics = folder / "1/job.json", folder / "1/metrics.json"
    record.write_text(record.read_text().replace("finished", "running"))
    metrics.unlink()
    done = command("train.py", *whole)
    assert done.returncode == 0, done.stderr
    assert listed(folder) == dict.fromkeys("01", "finished")
    assert metrics.is_file()
    assert (folder / "1/.hydra/resume-1").is_dir()


def test_a_job_that_another_process_trains_is_left_to_it(line, place):
    folder = place / "shared"
    (folder / "0").mkdir(parents=True)
    with occupied(folder / "0"):
        done = command("train.py", *line, "seed=1", "trainer.max_epochs=1", f"hydra.sweep.dir={folder}")
    assert done.returncode == 1
    assert "another process is training there" in done.stdout


def test_jobs_of_joblib_fail_alone(line, place):
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="pip install -e .[cluster]")
    folder = place / "joblib"
    side_by_side = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "trainer.max_epochs=1"]
    grid = ["model.decoder_channels=[8],[32,16,16,8,8]", f"hydra.sweep.dir={folder}"]
    whole = [text for text in line if not text.startswith("model.")]
    done = command("train.py", *whole, *side_by_side, *grid)
    assert done.returncode == 1
    assert listed(folder) == {"1": "finished", "0": "failed"}


def test_a_search_goes_on_past_failures_and_is_taken_up_again(line, place):
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper", reason="pip install -e .[optuna]")
    folder = place / "search"
    space = ["hparams_search=optuna", "optimizer.lr=choice(0.2,0.1,0.001)", "trainer.max_epochs=1"]
    whole = [*line, *space, "data.batch_size=choice(4,8)", "loss=cross_entropy", f"hydra.sweep.dir={folder}"]
    whole.remove("data.batch_size=4")
    altered = ["-m", "tests.workflows.altered", "spoilt", "train"]
    first = python(*altered, *whole, "hydra.sweeper.n_trials=4")
    assert first.returncode in (0, 1), first.stderr
    assert sorted(listed(folder)) == ["0", "1", "2", "3"]
    assert (folder / "optuna.db").is_file()
    done_before = [job for job, state in listed(folder).items() if state in ("finished", "diverged")]
    before = {job: contents(folder / job) for job in listed(folder)}

    second = command("train.py", f"sweep={folder}", "hydra.sweeper.n_trials=5")
    assert second.returncode in (0, 1), second.stderr
    assert {job: contents(folder / job) for job in before} == before
    new = [job for job in listed(folder) if job.startswith("2-")]
    assert len(new) == 5 - len(done_before) > 0
    assert "best: python train.py" in second.stdout
