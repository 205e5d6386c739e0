from __future__ import annotations

from pathlib import Path

import pytest

from lss_lightning.errors import UserError
from lss_lightning.runs.checkpoints import find_checkpoint_files


def make_run(folder: Path, *names: str) -> Path:
    (folder / "checkpoints").mkdir(parents=True)
    for name in names:
        (folder / "checkpoints" / name).write_text("")
    return folder


def test_a_file_names_itself_and_a_run_its_best_or_else_its_last_checkpoint(tmp_path):
    selected = make_run(tmp_path / "selected", "best.ckpt", "last.ckpt") / "checkpoints"
    unselected = make_run(tmp_path / "unselected", "last.ckpt") / "checkpoints"
    names = [str(selected / "last.ckpt"), str(selected.parent), str(unselected.parent)]
    expected = (selected / "last.ckpt", selected / "best.ckpt", unselected / "last.ckpt")
    assert find_checkpoint_files(names) == expected


def test_a_sweep_names_its_runs_by_number(tmp_path):
    for job in range(11):
        make_run(tmp_path / str(job), "best.ckpt")
    (tmp_path / "report").mkdir()
    (tmp_path / "multirun.yaml").write_text("")
    files = find_checkpoint_files([str(tmp_path)])
    assert [file.parent.parent.name for file in files] == [str(job) for job in range(11)]


def test_paths_without_a_checkpoint_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    make_run(tmp_path / "sweep/0", "best.ckpt")
    (tmp_path / "sweep/1/.hydra").mkdir(parents=True)
    for names, message in (
        ([], "folds=\\[\\]: no checkpoint given"),
        ([str(tmp_path / "nowhere")], "folds=.*nowhere: no such file"),
        ([str(tmp_path / "empty")], "folds=.*empty: neither a run directory nor a sweep directory"),
        ([str(tmp_path / "sweep")], "folds=.*sweep: the run .*1 has no checkpoint"),
        ([str(tmp_path / "sweep/0")] * 2, "folds: .*best.ckpt is given twice"),
    ):
        with pytest.raises(UserError, match=message):
            find_checkpoint_files(names, "folds")
