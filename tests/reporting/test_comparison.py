from __future__ import annotations

import csv
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lss_lightning.labels import LUMBAR, LabelSet
from lss_lightning.metrics import PairedComparison, compare_pooled, iou_and_means, summarise_overlap
from lss_lightning.reporting import style
from lss_lightning.reporting.comparison import (
    Curves,
    Effect,
    ModelScores,
    RunResult,
    SegmentedExample,
    ceiling_table,
    cost_table,
    difference_notes,
    difference_table,
    effect_table,
    plot_figure12,
    plot_figure13,
    plot_protocols,
    protocol_table,
    runs_table,
    table1,
    table2,
    table3,
    write_csv,
    write_differences,
    write_effects,
)
from lss_lightning.reporting.comparison.curves import draw_figure12
from lss_lightning.reporting.comparison.differences import format_p, signed
from lss_lightning.reporting.comparison.protocols import draw_protocols
from lss_lightning.reporting.comparison.segmented import draw_figure13
from lss_lightning.reporting.page import Figure, Page, Prose, Section, Table
from lss_lightning.reporting.page.markdown import write_markdown
from tests.conftest import configure

SETTINGS = configure("experiment=paper_resunet", "data=phantom", "trainer.accumulate_grad_batches=2").plain
TWO = LabelSet.of_codes({"background": 0, "disc": 1}, ["background"])


def counts(patients: int = 4, errors: int = 300) -> np.ndarray:
    each = np.diag([0, 1000 - errors, 800, 900, 1000, 5000])
    each[1, 2] = errors
    return np.stack([each] * patients)


def result(name: str = "ours", **changed) -> RunResult:
    made = counts()
    about = {
        "name": "phantom",
        "subset": "test",
        "protocol": "patient",
        "images": 12,
        "patients": 4,
        "excluded_seen": 0,
        "spacing_mm": 0.6875,
        "remarks": [],
        "disclaimer": "Phantom data: no clinical meaning. Research use only.",
    }
    metrics = {
        "data": about,
        **summarise_overlap(made, [str(place) for place in range(len(made))], LUMBAR),
        "validation": {"objective": 0.5, "epoch": 7},
        "timing": {"train_seconds": 3723.4, "epochs": 10},
        "hardware": {"device": "cpu", "processes": 2, "precision": "bf16-mixed"},
    }
    given = {"metrics": metrics, "settings": SETTINGS, "parameters": 24_436_000, "checkpoint": "best.ckpt", "rows": []}
    return RunResult(name=name, **(given | changed))


def column(table: Table, heading: str) -> dict[str, str]:
    place = list(table.columns).index(heading)
    return {row[0]: row[place] for row in [*table.rows, *table.foot]}


def test_table_2_sets_every_run_beside_the_paper():
    table = table2([result("a"), result("b")], LUMBAR, "caption")
    paper = ["Previous work [5]", "ResUNet (paper)", "Inception+UNet (paper)", "VGG16-UNet (paper)"]
    assert table.columns == ["Class", *paper, "a", "b"]
    assert column(table, "a")["Intervertebral Disc"] == "0.700 [0.700, 0.700]"
    assert column(table, "ResUNet (paper)")["Mean over classes"] == "0.988"
    assert [row[0] for row in table.foot][-1] == "Mean over anatomical classes"


def test_every_column_says_what_it_is():
    table = runs_table([result("a")], LUMBAR)
    assert column(table, "IoU")["ResUNet (paper)"] == "not stated"
    assert column(table, "Split, part")["ResUNet (paper)"] == "1390/155 images"
    assert column(table, "Split, part")["a"] == "patient, test"
    assert column(table, "Tested on")["a"] == "12 slices of 4 patients"
    assert column(table, "IoU")["a"] == "pooled over slices"
    assert [row[0] for row in runs_table([result("a")], TWO).rows] == ["a"]


def test_table_1_reads_the_settings_of_a_run():
    table = table1([result("a"), result("gone", settings=None)], "caption")
    ours = column(table, "a")
    assert ours["Encoder"] == "resnet34"
    assert ours["Optimizer"] == column(table, "Paper: chosen")["Optimizer"] == "Adam"
    assert ours["Learning rate"] == column(table, "Paper: chosen")["Learning rate"] == "0.0001"
    assert ours["Batch size"] == "32"  # 8 × 2 processes × 2 steps
    assert ours["Epochs"] == "200"
    assert ours["Split"] == "Image: val_fraction 0.0, test_fraction 0.1, seed 0"
    assert ours["Augmentation"] == "none"
    assert ours["Pixel"] == "0.6875 mm"
    assert column(table, "Paper: tried")["Batch size"] == "0, 2, 4, 6, 8, 10"
    assert set(column(table, "gone").values()) == {"–"}


