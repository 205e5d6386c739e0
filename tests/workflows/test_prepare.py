from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.legend import Legend
from matplotlib.text import Text
from PIL import Image

from lss_lightning.config.prepare import PrepareConfig
from lss_lightning.config.validation import build_config
from lss_lightning.data.alkafri_layout import IMAGES, LABELS
from lss_lightning.errors import UserError
from lss_lightning.labels import LUMBAR
from lss_lightning.reporting.inventory import MAX_PANELS, InventoryPanel, draw_contact_sheet
from lss_lightning.workflows import prepare
from tests.cli.commands import REPOSITORY
from tests.conftest import compose_command
from tests.data.archives import pack


@pytest.fixture
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")


@pytest.fixture
def run(tmp_path, capsys, wide):
    """Runs a command line, and returns the inventory, the printed text and the folder."""

    def start(*overrides: str) -> tuple[dict, str, Path]:
        folder = tmp_path / "out"
        folder.mkdir()
        prepare.run(build_config(PrepareConfig, compose_command("prepare", *overrides)[0]), folder)
        return json.loads((folder / "inventory.json").read_text()), capsys.readouterr().out, folder

    return start


def edit(path: Path, change) -> None:
    pixels = np.array(Image.open(path))
    change(pixels)
    Image.fromarray(pixels).save(path)


def record_sheet_titles(monkeypatch) -> list[list[str]]:
    """Return a list to which the titles of each later contact sheet are added."""
    titles: list[list[str]] = []
    original = prepare.plot_contact_sheet

    def plot(panels, *args, **kwargs):
        titles.append([panel.title for panel in panels])
        original(panels, *args, **kwargs)

    monkeypatch.setattr(prepare, "plot_contact_sheet", plot)
    return titles


