"""``report/index.html`` of a run, as a browser shows it, and the model card beside its checkpoint."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from lss_lightning.labels import LUMBAR
from lss_lightning.workflows import evaluate, train
from tests.browser import DESKTOP, PHONE, Open
from tests.conftest import configure, write_patients
from tests.workflows.test_evaluate import evaluation
from tests.workflows.test_train import QUICK

SECTIONS = (
    *("summary", "classes", "previous", "examples", "confusion", "boundary", "calibration", "by-level", "patients"),
    *("errors", "worst", "facts", "remarks"),
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """A folder with a run `train` that tests two patients of ten, and its evaluation on all slices, `evaluate`."""
    root = tmp_path_factory.mktemp("runs")
    write_patients(root / "tree")
    for name in ("train", "evaluate"):
        (root / name).mkdir()
    data = ("data=alkafri", f"data.root={root / 'tree'}")
    train.run(configure(*data, *QUICK, "split.test_fraction=0.2", "trainer.max_epochs=2"), root / "train")
    asked = evaluation(f"ckpt_path={root}/train/checkpoints/best.ckpt", "trainer=cpu", "subset=all")
    evaluate.run(asked, root / "evaluate")
    return root


@pytest.mark.parametrize("screen", [PHONE, DESKTOP], ids=["phone", "desktop"])
@pytest.mark.parametrize("name", ["train", "evaluate"])
def test_every_section_is_there_and_nothing_is_wrong(name, screen, runs, open_page: Open):
    opened = open_page(runs / name / "report/index.html", screen)
    expected = {*SECTIONS, "curves" if name == "train" else "measurements"}
    assert set(opened.sections) == expected
    assert (opened.errors, opened.requests, opened.overflow) == ([], [], 0)
    for section in opened.sections:
        assert opened.page.locator(f"#{section} :is(figure, table, dl, p, ul)").count() > 0, section
    unloaded = "images => images.filter(image => !image.naturalWidth || !image.alt).length"
    assert opened.page.locator("figure img").evaluate_all(unloaded) == 0


def test_it_says_the_figures_of_metrics_json(runs, open_page: Open):
    metrics = json.loads((runs / "train/metrics.json").read_text())
    opened = open_page(runs / "train/report/index.html", DESKTOP)
    summary = opened.page.locator("#summary").inner_text()
    assert f"{metrics['mean_iou_anatomy']:.3f}" in summary
    low, high = metrics["mean_iou_anatomy_ci95"]
    assert f"95 % interval {low:.3f} to {high:.3f}" in summary
    rows = opened.page.locator("#classes table >> nth=0 >> tbody tr").all_inner_texts()
    for label, row in zip(LUMBAR, rows, strict=True):
        score = metrics["iou"][label.key]
        assert row.startswith(label.name)
        assert (f"{score:.3f}" if score is not None else "–") in row


def test_patients_and_slices_are_ranked_from_the_worst(runs, open_page: Open):
    opened = open_page(runs / "evaluate/report/index.html", DESKTOP)
    for section, slices in (("patients", 10), ("worst", 30)):
        columns = opened.page.locator(f"#{section} thead th").all_inner_texts()
        place = next(place for place, text in enumerate(columns) if text.startswith("Mean IoU"))
        means = opened.page.locator(f"#{section} tbody td:nth-child({place + 1})").all_inner_texts()
        assert len(means) == slices
        assert [float(mean) for mean in means] == sorted(map(float, means))


def test_remarks_and_disclaimer_are_on_it(runs, open_page: Open):
    opened = open_page(runs / "evaluate/report/index.html", DESKTOP)
    for section in ("summary", "remarks"):
        text = opened.page.locator(f"#{section}").inner_text()
        assert "The checkpoint was trained or selected on 24 of these slices." in text
    assert "Research use only" in opened.page.get_by_role("note").inner_text()


def test_facts_tell_model_data_and_protocol(runs, open_page: Open):
    facts = open_page(runs / "train/report/index.html", DESKTOP).page.locator("#facts").inner_text()
    for fact in ("split by patient", "encoder test_resnet", "Adam, lr 0.0001", "3.4375 mm", "torch 2.", "1 × cpu"):
        assert fact in facts


def test_a_model_card_lies_beside_the_checkpoint(runs):
    checkpoints = runs / "train/checkpoints"
    text = (checkpoints / "model-card.md").read_text(encoding="utf-8")
    metrics = json.loads((runs / "train/metrics.json").read_text())
    low, high = metrics["iou_ci95"]["thecal_sac"]
    for fact in (
        hashlib.sha256((checkpoints / "best.ckpt").read_bytes()).hexdigest(),
        "**Research use only. Not a medical device.**",
        "alkafri, split by patient",
        "Part test: 6 slices of 2 patients.",
        "Selected by: the part val",
        f"{metrics['iou']['thecal_sac']:.3f} [{low:.3f}, {high:.3f}]",
        "Tested on 6 slices of 2 patients",
        "Code: Apache-2.0.",
        "Data: CC BY 4.0.",
        "Altun",
        "Sudirman",
        "Training time: 0:00:0",
        "torch 2.",
    ):
        assert fact in text
    assert str(runs) not in text  # where files lay is nobody's business


def test_an_evaluation_writes_no_model_card(runs):
    assert not list((runs / "evaluate").rglob("model-card.md"))
