from __future__ import annotations

import csv

import pytest

from lss_lightning.sweeps.job_records import DIVERGED, FAILED, PRUNED, RUNNING
from lss_lightning.workflows.sweep import summarise_sweep
from tests.sweeps.fake_sweeps import DISCLAIMER, make_grid, make_job


@pytest.fixture(autouse=True)
def _wide_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")


def test_summary_prints_and_writes_table_figures_and_commands(tmp_path, capsys):
    folder = make_grid(tmp_path / "sweep", (0.1, 0.01, 0.001), (2, 4))
    assert summarise_sweep(folder) == 0
    printed = capsys.readouterr().out
    text = (folder / "sweep.md").read_text()
    for page in (printed, text):
        assert "best: python train.py optimizer.lr=0.001 data.batch_size=4 data.patients=10" in page
        assert f"its checkpoint: {folder}/5/checkpoints/best.ckpt" in page
        assert "step 3 (epoch 0): the loss is not finite" in page
        assert DISCLAIMER in page
        assert "0.539" in page
        assert "0.98" not in page  # the test score
        assert "sweep=" not in page
    with (folder / "sweep.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["job"] for row in rows] == ["5", "3", "4", "2", "0", "1"]
    assert rows[0]["objective"] == "0.539"
    assert rows[0]["checkpoint"] == "5/checkpoints/best.ckpt"
    assert (rows[-1]["state"], rows[-1]["objective"]) == ("diverged", "")
    assert "mean_iou_anatomy" not in rows[0]
    assert {path.name for path in folder.glob("*.png")} == {"heat_map.png", "parallel.png"}


def test_repeated_settings_are_listed_above_their_jobs(tmp_path, capsys):
    for number, (rate, seed, score) in enumerate([(0.1, 1, 0.5), (0.1, 2, 0.7), (0.2, 1, 0.4), (0.2, 2, 0.4)]):
        make_job(tmp_path, str(number), [f"optimizer.lr={rate}", f"seed={seed}"], score)
    assert summarise_sweep(tmp_path) == 0
    printed = capsys.readouterr().out
    lines = (tmp_path / "sweep.md").read_text().splitlines()
    assert "Mean and sample standard deviation over seed:" in lines
    assert "| 1 | 0.1 | 0.600 | 0.141 | 2 |" in lines
    assert "| 2 | 0.2 | 0.400 | 0.000 | 2 |" in lines
    assert sum(line.startswith("| 0 | 0.1 | 1 | 0.500 |") for line in lines) == 1
    assert "best: python train.py -m optimizer.lr=0.1 seed=1,2" in printed
    assert not list(tmp_path.glob("*.png"))  # a figure needs two parameters


@pytest.mark.parametrize(("models", "names"), [(("resunet",), "folds={0}"), (("a", "b"), "'folds=[{0}/0/")])
def test_summary_of_folds_prints_the_command_that_evaluates_them(models, names, tmp_path, capsys):
    number = 0
    for model in models:
        for fold in range(2):
            overrides = [f"model={model}", "split=kfold", f"split.fold={fold}"]
            make_job(tmp_path, str(number), overrides, 0.9 - 0.1 * number)
            number += 1
    assert summarise_sweep(tmp_path) == 0
    [line] = [line for line in capsys.readouterr().out.splitlines() if "python evaluate.py" in line]
    assert names.format(tmp_path) in line
    assert line.count("best.ckpt") in (0, 2)


def test_without_an_objective_jobs_are_listed_and_no_setting_is_best(tmp_path, capsys):
    for number, rate in enumerate((0.1, 0.2)):
        make_job(tmp_path, str(number), [f"optimizer.lr={rate}", "split=image"], None)
    assert summarise_sweep(tmp_path) == 0
    printed = capsys.readouterr().out
    assert "No objective: the split has no validation set" in printed
    assert "best:" not in printed
    assert printed.count("finished") == 2


@pytest.mark.parametrize(
    ("states", "code"),
    [
        (["finished", "finished"], 0),
        (["finished", DIVERGED], 0),
        (["finished", PRUNED], 0),
        ([PRUNED, PRUNED], 1),
        ([DIVERGED, DIVERGED], 1),
        (["finished", FAILED], 1),
        (["finished", RUNNING], 1),
        ([], 1),
    ],
)
def test_exit_code_depends_on_the_states_of_the_jobs(states, code, tmp_path, capsys):
    for number, state in enumerate(states):
        make_job(tmp_path, str(number), [f"seed={number}"], 0.5, state)
    assert summarise_sweep(tmp_path) == code
    again = {FAILED, RUNNING} & set(states)
    assert (f"python train.py sweep={tmp_path}" in capsys.readouterr().out) is bool(again)


def test_best_command_includes_the_user_configuration_folder(tmp_path, capsys):
    make_job(tmp_path, "0", ["hparams_search=mine"], 0.5)
    (tmp_path / "sweep.yaml").write_text("flags: [--config-dir=/my files]")
    summarise_sweep(tmp_path)
    assert "best: python train.py '--config-dir=/my files' hparams_search=mine\n" in capsys.readouterr().out


def test_best_command_is_quoted_for_the_shell(tmp_path, capsys):
    for number, channels in enumerate(("[32,16]", "[8,8]")):
        make_job(tmp_path, str(number), [f"model.decoder_channels={channels}", "name='my run'"], 0.5 - 0.1 * number)
    summarise_sweep(tmp_path)
    assert """python train.py 'model.decoder_channels=[32,16]' 'name='"'"'my run'"'"''""" in capsys.readouterr().out