def test_cost():
    table = cost_table([result("a"), result("gone", parameters=None, metrics={"data": {}})], "caption")
    assert table.rows[0] == ["a", "24.44", "10", "7", "1:02:03", "372", "2 × cpu, bf16-mixed"]
    assert table.rows[1][1:] == ["–"] * 6


def test_related_work_is_not_comparable(tmp_path):
    table = table3()
    assert len(table.rows) == 5
    assert all(row[-1] for row in table.rows)
    assert "not comparable" in table.caption
    write_csv(table, tmp_path / "table3.csv", "a note")
    with (tmp_path / "table3.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.reader(stream))
    assert rows[0] == list(table.columns)
    assert rows[-1] == ["# a note"]


@pytest.fixture
def pairs() -> list[PairedComparison]:
    found = compare_pooled(counts(4, 300), counts(4, 400), lambda each: iou_and_means(each, LUMBAR))
    return [
        PairedComparison("a", "b", found, "", 4),
        PairedComparison("a", "c", None, "3 slices (x, y, z) only in a", 0),
    ]


def test_differences(pairs, tmp_path):
    table = difference_table(pairs[:1], LUMBAR, "caption")
    assert [row[0] for row in table.rows][-1] == "Mean over anatomical classes"
    disc = next(row for row in table.rows if row[0] == "Intervertebral Disc")
    assert disc[1:5] == ["a", "b", "+0.100", "[+0.100, +0.100]"]
    assert next(row for row in table.rows if row[0] == "Unregistered")[3:] == ["–"] * 4
    write_differences(pairs, LUMBAR, tmp_path / "differences.csv", "note")
    with (tmp_path / "differences.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))[:-1]
    assert len(rows) == len(LUMBAR) + 2
    assert float(rows[1]["difference"]) == pytest.approx(0.1)
    assert {row["patients"] for row in rows} == {"4"}


def test_notes_say_what_was_refused_and_what_chance_allows(pairs):
    notes = difference_notes(pairs)
    assert "Not paired: a and c, tested on other images: 3 slices (x, y, z) only in a." in notes
    assert any("With 4 patients no p below 0.12" in note for note in notes)
    assert difference_notes(pairs[1:]) == [notes[-1]]


@pytest.mark.parametrize(
    ("difference", "shown"), [(0.0123, "+0.012"), (-0.0126, "−0.013"), (0.0001, "0.000"), (math.nan, "–")]
)
def test_differences_carry_their_sign(difference, shown):
    assert signed(difference) == shown


@pytest.mark.parametrize(("p", "shown"), [(0.0004, "< 0.001"), (0.05, "0.050"), (1.0, "1.000"), (math.nan, "–")])
def test_p_values(p, shown):
    assert format_p(p) == shown


def epochs(number: int, loss: float) -> list[dict[str, float]]:
    names = [f"{part}/{score}" for part in ("train", "val") for score in ("loss", "mean_iou", "mean_iou_anatomy")]
    return [
        {"epoch": epoch, **{name: (loss if name.endswith("loss") else 0.8) / (epoch + 1) for name in names}}
        for epoch in range(number)
    ]


def test_figure_12_puts_all_runs_on_the_same_axes(tmp_path):
    runs = [Curves("a", [epochs(5, 2.0)], [3]), Curves("b", [epochs(9, 0.5), epochs(9, 0.4)], [None, 4])]
    figure = draw_figure12(runs, caption="c")
    losses = [axes for axes in figure.axes if axes.get_ylabel() == "Loss"]
    assert [sum("/" in str(line.get_label()) for line in axes.lines) for axes in losses] == [2, 4]
    assert losses[0].get_ylim() == losses[1].get_ylim()
    assert losses[0].get_xlim() == losses[1].get_xlim() == (-0.5, 8.5)
    assert losses[0].get_yscale() == "log"
    plot_figure12([replace(runs[0], title=f"run {place}") for place in range(9)], tmp_path / "many.png", caption="c")
    with Image.open(tmp_path / "many.png") as image:
        assert image.width == round(style.WIDTH * style.DPI)


def test_figure_12_without_a_finite_loss():
    rows = [{"epoch": 0, "train/loss": math.nan, "train/mean_iou": 0.1}]
    figure = draw_figure12([Curves("a", [rows], [None])], caption="c")
    assert [text.get_text() for axes in figure.axes for text in axes.texts] == ["No finite values"]


@pytest.mark.parametrize("models", [1, 3, 9])
def test_figure_13_shows_each_model_of_each_image(models, tmp_path):
    label = np.full((60, 80), 5, dtype=np.uint8)
    label[20:40, 30:60] = 1
    image = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    names = [f"model {place}" for place in range(models)]
    row = SegmentedExample("Best: patient 1", image, label, dict.fromkeys(names, label), dict.fromkeys(names, 0.5))
    row.ious[names[0]] = math.nan
    figure = draw_figure13([row, replace(row, title="Worst: patient 2")], LUMBAR, caption="c")
    seen = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title().strip() for axes in seen] == ["Image", "Label", *names] * 2
    assert [axes.get_xlabel() for axes in seen[:3]] == ["", "", "IoU –"]
    assert len({axes.get_xlim() for axes in seen}) == 1
    plot_figure13([row], LUMBAR, tmp_path / "one.png", caption="c")
    assert (tmp_path / "one.png").stat().st_size > 5000


def model_scores(model: str, published: dict[str, float]) -> ModelScores:
    metrics = {protocol: result().metrics for protocol in ("resubstitution", "image", "patient")}
    return ModelScores(model, metrics, published)


def test_protocols_side_by_side(tmp_path):
    shifts = np.array([[0.9] * 6, [0.8] * 6])
    models = [model_scores("resunet", {"thecal_sac": 0.982, "mean_iou_anatomy": 0.983}), model_scores("other", {})]
    figure = draw_protocols(models, {0.5: shifts[0], 1.0: shifts[1]}, LUMBAR, caption="c")
    assert [axes.get_title() for axes in figure.axes] == ["resunet", "other"]
    names = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert names == ["Intervertebral Disc", "Posterior Element", "Thecal Sac", "AAP", "Mean of these"]
    crosses = [line for line in figure.axes[0].lines if line.get_marker() == "x"]
    assert [float(line.get_xdata()[0]) for line in crosses] == [0.982, 0.983]
    assert not [line for line in figure.axes[1].lines if line.get_marker() == "x"]
    plot_protocols(models, {1.0: shifts[1]}, LUMBAR, tmp_path / "protocols.png", caption="c")
    table = protocol_table(models)
    assert table.columns == ["Model", "Resubstitution", "Image", "Patient", "Paper"]
    assert [row[-1] for row in table.rows] == ["0.983", "–"]


def test_effects(tmp_path):
    difference = np.array([math.nan, 0.1, 0.2, 0.0, -0.05, 0.01, 0.04, 0.06])
    bounds = np.stack((difference - 0.01, difference + 0.01), axis=1)
    effects = [Effect("resunet", difference, bounds), Effect("other", difference, np.full_like(bounds, math.nan))]
    table = effect_table(effects, LUMBAR, "caption")
    assert column(table, "resunet")["Intervertebral Disc"] == "+0.100 [+0.090, +0.110]"
    assert column(table, "other")["AAP"] == "−0.050"
    assert column(table, "resunet")["Unregistered"] == "–"
    assert [row[0] for row in table.foot] == ["Mean over classes", "Mean over anatomical classes"]
    write_effects({"one": effects}, LUMBAR, tmp_path / "effects.csv", "note")
    with (tmp_path / "effects.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))[:-1]
    assert len(rows) == 2 * 8
    assert (rows[1]["difference"], rows[1]["ci95_low"]) == ("0.1", "0.09")


def test_ceilings():
    shifts = np.array([[math.nan, 0.9, 0.8, 0.7, 0.6, 1.0], [math.nan, 0.8, 0.6, 0.4, 0.2, 0.9]])
    table = ceiling_table((0.5, 1.0), shifts, shifts[0], LUMBAR, "caption")
    assert table.columns == ["Class", "Moved by 0.5 px", "Moved by 1 px", "Between labellers"]
    assert table.foot == [["Mean over anatomical classes", "0.750", "0.500", "0.750"]]
    assert table.rows[0] == ["Unregistered", "–", "–", "–"]
    assert len(ceiling_table((0.5, 1.0), shifts, None, LUMBAR, "caption").columns) == 3


def test_markdown_names_its_pictures_from_its_own_folder(tmp_path):
    picture = tmp_path / "pictures" / "a.png"
    picture.parent.mkdir()
    Image.new("RGB", (4, 4)).save(picture)
    blocks = [
        Figure(picture, "A caption", "A square"),
        Table(["x", "y"], [["1|2", "3"]], "A table"),
        Prose("One.\n\nTwo."),
    ]
    page = Page("Title", "Lead.", "Phantom data.", [Section("first", "First", blocks)])
    path: Path = tmp_path / "page.md"
    write_markdown(page, path)
    text = path.read_text(encoding="utf-8")
    assert "![A square](pictures/a.png)\n\n*A caption*" in text
    assert "| 1\\|2 | 3 |" in text
    assert text.startswith("# Title\n\nLead.\n\n**Phantom data.**\n\n## First\n\n")
    with pytest.raises(ValueError, match="no file"):
        write_markdown(replace(page, sections=[Section("x", "X", [Figure(picture.read_bytes(), "c", "alt")])]), path)