def test_inventory_split_and_sheet_are_written_and_printed(run, tree, monkeypatch):
    sheets = record_sheet_titles(monkeypatch)
    held, printed, folder = run("data=alkafri", f"data.root={tree}")
    assert held["data"] == {"name": "alkafri", "root": str(tree), "channels": "composite", "protocol": "patient"}
    assert held["slices"] == 30
    with (folder / "split.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [sum(row["part"] == part for row in rows) for part in ("train", "val", "test")] == [24, 3, 3]
    (titles,) = sheets
    assert len(titles) == MAX_PANELS
    assert titles == sorted(titles)
    assert len({title.split()[0] for title in titles}) == 10
    with Image.open(folder / "inventory.png") as image:
        assert image.width == 1065
    for line in (f"alkafri: {tree}", "30 with all images", "D3: 10, D4: 10, D5: 10", "64 × 64, 3.438 mm pixels: 30"):
        assert line in printed
    for name in ("inventory.json", "inventory.png", "split.csv"):
        assert str(folder / name) in printed


def test_findings_are_printed_and_unusable_slices_are_not_drawn(run, tree, monkeypatch):
    sheets = record_sheet_titles(monkeypatch)
    for patient in range(3, 11):
        for path in tree.rglob(f"*_{patient:04d}_*"):
            path.unlink()
    label = tree / LABELS[0]
    edit(label / "L1_0001_D3.png", lambda pixels: pixels[0, :5].fill(77))
    edit(label / "L1_0001_D4.png", lambda pixels: pixels[30:33, 30].fill(0))
    composite = tree / IMAGES["composite"][0]
    (composite / "C1_0001_D5.png").write_bytes(b"\x89PNG")
    (composite / "C1_0002_D3.png").unlink()
    (tree / IMAGES["t1"][0] / "T1_0002_D3.png").unlink()
    held, printed, folder = run("data=alkafri", f"data.root={tree}", "split=resubstitution")
    assert sheets == [["0001 D4", "0002 D4", "0002 D5"]]
    assert held["split"]["train"] == held["split"]["test"] == 5
    for line in (
        "1 × label without composite image",
        "0002_D3",
        "C1_0001_D5.png: not a PNG file",
        "L1_0001_D3.png: 77 (5 px)",
        "0001_D5, 0002_D3, 0002_D4, 0002_D5: label",
        "0001_D4: 3 px",
        "mean over 5 label maps",
    ):
        assert line in printed
    assert (folder / "inventory.png").exists()


def test_duplicates_across_the_split_are_reported(run, tree):
    _, printed, _ = run("data=alkafri", f"data.root={tree}")
    assert "label; IN DIFFERENT PARTS OF THE SPLIT" in printed  # all labels of the tree are equal


def test_data_without_a_usable_slice_has_no_sheet(run, tree):
    for path in (tree / LABELS[0]).iterdir():
        edit(path, lambda pixels: pixels.fill(1))
    held, _, folder = run("data=alkafri", f"data.root={tree}")
    assert len(held["unknown_codes"]) == 30
    assert not (folder / "inventory.png").exists()


def test_too_few_patients_for_the_split_do_not_prevent_an_inventory(run, tree, caplog):
    for patient in range(2, 11):
        for path in tree.rglob(f"*_{patient:04d}_*"):
            path.unlink()
    held, _, folder = run("data=alkafri", f"data.root={tree}")
    assert (held["slices"], held["split"]) == (3, None)
    assert not (folder / "split.csv").exists()
    assert "not split: split=patient: 1 patients leave none" in caplog.text


def test_archive_is_read_in_place(run, tree, tmp_path):
    pack(tree, tmp_path / "data" / "Ground_Truth_Label.zip")
    held, _, _ = run("data=alkafri", f"data.root={tmp_path / 'data'}", "data.channels=t1_t2")
    assert held["slices"] == 30
    assert held["broken"] == []


def test_phantom_is_generated_without_findings(run, tmp_path):
    held, printed, _ = run(f"paths.data={tmp_path}", "data.patients=10", "data.image_size=64")
    assert (held["slices"], held["patients"], held["incomplete_patients"]) == (30, 10, {})
    for finding in ("left_out", "unknown_codes", "broken", "duplicates"):
        assert not held[finding]
    assert "phantom: " in printed


@pytest.mark.parametrize("overrides", [["data.batch_size=0"], ["split.seed=-1"], ["name=../x"], ["data=checkpoint"]])
def test_wrong_settings_are_refused(overrides):
    with pytest.raises(UserError, match=overrides[0].partition("=")[0]):
        build_config(PrepareConfig, compose_command("prepare", *overrides)[0])


def test_sheet_outlines_all_classes_except_the_background(monkeypatch):
    label = np.full((20, 30), 5, dtype=np.uint8)
    label[:3], label[8:12, 10:20], label[9:11, 12:14] = 0, 1, 3
    panels = [InventoryPanel(f"000{number} D3", np.zeros((20, 30, 3), np.uint8), label) for number in range(5)]
    figure = draw_contact_sheet(panels, LUMBAR, caption="Which data")
    assert [axes.get_title() for axes in figure.axes] == [*(panel.title for panel in panels), "", "", ""]
    (legend,) = figure.findobj(Legend)
    assert [text.get_text() for text in legend.get_texts()] == [class_.name for class_ in LUMBAR[:-1]]
    outlined = [tuple(np.asarray(collection.get_edgecolor())[0]) for collection in figure.axes[0].collections]
    assert len(outlined) == len(set(outlined)) == 3
    # The strip at the border is closed along the border: its outline is half a pixel beyond the outermost centres.
    strip = np.asarray(figure.axes[0].collections[0].get_paths()[0].vertices)
    assert strip.min() == -0.5
    assert any(text.get_text() == "Which data" for text in figure.findobj(Text))


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, str(REPOSITORY / "prepare.py"), *arguments]
    return subprocess.run(line, capture_output=True, text=True, cwd=folder)


def test_command_writes_below_logs(tree, tmp_path):
    done = command(tmp_path, "data=alkafri", f"data.root={tree}")
    assert (done.returncode, done.stderr) == (0, "")
    (folder,) = (tmp_path / "logs" / "prepare" / "alkafri").iterdir()
    assert {"inventory.json", "inventory.png", "split.csv"} <= {path.name for path in folder.iterdir()}


def test_user_error_is_one_line_and_leaves_no_files(tmp_path):
    done = command(tmp_path, "data=alkafri", "data.root=nowhere")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: data.root=nowhere: no such folder")
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_real_slices(run, sample):
    held, printed, folder = run("data=alkafri", f"data.root={sample}", "data.channels=t2")
    assert (held["labels"], held["slices"]) == (9, 9)
    for line in ("320 × 320, 0.6875 mm pixels: 3", "256 × 256, 0.8594 mm pixels: 4", "93.01 %", "0.48 %"):
        assert line in printed
    assert (folder / "inventory.png").exists()
