"""Sweeps as whole commands, with jobs that fail, stop or are killed."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest
from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from lss_lightning.runs.layout import RunFolder
from lss_lightning.workflows.training.precision import STORE
from tests.workflows.processes import command, python
from tests.workflows.quick_runs import QUICK, rows

SWEEP_FILES = {"multirun.yaml", "sweep.yaml", "sweep.md", "sweep.csv"}
MEASURED_FILES = {STORE, f".{STORE}.lock"}  # on a CPU with bf16


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("sweeps")


@pytest.fixture(scope="module")
def line(root, patients) -> list[str]:
    """The command line of a sweep, without the values to sweep over."""
    return ["-m", "data=alkafri", f"data.root={patients}", f"paths.logs={root / 'logs'}", *QUICK]


def train(*arguments: str, changes: str = "skip_figures") -> subprocess.CompletedProcess[str]:
    """Run `train.py`. Jobs draw no figures unless they run in processes of their own."""
    return python("-m", "tests.workflows.altered", changes, "train", *arguments)


def listed(folder: Path) -> dict[str, str]:
    """Return the state of each job in `sweep.csv`."""
    return {row["job"]: row["state"] for row in rows(folder / "sweep.csv")}


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "train.log"}


def test_failed_jobs_are_listed_and_only_they_run_again(line, root):
    folder = root / "failing"
    grid = ["optimizer.lr=0.3,0.2,0.1,0.001", "trainer.max_epochs=1"]
    done = train(*line, *grid, f"hydra.sweep.dir={folder}", changes="fail_by_learning_rate+skip_figures")
    assert done.returncode == 1, done.stderr
    states = {"0": "failed", "1": "failed", "2": "diverged", "3": "finished"}
    assert listed(folder) == states
    reasons = {row["job"]: row["reason"] for row in rows(folder / "sweep.csv")}
    assert reasons["0"].startswith("data.batch_size=4: the device ran out of memory; try data.batch_size=2")
    assert reasons["1"] == "RuntimeError: shapes do not fit"
    assert reasons["2"].startswith("step 1 (epoch 0): the loss is not finite at learning rate 0.1")
    assert done.stderr.count("Traceback") == 1  # of the bug, not of the user errors
    assert f"python train.py sweep={folder}" in done.stdout

    before = {job: contents(folder / job) for job in "23"}
    done = train(f"sweep={folder}")
    assert done.returncode == 0, done.stderr
    assert listed(folder) == states | dict.fromkeys("01", "finished")
    assert {job: contents(folder / job) for job in "23"} == before
    assert done.stdout.count(", kept") == 2
    assert "sweep=" not in (folder / "sweep.md").read_text()


def test_a_killed_sweep_is_resumed_by_the_same_command_line(line, root):
    folder = root / "killed"
    whole = [*line, "trainer.max_epochs=1,2,3", f"hydra.sweep.dir={folder}"]
    killed = train(*whole, changes="send_signal+skip_figures")
    assert killed.returncode == -signal.SIGKILL
    assert sorted(path.name for path in folder.glob("?")) == ["0", "1"]
    kept, last = contents(folder / "0"), (folder / "1/checkpoints/last.ckpt")
    stopped = rows(folder / "1/metrics.csv")
    assert last.is_file()
    assert len(stopped) == 1

    done = train(*whole)
    assert done.returncode == 0, done.stderr
    assert listed(folder) == dict.fromkeys("012", "finished")
    assert contents(folder / "0") == kept
    assert rows(folder / "1/metrics.csv")[:1] == stopped
    assert [json.loads((folder / job / "metrics.json").read_text())["timing"]["epochs"] for job in "012"] == [1, 2, 3]
    assert (folder / "1/.hydra/resume-1/config.yaml").is_file()
    assert OmegaConf.load(folder / "2/.hydra/config.yaml").trainer.max_epochs == 3
    assert "trainer.max_epochs=3" in OmegaConf.load(folder / "2/.hydra/overrides.yaml")

    # A job that was started by the resumed sweep can be resumed by hand.
    done = train(f"ckpt_path={folder}/2/checkpoints/last.ckpt", "trainer.max_epochs=4")
    assert done.returncode == 0, done.stderr

    before = contents(folder)
    done = command("train.py", *whole[:-2], "trainer.max_epochs=1,2", whole[-1])
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {folder}: holds another sweep, ")
    assert done.stderr.count("\n") == 1
    assert contents(folder) == before


class RecordObjectives(Callback):
    """Appends what each job returns to the sweeper to a file."""

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: object) -> None:
        with (Path(config.hydra.sweep.dir) / "objectives.txt").open("a") as stream:
            print(job_return.return_value, file=stream)


def test_each_job_has_its_own_folder_devices_and_objective_also_when_resumed(line, root):
    folder = root / "devices"
    record = "+hydra.callbacks.record._target_=tests.workflows.test_sweep_commands.RecordObjectives"
    done = train(*line, "trainer.devices=2,1", "trainer.max_epochs=1", f"hydra.sweep.dir={folder}", record)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in folder.iterdir()} - MEASURED_FILES == {"0", "1", "objectives.txt", *SWEEP_FILES}
    objectives = [json.loads((folder / job / "metrics.json").read_text())["validation"]["objective"] for job in "01"]
    assert [float(line) for line in (folder / "objectives.txt").read_text().split()] == objectives
    assert ["2 × cpu" in line for line in done.stdout.splitlines() if "× cpu" in line] == [True, False]
    assert not (root / "logs/train").exists()
    assert OmegaConf.load(folder / "0/.hydra/config.yaml").trainer.devices == 2

    stopped, metrics = folder / "0/job.json", folder / "0/metrics.json"
    stopped.write_text(stopped.read_text().replace("finished", "running"))
    metrics.unlink()
    done = train(f"sweep={folder}")
    assert done.returncode == 2
    assert f"{record}: this setting can run code; if you trust it, give it again on the command line" in done.stderr
    done = train(f"sweep={folder}", record)
    assert done.returncode == 0, done.stderr
    assert "2 × cpu" in done.stdout
    assert listed(folder) == dict.fromkeys("01", "finished")
    assert metrics.is_file()
    assert (folder / "0/.hydra/resume-1").is_dir()


def test_a_job_that_another_process_trains_is_left_alone(line, root):
    folder = root / "shared"
    (folder / "0").mkdir(parents=True)
    with RunFolder(folder / "0").locked():
        done = command("train.py", *line, "seed=1", "trainer.max_epochs=1", f"hydra.sweep.dir={folder}")
    assert done.returncode == 1
    assert "another process is training there" in done.stdout


@pytest.mark.parametrize("launcher", ["submitit_local", "joblib"])
def test_parallel_jobs_fail_independently(launcher, line, root):
    plugin = launcher.partition("_")[0]
    pytest.importorskip(f"hydra_plugins.hydra_{plugin}_launcher", reason="pip install -e .[cluster]")
    folder = root / launcher
    grid = ["model.decoder_channels=[8],[32,16,16,8,8]", "trainer.max_epochs=1", f"hydra.sweep.dir={folder}"]
    whole = [text for text in line if not text.startswith("model.")]
    done = command("train.py", *whole, f"hydra/launcher={launcher}", *grid)
    assert done.returncode == 1, done.stderr
    assert {path.name for path in folder.iterdir()} - {".submitit", *MEASURED_FILES} == {"0", "1", *SWEEP_FILES}
    assert listed(folder) == {"1": "finished", "0": "failed"}
    assert (folder / "1/metrics.json").is_file()
    assert done.stdout.count(", failed: encoder test_resnet has stride 32") == 1
