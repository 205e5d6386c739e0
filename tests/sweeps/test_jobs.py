from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from lss_lightning.errors import DivergenceError, PrunedError, UserError
from lss_lightning.runs.layout import RunFolder
from lss_lightning.sweeps.job_records import JobRecord, read_record, write_record
from lss_lightning.sweeps.jobs import JobProcessError, record_outcome, run_job
from tests.sweeps.fake_sweeps import make_job

JOB = ["optimizer.lr=0.1"]


def fail_with(error):
    def work(resumed):
        raise error

    return work


def finish(folder, resumes):
    """Return work that appends the checkpoint that it resumes from to a list, and finishes."""

    def work(resumed):
        resumes.append(resumed)
        (folder / "metrics.json").write_text(json.dumps({"validation": {"objective": 0.75}}))

    return work


@pytest.mark.parametrize(
    ("error", "state", "reason", "objective", "printed"),
    [
        (UserError("too big, smaller"), "failed", "too big, smaller", None, "error: job 3: too big, smaller\n"),
        (DivergenceError("not finite"), "diverged", "not finite", 0.0, "error: job 3: not finite\n"),
        (PrunedError("stopped"), "pruned", "stopped", None, ""),
        (ValueError("a\nbug"), "failed", "ValueError: a bug", None, "Traceback"),
        (JobProcessError(-9), "failed", "its process was killed by signal 9", None, ""),
    ],
)
def test_a_failing_job_is_recorded_and_does_not_end_the_sweep(
    error, state, reason, objective, printed, tmp_path, capsys
):
    folder = tmp_path / "3"
    folder.mkdir()
    assert run_job(folder, JOB, fail_with(error)) == objective
    assert read_record(folder) == JobRecord(JOB, state, reason)
    assert capsys.readouterr().err.startswith(printed)


def test_a_signal_ends_the_sweep_and_the_job_stays_unfinished(tmp_path):
    with pytest.raises(SystemExit):
        run_job(tmp_path, JOB, fail_with(SystemExit(130)))
    assert read_record(tmp_path) == JobRecord(JOB, "running")


@pytest.mark.parametrize(("state", "expected"), [("finished", 0.5), ("diverged", 0.0), ("pruned", None)])
def test_a_job_that_has_ended_is_kept(state, expected, tmp_path, capsys):
    folder = make_job(tmp_path, "0", JOB, 0.5, state)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert run_job(folder, JOB, fail_with(AssertionError("started"))) == expected
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    assert f"job 0: already {state}, kept" in capsys.readouterr().out


@pytest.mark.parametrize("state", ["running", "failed"])
def test_a_job_with_a_checkpoint_is_resumed_from_it(state, tmp_path):
    folder = make_job(tmp_path, "0", JOB, state=state)
    resumes: list[Path | None] = []
    (folder / "checkpoints").mkdir()
    last = folder / "checkpoints" / "last.ckpt"
    last.write_text("kept")
    assert run_job(folder, JOB, finish(folder, resumes)) == 0.75
    assert resumes == [last]
    assert last.read_text() == "kept"
    assert read_record(folder) == JobRecord(JOB, "finished")


def test_a_job_without_a_checkpoint_starts_again_and_keeps_its_files(tmp_path):
    folder = make_job(tmp_path, "0", JOB, state="failed", reason="memory")
    for attempt in (1, 2):
        write_record(folder, JobRecord(JOB, "failed", "memory"))
        (folder / "metrics.csv").write_text(f"attempt {attempt}")
        (folder / "train.log").write_text("log")
        resumes: list[Path | None] = []
        run_job(folder, JOB, finish(folder, resumes))
        assert resumes == [None]
        assert (folder / f"attempt-{attempt}" / "metrics.csv").read_text() == f"attempt {attempt}"
        assert not (folder / "metrics.csv").exists()
        assert (folder / ".hydra" / "config.yaml").is_file()
        assert (folder / "train.log").read_text() == "log"


def test_a_job_that_another_process_runs_is_left_alone(tmp_path, capsys):
    folder = make_job(tmp_path, "0", JOB, state="running")
    (folder / "metrics.csv").write_text("epoch")
    with RunFolder(folder).locked():
        assert run_job(folder, JOB, fail_with(AssertionError("started"))) is None
    assert (folder / "metrics.csv").read_text() == "epoch"
    assert read_record(folder) == JobRecord(JOB, "running")
    assert "another process is training there" in capsys.readouterr().err


def test_a_finished_job_without_metrics_runs_again(tmp_path):
    folder = make_job(tmp_path, "0", JOB, 0.5)
    resumes: list[Path | None] = []
    (folder / "metrics.json").unlink()
    run_job(folder, JOB, finish(folder, resumes))
    assert resumes == [None]
    assert (folder / "attempt-1" / "checkpoints" / "best.ckpt").is_file()


def test_the_directory_of_another_job_is_refused(tmp_path):
    folder = make_job(tmp_path, "0", ["optimizer.lr=0.2"], 0.5)
    with pytest.raises(UserError, match=r"holds another job, optimizer\.lr=0\.2"):
        run_job(folder, JOB, fail_with(AssertionError("started")))


def test_the_outcome_of_a_job_resumed_by_hand_is_recorded_and_a_single_run_has_no_record(tmp_path):
    folder = make_job(tmp_path, "0", JOB, state="failed", reason="memory")
    with record_outcome(folder):
        pass
    assert read_record(folder) == JobRecord(JOB, "finished")
    with record_outcome(tmp_path):
        pass
    assert read_record(tmp_path) is None


def test_only_the_first_process_of_a_job_records_a_failure(tmp_path, monkeypatch):
    folder = make_job(tmp_path, "0", JOB, state="running")
    monkeypatch.setenv("LOCAL_RANK", "1")
    with pytest.raises(UserError), record_outcome(folder):
        raise UserError("the other has gone")
    assert read_record(folder) == JobRecord(JOB, "running")
    monkeypatch.setitem(os.environ, "LOCAL_RANK", "0")
    with pytest.raises(UserError), record_outcome(folder):
        raise UserError("no memory")
    assert read_record(folder) == JobRecord(JOB, "failed", "no memory")
