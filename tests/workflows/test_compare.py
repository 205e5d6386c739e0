from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from lss_lightning.config.compare import CompareConfig, compare_config
from lss_lightning.errors import UserError
from lss_lightning.runs.results import read_metrics, refuse_incomparable
from lss_lightning.workflows import compare, evaluate, train
from lss_lightning.workflows.comparison.finished import read_runs
from tests.browser import DESKTOP, Open
from tests.conftest import compose_command, configure, write_patients
from tests.workflows.test_evaluate import evaluation
from tests.workflows.test_train import QUICK, rows

SECTIONS = ["table-2", "differences", "figure-12", "figure-13", "table-1", "table-3"]


def comparison(*runs: Path, overrides: tuple[str, ...] = ()) -> CompareConfig:
    listed = ",".join(f"'{run}'" for run in runs)
    return compare_config(compose_command("compare", f"runs=[{listed}]", "trainer=cpu", *overrides)[0])


def make(folder: Path, *runs: Path, overrides: tuple[str, ...] = ()) -> Path:
    folder.mkdir()
    compare.run(comparison(*runs, overrides=overrides), folder)
    return folder / "report"


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A tree of ten patients, and runs: two of composites, one of T2, one by image, an evaluation of the first."""
    root = tmp_path_factory.mktemp("compared")
    write_patients(root / "tree")
    for name, overrides in {
        "first": ("trainer.max_epochs=2", "split.test_fraction=0.3"),
        "second": ("trainer.max_epochs=1", "split.test_fraction=0.3", "seed=1"),
        "t2": ("trainer.max_epochs=1", "split.test_fraction=0.3", "data.channels=t2", "name=of-t2"),
        "image": ("trainer.max_epochs=1", "split=image", "name=by-image"),
    }.items():
        (root / name).mkdir()
        config = configure("data=alkafri", f"data.root={root / 'tree'}", *QUICK, *overrides)
        train.run(config, root / name)
    (root / "evaluation" / ".hydra").mkdir(parents=True)
    config = evaluation(f"ckpt_path={root / 'first/checkpoints/best.ckpt'}", "trainer=cpu")
    evaluate.run(config, root / "evaluation")
    (root / "evaluation/.hydra/config.yaml").write_text(
        f"ckpt_path: {root / 'first/checkpoints/best.ckpt'}\ndata: {{name: checkpoint, root: null}}\n"
    )
    return root


@pytest.fixture(scope="module")
def report(place) -> Path:
    return make(place / "out", place / "first", place / "second", place / "t2")


def test_names_tell_runs_apart(place):
    runs = read_runs([place / name for name in ("first", "second", "t2", "image", "evaluation")])
    base = "resunet-test_resnet"
    assert [run.name for run in runs] == [
        f"{base}, seed 0, first",
        f"{base}, seed 1, second",
        "of-t2",
        "by-image",
        f"{base}, seed 0, evaluation",
    ]
    assert runs[0].result.parameters == runs[4].result.parameters > 10_000
    assert [len(run.result.rows) for run in runs] == [2, 1, 1, 1, 0]


def test_report_holds_the_paper_s_tables_and_figures(report, open_page: Open):
    assert {path.name for path in report.iterdir()} == {
        *("index.html", "comparison.md", "figure12.png", "figure13.png", "differences.csv"),
        *("table1.csv", "table2.csv", "table3.csv", "cost.csv"),
    }
    opened = open_page(report / "index.html", DESKTOP)
    assert opened.sections == SECTIONS
    assert opened.errors == []
    assert opened.requests == []
    text = (report / "comparison.md").read_text()
    assert "![Test slices with label and each model's prediction](figure13.png)" in text
    assert "Previous work [5]" in text
    assert "not comparable" in text
    assert "Research use only" in text


def test_differences_are_those_of_the_runs_own_figures(place, report):
    with (report / "differences.csv").open(newline="", encoding="utf-8") as stream:
        found = [row for row in csv.DictReader(stream) if row["score"]]
    assert {row["patients"] for row in found} == {"3"}
    pairs = [(row["first"], row["second"]) for row in found]
    assert len(dict.fromkeys(pairs)) == 3  # T2 too, by patient and level
    metrics = [read_metrics(place / name) for name in ("first", "second")]
    disc = next(row for row in found if row["score"] == "Intervertebral Disc")
    expected = np.subtract(*(each["iou"]["intervertebral_disc"] for each in metrics))
    assert float(disc["difference"]) == pytest.approx(expected, abs=1e-6)
    assert float(disc["ci95_low"]) <= float(disc["difference"]) <= float(disc["ci95_high"])
    assert float(disc["p_corrected"]) >= float(disc["p"]) > 0


def test_runs_tested_on_other_images_are_not_paired_and_it_is_said(place, tmp_path):
    report = make(tmp_path / "out", place / "first", place / "image")
    text = (report / "comparison.md").read_text()
    assert "Not paired: resunet-test_resnet and by-image, tested on other images: " in text
    assert "only in resunet-test_resnet" in text
    assert len(rows(report / "differences.csv")) == 1  # the note
    assert "| Thecal Sac |" in text  # the tables stand
    assert "by-image: " in text  # its remark: patients on both sides


def test_an_evaluation_has_no_curves(place, tmp_path):
    report = make(tmp_path / "out", place / "first", place / "evaluation", overrides=("examples=1",))
    text = (report / "comparison.md").read_text()
    assert "is an evaluation" in text
    assert (report / "figure12.png").is_file()
    assert "is not shown" not in text  # the evaluation's network comes from its checkpoint
    same = [row for row in rows(report / "differences.csv") if row["score"] == "Thecal Sac"]
    assert float(same[0]["difference"]) == 0


def test_only_evaluations_have_no_figure_12(place, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(place / "evaluation", copy)
    report = make(tmp_path / "out", place / "evaluation", copy)
    assert not (report / "figure12.png").exists()
    assert (report / "figure13.png").is_file()


def test_without_checkpoints_the_tables_still_stand(place, tmp_path):
    for name in ("first", "second"):
        shutil.copytree(place / name, tmp_path / name)
        for path in (tmp_path / name / "checkpoints").iterdir():
            path.unlink()
    report = make(tmp_path / "out", tmp_path / "first", tmp_path / "second")
    text = (report / "comparison.md").read_text()
    assert text.count("is not shown: ") == 2
    assert "no longer there" in text
    assert not (report / "figure13.png").exists()
    assert "| Thecal Sac | resunet-test_resnet, first | resunet-test_resnet, second |" in text


def test_data_that_is_gone_or_changed_leaves_figure_13_out(place, tmp_path, monkeypatch):
    (place / "tree").rename(place / "elsewhere")
    try:
        report = make(tmp_path / "out", place / "first", place / "second", overrides=("paths.cache=null",))
    finally:
        (place / "elsewhere").rename(place / "tree")
    assert "tree: no such folder" in (report / "comparison.md").read_text()


def test_a_report_is_not_overwritten(place, report):
    with pytest.raises(UserError, match="already holds a report"):
        compare.run(comparison(place / "first", place / "second"), report.parent)


def test_what_cannot_be_compared_is_refused_in_a_line(place, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(place / "first", copy)
    metrics = json.loads((copy / "metrics.json").read_text())

    def refusal(*runs: Path) -> str:
        with pytest.raises(UserError) as refused:
            refuse_incomparable(runs)
        assert "\n" not in str(refused.value)
        return str(refused.value)

    refuse_incomparable([place / "first", copy])
    other = {**metrics, "iou": {"background": 1.0, "disc": 0.5}}
    (copy / "metrics.json").write_text(json.dumps(other))
    assert f"{copy}: its classes, background, disc, are not those of {place / 'first'}" in refusal(
        place / "first", copy
    )
    (copy / "metrics.json").write_text("{")
    assert "metrics.json is damaged" in refusal(place / "first", copy)
    (copy / "metrics.json").write_text(json.dumps({**metrics, "schema": 9}))
    assert "not as this version writes it" in refusal(place / "first", copy)
    (copy / "metrics.json").write_text(json.dumps(metrics))
    (copy / "counts.npz").unlink()
    assert "counts.npz" in refusal(place / "first", copy)
    (copy / "metrics.json").unlink()
    assert "unfinished; go on with it: python train.py ckpt_path=" in refusal(place / "first", copy)
    assert "it holds 5 runs, but is none; give those" in refusal(place / "first", place)
