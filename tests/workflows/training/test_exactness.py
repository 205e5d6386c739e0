"""Runs are reproducible bit by bit, with any number of data loader workers, and after any interruption."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest
import torch.nn.functional as F

from lss_lightning.errors import UserError
from lss_lightning.models.segmentation import SegmentationModule
from lss_lightning.models.specs import UNetSpec
from lss_lightning.runs.layout import RunFolder
from tests.workflows.altered import send_signal
from tests.workflows.processes import command, python
from tests.workflows.quick_runs import QUICK, rows, start
from tests.workflows.training.resuming import EXACT, assert_same_run, content, resume


@pytest.fixture
def dropout(monkeypatch):
    """Build networks that draw random numbers in every training step."""
    build = UNetSpec.build

    def with_dropout(*arguments):
        network = build(*arguments)
        network.head.register_forward_pre_hook(lambda head, x: F.dropout(x[0], 0.3, network.training))
        return network

    monkeypatch.setattr(UNetSpec, "build", with_dropout)


def test_the_number_of_workers_does_not_change_the_result(dropout, untested, tree, tmp_path):
    for workers in range(3):
        start(tmp_path / str(workers), tree, *EXACT, "trainer.max_epochs=2", f"data.num_workers={workers}")
    for workers in (1, 2):
        assert_same_run(tmp_path / "0", tmp_path / str(workers))


def test_a_resumed_run_equals_an_uninterrupted_one(dropout, untested, tree, tmp_path):
    schedule = ("scheduler=cosine", "scheduler.T_max=4", "optimizer=sgd")
    start(tmp_path / "whole", tree, *EXACT, *schedule, "trainer.max_epochs=4")
    start(tmp_path / "parts", tree, *EXACT, *schedule, "trainer.max_epochs=2")
    resume(tmp_path / "parts", tree, *schedule, "trainer.max_epochs=3")
    resume(tmp_path / "parts", tree, *schedule, "trainer.max_epochs=4")
    assert_same_run(tmp_path / "whole", tmp_path / "parts")


@pytest.mark.parametrize(
    "schedule",
    [
        ("scheduler=warmup_cosine", "scheduler.total=12", "scheduler.warmup=2"),
        ("scheduler=one_cycle", "scheduler.total_steps=20", "optimizer=sgd", "optimizer.momentum=0.8"),
        ("scheduler=plateau", "scheduler.patience=0", "+scheduler.threshold=1", "metrics=kappa"),
        ("scheduler=polynomial", "scheduler.interval=step", "scheduler.total_iters=15"),
    ],
    ids=lambda schedule: schedule[0],
)
def test_every_schedule_resumes_exactly(schedule, untested, tree, tmp_path):
    start(tmp_path / "whole", tree, *EXACT, *schedule, "trainer.max_epochs=3")
    start(tmp_path / "parts", tree, *EXACT, *schedule, "trainer.max_epochs=1")
    resume(tmp_path / "parts", tree, *schedule, "trainer.max_epochs=3")
    assert_same_run(tmp_path / "whole", tmp_path / "parts")
    rates = [row["lr"] for row in rows(tmp_path / "whole/metrics.csv")]
    assert len(set(rates)) > 1


def test_a_schedule_that_has_ended_is_explained(untested, tree, tmp_path):
    schedule = ("scheduler=one_cycle", "trainer.limit_train_batches=1")
    start(tmp_path, tree, *EXACT, *schedule, "trainer.max_epochs=2")
    with pytest.raises(UserError, match=r"^scheduler: Tried to step .* choose another one, or start a new run$"):
        resume(tmp_path, tree, *schedule, "trainer.max_epochs=4")


@pytest.fixture
def alkafri(tree) -> tuple[str, ...]:
    return ("data=alkafri", f"data.root={tree}", *QUICK, *EXACT)


def test_sigkill_in_the_middle_of_an_epoch_loses_that_epoch_only(alkafri, tree, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    start(whole, tree, *EXACT, "trainer.max_epochs=3")
    line = ("train", *alkafri, "trainer.max_epochs=3", f"hydra.run.dir={killed}")
    ended = python("-m", "tests.workflows.altered", "send_signal", *line)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert [row["epoch"] for row in rows(killed / "metrics.csv")] == ["0"]
    assert not (killed / "metrics.json").exists()
    resumed = command("train.py", f"ckpt_path={killed}/checkpoints/last.ckpt")
    assert resumed.returncode == 0, resumed.stderr
    assert_same_run(whole, killed)
    scores = [json.loads((run / "metrics.json").read_text()) for run in (whole, killed)]
    assert scores[0]["iou"] == scores[1]["iou"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_sigterm_and_ctrl_c_print_how_to_resume(number, code, untested, tree, tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        patch.setattr(SegmentationModule, "training_step", SegmentationModule.training_step)
        send_signal(number)
        # A shell that runs the tests in the background makes them ignore Ctrl-C.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        with pytest.raises(SystemExit) as ended:
            start(tmp_path / "run", tree, *EXACT, "trainer.max_epochs=3")
    signal.signal(signal.SIGINT, before)
    assert ended.value.code == code
    last = tmp_path / "run/checkpoints/last.ckpt"
    assert (
        f"stopped by {number.name} in epoch 1: resume with python train.py ckpt_path={last}" in capsys.readouterr().err
    )
    assert content(tmp_path / "run")["epoch"] == 0
    resume(tmp_path / "run", tree, "trainer.max_epochs=3")
    start(tmp_path / "whole", tree, *EXACT, "trainer.max_epochs=3")
    assert_same_run(tmp_path / "whole", tmp_path / "run")


def test_rows_of_epochs_after_the_checkpoint_are_dropped(untested, tree, tmp_path):
    """The process may be killed after it has written metrics.csv and before it writes the checkpoint."""
    run = tmp_path / "run"
    start(run, tree, *EXACT, "trainer.max_epochs=1")
    early = (run / "checkpoints/last.ckpt").read_bytes()
    resume(run, tree, "trainer.max_epochs=2")
    expected = (run / "metrics.csv").read_bytes()
    (run / "checkpoints/last.ckpt").write_bytes(early)
    resume(run, tree, "trainer.max_epochs=2")
    assert (run / "metrics.csv").read_bytes() == expected


def test_a_second_run_in_the_same_directory_is_refused_while_the_first_is_running(untested, tree, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    program = (
        "import sys, time, filelock; lock = filelock.FileLock(sys.argv[1]); lock.acquire(); print(1); time.sleep(60)"
    )
    line = [sys.executable, "-u", "-c", program, str(run / ".lock")]
    with subprocess.Popen(line, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline()
        with pytest.raises(UserError, match="another process is training there"):
            start(run, tree, *EXACT, "trainer.max_epochs=1")
        assert not (run / "checkpoints").exists()
        other.kill()
    start(run, tree, *EXACT, "trainer.max_epochs=1")
    assert (run / "checkpoints/last.ckpt").is_file()


def test_a_resumed_run_locks_its_directory_as_well(untested, tree, tmp_path):
    start(tmp_path / "run", tree, *EXACT, "trainer.max_epochs=1")
    with RunFolder(tmp_path / "run").locked(), pytest.raises(UserError, match="another process is training there"):
        resume(tmp_path / "run", tree, "trainer.max_epochs=2")
    assert not list((tmp_path / "run/.hydra").iterdir())
