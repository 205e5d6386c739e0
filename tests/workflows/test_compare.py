"""``compare.py`` on finished runs: names, tables, figures, pairing, and runs that cannot be compared."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from lss_lightning.config.compare import CompareConfig
from lss_lightning.config.validation import build_config
from lss_lightning.errors import UserError
from lss_lightning.runs.results import check_comparable, read_metrics
from lss_lightning.workflows import compare, evaluate, train
from lss_lightning.workflows.comparison.finished_runs import read_runs
from tests.browser import DESKTOP, Open
from tests.conftest import compose_command, configure, write_patients
from tests.workflows.quick_runs import QUICK, rows
from tests.workflows.test_evaluate import evaluation

SECTIONS = ["table-2", "differences", "figure-12", "figure-13", "table-1", "table-3"]


def comparison(*runs: Path, overrides: tuple[str, ...] = ()) -> CompareConfig:
    """Return the checked configuration of a `compare.py` command line."""
    listed = ",".join(f"'{run}'" for run in runs)
    cfg, _ = compose_command("compare", f"runs=[{listed}]", "trainer=cpu", *overrides)
    return build_config(CompareConfig, cfg)


def write_report(folder: Path, *runs: Path, overrides: tuple[str, ...] = ()) -> Path:
    """Compare runs in a new folder and return the report folder."""
    folder.mkdir()
    compare.run(comparison(*runs, overrides=overrides), folder)
    return folder / "report"


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """Ten patients in `tree`, and runs: two on composites, one on T2, one split by image, one evaluation."""
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
    evaluate.run(evaluation(f"ckpt_path={root / 'first/checkpoints/best.ckpt'}", "trainer=cpu"), root / "evaluation")
    (root / "evaluation/.hydra/config.yaml").write_text(
        f"ckpt_path: {root / 'first/checkpoints/best.ckpt'}\ndata: {{name: checkpoint, root: null}}\n"
    )
    return root


@pytest.fixture(scope="module")
def report(root) -> Path:
    return write_report(root / "out", root / "first", root / "second", root / "t2")


def test_runs_get_distinct_names(root):
    runs = read_runs([root / name for name in ("first", "second", "t2", "image", "evaluation")])
    base = "resunet-test_resnet"
    assert [run.name for run in runs] == [
        f"{base}, seed 0, first",
        f"{base}, seed 1, second",
        "of-t2",
        "by-image",
        f"{base}, seed 0, evaluation",
    ]
    parameters = runs[0].result.parameters
    assert parameters is not None
    assert runs[4].result.parameters == parameters > 10_000
    assert [len(run.result.rows) for run in runs] == [2, 1, 1, 1, 0]


def test_report_has_the_tables_and_figures_of_the_paper(report, open_page: Open):
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


def test_differences_match_the_metrics_of_the_runs(root, report):
    with (report / "differences.csv").open(newline="", encoding="utf-8") as stream:
        differences = [row for row in csv.DictReader(stream) if row["score"]]
    assert {row["patients"] for row in differences} == {"3"}
    pairs = [(row["first"], row["second"]) for row in differences]
    assert len(dict.fromkeys(pairs)) == 3  # T2 is paired by patient and level
    metrics = [read_metrics(root / name) for name in ("first", "second")]
    disc = next(row for row in differences if row["score"] == "Intervertebral Disc")
    expected = np.subtract(*(each["iou"]["intervertebral_disc"] for each in metrics))
    assert float(disc["difference"]) == pytest.approx(expected, abs=1e-6)
    assert float(disc["ci95_low"]) <= float(disc["difference"]) <= float(disc["ci95_high"])
    assert float(disc["p_corrected"]) >= float(disc["p"]) > 0


def test_runs_tested_on_other_images_are_not_paired(root, tmp_path):
    report = write_report(tmp_path / "out", root / "first", root / "image")
    text = (report / "comparison.md").read_text()
    assert "Not compared: resunet-test_resnet and by-image were tested on different images: " in text
    assert "only in resunet-test_resnet" in text
    assert len(rows(report / "differences.csv")) == 1  # the note
    assert "| Thecal Sac |" in text  # the tables are there
    assert "by-image: " in text  # its remark on patients in two parts


def test_evaluation_has_no_curves(root, tmp_path):
    report = write_report(tmp_path / "out", root / "first", root / "evaluation", overrides=("examples=1",))
    text = (report / "comparison.md").read_text()
    assert "it is an evaluation" in text
    assert (report / "figure12.png").is_file()
    assert "is not shown" not in text  # the network of the evaluation comes from its checkpoint
    same = [row for row in rows(report / "differences.csv") if row["score"] == "Thecal Sac"]
    assert float(same[0]["difference"]) == 0


def test_evaluations_alone_have_no_figure_12(root, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(root / "evaluation", copy)
    report = write_report(tmp_path / "out", root / "evaluation", copy)
    assert not (report / "figure12.png").exists()
    assert (report / "figure13.png").is_file()


def test_tables_need_no_checkpoints(root, tmp_path):
    for name in ("first", "second"):
        shutil.copytree(root / name, tmp_path / name)
        for path in (tmp_path / name / "checkpoints").iterdir():
            path.unlink()
    report = write_report(tmp_path / "out", tmp_path / "first", tmp_path / "second")
    text = (report / "comparison.md").read_text()
    assert text.count("is not shown: ") == 2
    assert "no such file; restore it" in text
    assert not (report / "figure13.png").exists()
    assert "| Thecal Sac | resunet-test_resnet, first | resunet-test_resnet, second |" in text


def test_missing_data_omits_figure_13(root, tmp_path, monkeypatch):
    (root / "tree").rename(root / "elsewhere")
    try:
        report = write_report(tmp_path / "out", root / "first", root / "second", overrides=("paths.cache=null",))
    finally:
        (root / "elsewhere").rename(root / "tree")
    assert "tree: no such folder" in (report / "comparison.md").read_text()


def test_report_is_not_overwritten(root, report):
    with pytest.raises(UserError, match="already holds a report"):
        compare.run(comparison(root / "first", root / "second"), report.parent)


def test_runs_that_cannot_be_compared_are_refused_in_one_line(root, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(root / "first", copy)
    metrics = json.loads((copy / "metrics.json").read_text())

    def refusal(*runs: Path) -> str:
        with pytest.raises(UserError) as refused:
            check_comparable(runs)
        assert "\n" not in str(refused.value)
        return str(refused.value)

    check_comparable([root / "first", copy])
    other = {**metrics, "iou": {"background": 1.0, "disc": 0.5}}
    (copy / "metrics.json").write_text(json.dumps(other))
    message = f"{copy}: its classes are background, disc, but those of {root / 'first'} are "
    assert message in refusal(root / "first", copy)
    (copy / "metrics.json").write_text("{")
    assert "metrics.json is damaged" in refusal(root / "first", copy)
    (copy / "metrics.json").write_text(json.dumps({**metrics, "schema": 9}))
    assert "not written by this version" in refusal(root / "first", copy)
    (copy / "metrics.json").write_text(json.dumps(metrics))
    (copy / "counts.npz").unlink()
    assert "counts.npz" in refusal(root / "first", copy)
    (copy / "metrics.json").unlink()
    assert "unfinished; resume it with python train.py ckpt_path=" in refusal(root / "first", copy)
    assert "holds 5 runs but is not one itself; give those" in refusal(root / "first", root)
