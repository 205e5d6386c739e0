from __future__ import annotations

import json
import os

import pytest

from lss_lightning.errors import DivergenceError, UserError
from lss_lightning.runs.layout import RunFolder
from lss_lightning.sweeps.jobs import (
    JobProcessError,
    JobRecord,
    job_folders,
    read_record,
    record_outcome,
    run_job,
    write_record,
)
from tests.sweeps.made import make_job

JOB = ["optimizer.lr=0.1"]


def failing(error):
    def work(resumed):
        raise error

    return work


def finishing(folder, seen):
    def work(resumed):
        seen.append(resumed)
        (folder / "metrics.json").write_text(json.dumps({"validation": {"objective": 0.75}}))

    return work


@pytest.mark.parametrize(
    ("error", "state", "reason", "objective", "told"),
    [
        (UserError("too big, smaller"), "failed", "too big, smaller", None, "error: job 3: too big, smaller\n"),
        (DivergenceError("not finite"), "diverged", "not finite", 0.0, "error: job 3: not finite\n"),
        (ValueError("a\nbug"), "failed", "ValueError: a bug", None, "Traceback"),
        (JobProcessError(-9), "failed", "its process was killed by signal 9", None, ""),
    ],
)
def test_a_failing_job_is_written_down_and_does_not_end_the_sweep(
    error, state, reason, objective, told, tmp_path, capsys
):
    folder = tmp_path / "3"
    folder.mkdir()
    assert run_job(folder, JOB, failing(error)) == objective
    assert read_record(folder) == JobRecord(JOB, state, reason)
    assert capsys.readouterr().err.startswith(told)


def test_a_signal_ends_the_sweep_and_the_job_stays_unfinished(tmp_path):
    with pytest.raises(SystemExit):
        run_job(tmp_path, JOB, failing(SystemExit(130)))
    assert read_record(tmp_path) == JobRecord(JOB, "running")


@pytest.mark.parametrize(("state", "expected"), [("finished", 0.5), ("diverged", 0.0)])
def test_what_has_ended_is_kept(state, expected, tmp_path, capsys):
    folder = make_job(tmp_path, "0", JOB, 0.5, state)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert run_job(folder, JOB, failing(AssertionError("started"))) == expected
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    assert f"job 0: {state} before, kept" in capsys.readouterr().out


@pytest.mark.parametrize("state", ["running", "failed"])
def test_what_has_a_checkpoint_goes_on_from_it(state, tmp_path):
    folder, seen = make_job(tmp_path, "0", JOB, state=state), []
    (folder / "checkpoints").mkdir()
    last = folder / "checkpoints" / "last.ckpt"
    last.write_text("kept")
    assert run_job(folder, JOB, finishing(folder, seen)) == 0.75
    assert seen == [last]
    assert last.read_text() == "kept"
    assert read_record(folder) == JobRecord(JOB, "finished")


def test_what_has_none_starts_again_and_loses_nothing(tmp_path):
    folder = make_job(tmp_path, "0", JOB, state="failed", reason="memory")
    for attempt in (1, 2):
        write_record(folder, JobRecord(JOB, "failed", "memory"))
        (folder / "metrics.csv").write_text(f"attempt {attempt}")
        (folder / "train.log").write_text("log")
        seen = []
        run_job(folder, JOB, finishing(folder, seen))
        assert seen == [None]
        assert (folder / f"attempt-{attempt}" / "metrics.csv").read_text() == f"attempt {attempt}"
        assert not (folder / "metrics.csv").exists()
        assert (folder / ".hydra" / "config.yaml").is_file()
        assert (folder / "train.log").read_text() == "log"


def test_what_another_process_has_just_begun_is_left_to_it(tmp_path, capsys):
    folder = make_job(tmp_path, "0", JOB, state="running")
    (folder / "metrics.csv").write_text("epoch")
    with RunFolder(folder).locked():
        assert run_job(folder, JOB, failing(AssertionError("started"))) is None
    assert (folder / "metrics.csv").read_text() == "epoch"
    assert read_record(folder) == JobRecord(JOB, "running")
    assert "another process is training there" in capsys.readouterr().err


def test_finished_without_its_metrics_runs_again(tmp_path):
    folder, seen = make_job(tmp_path, "0", JOB, 0.5), []
    (folder / "metrics.json").unlink()
    run_job(folder, JOB, finishing(folder, seen))
    assert seen == [None]
    assert (folder / "attempt-1" / "checkpoints" / "best.ckpt").is_file()


def test_another_job_s_folder_is_refused(tmp_path):
    folder = make_job(tmp_path, "0", ["optimizer.lr=0.2"], 0.5)
    with pytest.raises(UserError, match=r"holds another job, optimizer\.lr=0\.2"):
        run_job(folder, JOB, failing(AssertionError("started")))


def test_a_job_resumed_by_hand_is_settled_and_a_run_of_its_own_is_left_alone(tmp_path):
    folder = make_job(tmp_path, "0", JOB, state="failed", reason="memory")
    with record_outcome(folder):
        pass
    assert read_record(folder) == JobRecord(JOB, "finished")
    with record_outcome(tmp_path):
        pass
    assert read_record(tmp_path) is None


def test_only_the_first_process_of_a_job_says_why_it_failed(tmp_path, monkeypatch):
    folder = make_job(tmp_path, "0", JOB, state="running")
    monkeypatch.setenv("LOCAL_RANK", "1")
    with pytest.raises(UserError), record_outcome(folder):
        raise UserError("the other has gone")
    assert read_record(folder) == JobRecord(JOB, "running")
    monkeypatch.setitem(os.environ, "LOCAL_RANK", "0")
    with pytest.raises(UserError), record_outcome(folder):
        raise UserError("no memory")
    assert read_record(folder) == JobRecord(JOB, "failed", "no memory")


def test_jobs_are_in_the_order_in_which_they_were_begun(tmp_path):
    for name in ("10", "2-1", "9", "0", "2-0", "3-0"):
        make_job(tmp_path, name, JOB)
    (tmp_path / "notes").mkdir()
    assert [path.name for path in job_folders(tmp_path)] == ["0", "9", "10", "2-0", "2-1", "3-0"]
