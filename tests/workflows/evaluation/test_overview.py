"""``report/index.html`` of a run in a browser."""

from __future__ import annotations

import json

import pytest

from lss_lightning.labels import LUMBAR
from tests.browser import DESKTOP, PHONE, Open

SECTIONS = (
    *("summary", "classes", "previous", "examples", "confusion", "boundary", "calibration", "by-level", "patients"),
    *("errors", "worst", "facts", "remarks"),
)


@pytest.mark.parametrize("screen", [PHONE, DESKTOP], ids=["phone", "desktop"])
@pytest.mark.parametrize("name", ["train", "evaluate"])
def test_page_has_every_section_and_no_errors(name, screen, runs, open_page: Open):
    opened = open_page(runs / name / "report/index.html", screen)
    expected = {*SECTIONS, "curves" if name == "train" else "measurements"}
    assert set(opened.sections) == expected
    assert (opened.errors, opened.requests, opened.overflow) == ([], [], 0)
    for section in opened.sections:
        assert opened.page.locator(f"#{section} :is(figure, table, dl, p, ul)").count() > 0, section
    unloaded = "images => images.filter(image => !image.naturalWidth || !image.alt).length"
    assert opened.page.locator("figure img").evaluate_all(unloaded) == 0


def test_page_shows_the_scores_of_metrics_json(runs, open_page: Open):
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


def test_patients_and_slices_are_sorted_from_the_worst(runs, open_page: Open):
    opened = open_page(runs / "evaluate/report/index.html", DESKTOP)
    for section, slices in (("patients", 10), ("worst", 30)):
        columns = opened.page.locator(f"#{section} thead th").all_inner_texts()
        column = next(index for index, text in enumerate(columns, 1) if text.startswith("Mean IoU"))
        means = opened.page.locator(f"#{section} tbody td:nth-child({column})").all_inner_texts()
        assert len(means) == slices
        assert [float(mean) for mean in means] == sorted(map(float, means))


def test_page_shows_remarks_and_disclaimer(runs, open_page: Open):
    opened = open_page(runs / "evaluate/report/index.html", DESKTOP)
    for section in ("summary", "remarks"):
        text = opened.page.locator(f"#{section}").inner_text()
        assert "The checkpoint was trained or selected on 24 of these slices." in text
    assert "Research use only" in opened.page.get_by_role("note").inner_text()


def test_page_shows_facts_on_model_data_and_protocol(runs, open_page: Open):
    facts = open_page(runs / "train/report/index.html", DESKTOP).page.locator("#facts").inner_text()
    for fact in ("split by patient", "encoder test_resnet", "Adam, lr 0.0001", "3.4375 mm", "torch 2.", "1 × cpu"):
        assert fact in facts
