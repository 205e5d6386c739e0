"""Whole commands as a user types them, each in its own process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.workflows.processes import ROOT, command, python
from tests.workflows.quick_runs import QUICK, rows


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("commands")


@pytest.fixture(scope="module")
def phantom(root) -> tuple[str, ...]:
    return (f"paths.data={root / 'data'}", f"paths.logs={root / 'logs'}", "data.patients=10", "data.image_size=64")


@pytest.fixture(scope="module")
def run(root, phantom) -> Path:
    """Return the directory of a run of one epoch."""
    folder = root / "run"
    done = command("train.py", *phantom, *QUICK, "trainer.max_epochs=1", f"hydra.run.dir={folder}")
    assert done.returncode == 0, done.stderr
    return folder


def test_evaluate_prints_the_table_and_paths(run, phantom):
    done = command("evaluate.py", *phantom[:2], f"ckpt_path={run}/checkpoints/best.ckpt", "trainer=cpu")
    assert done.returncode == 0, done.stderr
    assert "Thecal Sac" in done.stdout
    assert "Phantom data: no clinical meaning." in done.stdout
    figures = [Path(line) for line in done.stdout.splitlines() if line.endswith(".png")]
    names = {"examples", "worst", "confusion", "boundary_mm", "reliability", "patients", "sizes_mm"}
    assert {path.stem for path in figures} == names | {"bland_altman", "bland_altman_truth", "severity"}
    assert all(path.is_file() for path in figures)


def test_a_run_is_resumed_in_its_own_directory(run):
    first = rows(run / "metrics.csv")
    done = command("train.py", f"ckpt_path={run}/checkpoints/last.ckpt", "trainer.max_epochs=3")
    assert done.returncode == 0, done.stderr
    after = rows(run / "metrics.csv")
    assert after[:1] == first
    assert [row["epoch"] for row in after] == ["0", "1", "2"]
    assert (run / ".hydra/resume-1/config.yaml").is_file()
    assert json.loads((run / "metrics.json").read_text())["timing"]["epochs"] == 3
    assert "for 3 epochs" in (run / "checkpoints/model-card.md").read_text(encoding="utf-8")

    # The next resume uses the configuration of the previous one and has no epochs left to train.
    done = command("train.py", f"ckpt_path={run}/checkpoints/last.ckpt")
    assert done.returncode == 0, done.stderr
    assert rows(run / "metrics.csv") == after


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.upsampling=nearest", "model.upsampling=nearest: the checkpoint's run has transpose"),
        ("seed=5", "seed=5: the checkpoint's run has 0"),
        ("data.patients=11", "data.patients=11: the checkpoint's run has 10"),
        ("split.seed=3", "split.seed=3: the checkpoint's run has 0"),
        ("trainer=gpu", "trainer: a resumed run keeps the files it was started with"),
        ("trainer.max_epoch=4", "did you mean 'trainer.max_epochs'"),
    ],
)
def test_a_resume_with_other_settings_is_refused(run, override, message):
    before = sorted(run.rglob("*"))
    done = command("train.py", f"ckpt_path={run}/checkpoints/last.ckpt", override)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(run.rglob("*")) == before


def test_a_user_error_in_a_job_of_several_processes_is_one_line(root, phantom):
    folder = root / "mistaken"
    arguments = ("-m", "trainer.devices=2", *phantom, *QUICK, f"hydra.sweep.dir={folder}", "model.decoder_channels=[8]")
    done = command("train.py", *arguments)
    assert done.returncode == 1
    assert "decoder_channels has 1" in done.stderr
    assert done.stderr.count("\n") == 1
    [reason] = [line for line in done.stdout.splitlines() if line.startswith("job 0, failed: ")]
    assert "decoder_channels has 1" in reason


def test_folds_are_swept_and_evaluated(root, phantom):
    folder = root / "folds"
    folds = ("-m", "split=kfold", "split.fold=0,1", "split.folds=2")
    done = command("train.py", *folds, *phantom, *QUICK, "trainer.max_epochs=1", f"hydra.sweep.dir={folder}")
    assert done.returncode == 0, done.stderr
    tested = [{row["patient"] for row in rows(folder / job / "split.csv") if row["part"] == "test"} for job in "01"]
    assert [len(part) for part in tested] == [5, 5]
    assert not tested[0] & tested[1]
    out = root / "fold evaluated"
    checkpoint = f"ckpt_path={folder}/1/checkpoints/best.ckpt"
    done = command("evaluate.py", *phantom[:2], checkpoint, "trainer=cpu", f"hydra.run.dir='{out}'")
    assert done.returncode == 0, done.stderr
    about = [json.loads((path / "metrics.json").read_text())["data"] for path in (folder / "1", out)]
    assert about[0] == about[1]
    assert (about[1]["protocol"], about[1]["images"]) == ("kfold", 15)


def test_the_split_of_a_run_can_be_used_by_another(run, root, phantom):
    folder, split_file = root / "by file", root / "given.csv"
    split_file.write_bytes((run / "split.csv").read_bytes())
    by_file = ("split=file", f"split.file={split_file}", f"hydra.run.dir='{folder}'")
    done = command("train.py", *phantom, *QUICK, "trainer.max_epochs=1", *by_file)
    assert done.returncode == 0, done.stderr
    assert "split as in given.csv: train 24, val 3, test 3" in done.stdout
    assert (folder / "split.csv").read_bytes() == split_file.read_bytes()

    split_file.unlink()
    done = command("train.py", f"ckpt_path='{folder}/checkpoints/last.ckpt'", "trainer.max_epochs=2")
    assert done.returncode == 2
    assert done.stderr.startswith(
        f"error: split.file={split_file}: no such file; give a CSV with columns patient,part or"
    )
    assert done.stderr.count("\n") == 1


def test_torchrun_starts_the_processes(root, phantom):
    folder = root / "torchrun"
    torchrun = ("-m", "torch.distributed.run", "--nproc-per-node=2", str(ROOT / "train.py"))
    line = (*torchrun, *phantom, *QUICK, "trainer.devices=2", "trainer.max_epochs=1")
    done = python(*line, f"hydra.run.dir={folder}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("2 × cpu") == 1
    assert json.loads((folder / "metrics.json").read_text())["data"]["images"] == 3
    assert len(rows(folder / "metrics.csv")) == 1
    assert (folder / ".hydra/config.yaml").is_file()
