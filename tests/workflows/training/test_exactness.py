"""The same run gives the same bits, however many processes read its data and however often it is stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from lss_lightning.errors import UserError
from lss_lightning.models.checkpoint import NetworkSpec, read_checkpoint
from lss_lightning.models.segmentation import SegmentationModule
from lss_lightning.runs.layout import RunFolder
from lss_lightning.workflows import train
from lss_lightning.workflows.training.checkpoint_io import AtomicCheckpointIO
from tests.workflows.altered import struck
from tests.workflows.test_commands import command, python
from tests.workflows.test_train import QUICK, rows, start

EXACT = ("trainer.precision=32-true", "augmentation=default", "data.batch_size=5")


def content(run: Path) -> dict:
    return read_checkpoint(run / "checkpoints/last.ckpt")


def assert_equal(one: object, other: object, path: str = "") -> None:
    """Nested plain data and tensors are the same, bit by bit."""
    assert type(one) is type(other), path
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other), path
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), path
        for key in one:
            assert_equal(one[key], other[key], f"{path}/{key}")
    elif isinstance(one, list):
        assert len(one) == len(other), path
        for index, pair in enumerate(zip(one, other, strict=True)):
            assert_equal(*pair, f"{path}/{index}")
    else:
        assert one == other, path


def assert_same_run(one: Path, other: Path) -> None:
    for part in ("state_dict", "optimizer_states", "lr_schedulers", "epoch", "global_step"):
        assert_equal(content(one)[part], content(other)[part], part)
    assert (one / "metrics.csv").read_bytes() == (other / "metrics.csv").read_bytes()


@pytest.fixture
def dropout(monkeypatch):
    """Networks that draw random numbers in every training step."""
    build = NetworkSpec.build

    def with_dropout(*arguments):
        network = build(*arguments)
        network.head.register_forward_pre_hook(lambda head, x: F.dropout(x[0], 0.3, network.training))
        return network

    monkeypatch.setattr(NetworkSpec, "build", with_dropout)


@pytest.fixture
def untested(monkeypatch):
    """Runs end after training."""
    monkeypatch.setattr(train, "_test", lambda *_: (None, None))


def test_workers_change_no_bit(dropout, untested, tree, tmp_path):
    for workers in range(3):
        start(tmp_path / str(workers), tree, *EXACT, "trainer.max_epochs=2", f"data.num_workers={workers}")
    for workers in (1, 2):
        assert_same_run(tmp_path / "0", tmp_path / str(workers))


def resume(run: Path, tree: Path, *overrides: str) -> None:
    (run / ".hydra").mkdir(exist_ok=True)
    start(run, tree, *EXACT, *overrides, f"ckpt_path={run}/checkpoints/last.ckpt")


def test_resume_goes_on_as_if_never_stopped(dropout, untested, tree, tmp_path):
    schedule = ("scheduler=cosine", "scheduler.T_max=4", "optimizer=sgd")
    start(tmp_path / "whole", tree, *EXACT, *schedule, "trainer.max_epochs=4")
    start(tmp_path / "parts", tree, *EXACT, *schedule, "trainer.max_epochs=2")
    resume(tmp_path / "parts", tree, *schedule, "trainer.max_epochs=3")
    resume(tmp_path / "parts", tree, *schedule, "trainer.max_epochs=4")
    assert_same_run(tmp_path / "whole", tmp_path / "parts")


@pytest.fixture
def alkafri(tree) -> tuple[str, ...]:
    return ("data=alkafri", f"data.root={tree}", *QUICK, *EXACT)


def test_sigkill_in_the_middle_of_an_epoch_costs_that_epoch_only(alkafri, tree, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    start(whole, tree, *EXACT, "trainer.max_epochs=3")
    line = ("train", *alkafri, "trainer.max_epochs=3", f"hydra.run.dir={killed}")
    ended = python("-m", "tests.workflows.altered", "struck", *line)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert [row["epoch"] for row in rows(killed / "metrics.csv")] == ["0"]
    assert not (killed / "metrics.json").exists()
    resumed = command("train.py", f"ckpt_path={killed}/checkpoints/last.ckpt")
    assert resumed.returncode == 0, resumed.stderr
    assert_same_run(whole, killed)
    scores = [json.loads((run / "metrics.json").read_text()) for run in (whole, killed)]
    assert scores[0]["iou"] == scores[1]["iou"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_polite_signal_ends_with_the_way_to_go_on(number, code, untested, tree, tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        patch.setattr(SegmentationModule, "training_step", SegmentationModule.training_step)
        struck(number)
        # A shell that runs the tests in the background has Ctrl-C ignored.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        with pytest.raises(SystemExit) as ended:
            start(tmp_path / "run", tree, *EXACT, "trainer.max_epochs=3")
    signal.signal(signal.SIGINT, before)
    assert ended.value.code == code
    last = tmp_path / "run/checkpoints/last.ckpt"
    assert (
        f"stopped by {number.name} in epoch 1: go on with python train.py ckpt_path={last}" in capsys.readouterr().err
    )
    assert content(tmp_path / "run")["epoch"] == 0
    resume(tmp_path / "run", tree, "trainer.max_epochs=3")
    start(tmp_path / "whole", tree, *EXACT, "trainer.max_epochs=3")
    assert_same_run(tmp_path / "whole", tmp_path / "run")


def test_rows_past_the_checkpoint_are_dropped(untested, tree, tmp_path):
    """As after a kill between the writing of metrics.csv and that of the checkpoint."""
    run = tmp_path / "run"
    start(run, tree, *EXACT, "trainer.max_epochs=1")
    early = (run / "checkpoints/last.ckpt").read_bytes()
    resume(run, tree, "trainer.max_epochs=2")
    expected = (run / "metrics.csv").read_bytes()
    (run / "checkpoints/last.ckpt").write_bytes(early)
    resume(run, tree, "trainer.max_epochs=2")
    assert (run / "metrics.csv").read_bytes() == expected


def test_a_kill_while_a_checkpoint_is_written_leaves_the_earlier_one(tmp_path, monkeypatch):
    path = tmp_path / "checkpoints/last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"epoch": 0}, path)
    before = path.read_bytes()

    def killed(checkpoint, stream):
        stream.write(b"half of it")
        stream.flush()
        os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:
        monkeypatch.setattr(torch, "save", killed)
        AtomicCheckpointIO().save_checkpoint({"epoch": 1}, path)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    assert path.read_bytes() == before
    AtomicCheckpointIO().save_checkpoint({"epoch": 2}, path)
    assert torch.load(path, weights_only=True) == {"epoch": 2}
    assert list(path.parent.iterdir()) == [path]


def test_a_second_run_in_the_same_folder_is_refused_until_the_first_has_died(untested, tree, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    program = (
        "import sys, time, filelock; lock = filelock.FileLock(sys.argv[1]); lock.acquire(); print(1); time.sleep(60)"
    )
    line = [sys.executable, "-u", "-c", program, str(run / ".lock")]
    with subprocess.Popen(line, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline()
        with pytest.raises(UserError, match="another process is training there"):
            start(run, tree, *EXACT, "trainer.max_epochs=1")
        assert not (run / "checkpoints").exists()
        other.kill()
    start(run, tree, *EXACT, "trainer.max_epochs=1")
    assert (run / "checkpoints/last.ckpt").is_file()


def test_a_resumed_run_keeps_its_folder_too(untested, tree, tmp_path):
    start(tmp_path / "run", tree, *EXACT, "trainer.max_epochs=1")
    with RunFolder(tmp_path / "run").locked(), pytest.raises(UserError, match="another process is training there"):
        resume(tmp_path / "run", tree, "trainer.max_epochs=2")
    assert not list((tmp_path / "run/.hydra").iterdir())
