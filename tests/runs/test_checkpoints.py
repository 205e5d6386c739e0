from __future__ import annotations

from pathlib import Path

import pytest

from lss_lightning.errors import UserError
from lss_lightning.runs.checkpoints import checkpoint_files


def run(folder: Path, *names: str) -> Path:
    (folder / "checkpoints").mkdir(parents=True)
    for name in names:
        (folder / "checkpoints" / name).write_text("")
    return folder


def test_a_file_stands_for_itself_and_a_run_for_its_best_or_else_its_last(tmp_path):
    one = run(tmp_path / "one", "best.ckpt", "last.ckpt") / "checkpoints"
    two = run(tmp_path / "two", "last.ckpt") / "checkpoints"
    named = [str(one / "last.ckpt"), str(one.parent), str(two.parent)]
    assert checkpoint_files(named) == (one / "last.ckpt", one / "best.ckpt", two / "last.ckpt")


def test_a_sweep_stands_for_its_runs_by_number(tmp_path):
    for job in range(11):
        run(tmp_path / str(job), "best.ckpt")
    (tmp_path / "report").mkdir()
    (tmp_path / "multirun.yaml").write_text("")
    assert [file.parent.parent.name for file in checkpoint_files([str(tmp_path)])] == [str(job) for job in range(11)]


def test_what_holds_no_checkpoint_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    run(tmp_path / "sweep/0", "best.ckpt")
    (tmp_path / "sweep/1/.hydra").mkdir(parents=True)
    for named, says in (
        ([], "folds=\\[\\]: names no checkpoint"),
        ([str(tmp_path / "nowhere")], "folds=.*nowhere: no such file"),
        ([str(tmp_path / "empty")], "folds=.*empty: neither a run's folder nor a sweep's"),
        ([str(tmp_path / "sweep")], "folds=.*sweep: the run .*1 holds no checkpoint"),
        ([str(tmp_path / "sweep/0")] * 2, "folds: names .*best.ckpt twice"),
    ):
        with pytest.raises(UserError, match=says):
            checkpoint_files(named, "folds")
