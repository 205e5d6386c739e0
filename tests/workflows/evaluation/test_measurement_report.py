"""Measurements in the files and the page that ``evaluate.py`` writes."""

from __future__ import annotations

import csv
import json

import pytest

from lss_lightning.errors import UserError
from lss_lightning.labels import LUMBAR
from lss_lightning.phantom import render_slice, write_phantom
from lss_lightning.phantom.source import Phantom
from lss_lightning.stenosis import MEASUREMENTS, measure_slice
from lss_lightning.workflows import train
from tests.conftest import configure
from tests.workflows.processes import command
from tests.workflows.quick_runs import QUICK
from tests.workflows.test_evaluate import score


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A folder with `run`, a training on a phantom for one epoch."""
    root = tmp_path_factory.mktemp("measured")
    (root / "run").mkdir()
    settings = ("data=phantom", f"data.root={root}", "data.patients=10", "data.image_size=96", "trainer.max_epochs=1")
    train.run(configure(*settings, *QUICK), root / "run")
    return root


def test_evaluate_writes_tables_and_figures_of_measurements(root, tmp_path):
    summary = score(tmp_path / "out", root / "run/checkpoints/best.ckpt", "subset=all")["measurements"]
    assert set(summary) == {"against_label", "against_truth", "label_against_truth", "sites"}
    area = summary["label_against_truth"]["sac_area_mm2"]
    assert area["slices"] + area["withheld"] == 30
    assert area["slices"] >= 25
    assert abs(area["bias"]) < 5
    assert sum(sum(row.values()) for row in summary["sites"]["true_measures_against_truth"].values()) == 30
    report = {path.name for path in (tmp_path / "out/report").iterdir()}
    assert report >= {"measurements.md", "bland_altman.png", "bland_altman_truth.png", "severity.png"}
    page = (tmp_path / "out/report/index.html").read_text()
    low, high = area["limits95"]
    assert f">{area['mae']:.2f} ({area['mae_percent']:.1f} %)</td>" in page
    assert f">{low:+.2f} to {high:+.2f}</td>" in page
    for pair in ("prediction and label", "prediction and truth"):
        assert f'alt="Bland-Altman plots of six measurements, {pair}"' in page
    with (tmp_path / "out/measurements.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 30 * len(MEASUREMENTS)
    truth = Phantom(name="phantom", root=str(root), patients=10, image_size=96).read_truth()
    for row in rows:
        assert float(row["truth"]) == pytest.approx(
            float(truth[f"{row['patient']}_{row['level']}"][row["measure"]]), rel=1e-5
        )


def test_two_processes_measure_the_same_as_one(root, tmp_path):
    """Three slices, so one process has one more than the other."""
    checkpoint, same = root / "run/checkpoints/best.ckpt", ("data.batch_size=2", "trainer.precision=32-true")
    score(tmp_path / "1", checkpoint, *same)
    two_processes = ("trainer=cpu", "trainer.devices=2", f"hydra.run.dir={tmp_path / '2'}")
    process = command("evaluate.py", f"ckpt_path={checkpoint}", *same, *two_processes)
    assert process.returncode == 0, process.stderr
    tables = []
    for name in ("1", "2"):
        with (tmp_path / name / "measurements.csv").open(newline="") as stream:
            tables.append(list(csv.DictReader(stream)))
    one, two = tables
    assert len(one) == len(two) == 3 * len(MEASUREMENTS)
    assert sum(row["label"] != "" for row in one) > 20
    for first, second in zip(one, two, strict=True):
        exact = ("patient", "level", "digest", "measure", "label", "truth")
        assert [first[key] for key in exact] == [second[key] for key in exact]


def test_measurements_can_be_turned_off(root, tmp_path):
    metrics = score(tmp_path / "out", root / "run/checkpoints/best.ckpt", "measurements=false")
    assert "measurements" not in metrics
    assert not (tmp_path / "out/measurements.csv").exists()


def test_notes_are_tabulated_beside_the_measurements(root, tmp_path):
    write_phantom(tmp_path / "real", patients=3, image_size=96, seed=5, workers=1)
    notes = (
        "Patient ID,Clinician's Notes\n1,No canal stenosis. Left foraminal narrowing at L4-5.\n2,Muscle spasm.\n99,x\n"
    )
    (tmp_path / "notes.csv").write_text(notes)
    other = ("data=alkafri", f"data.root={tmp_path / 'real'}", f"data.reports={tmp_path / 'notes.csv'}")
    summary = score(tmp_path / "out", root / "run/checkpoints/best.ckpt", *other)["measurements"]["reports"]
    assert (summary["slices"], summary["without"]) == (6, 3)
    label_counts = {
        site: {statement: sum(kinds["label"].values()) for statement, kinds in rows.items()}
        for site, rows in summary["counts"].items()
    }
    assert label_counts == {
        "central": {"yes": 0, "no": 3, "nothing": 3},
        "left": {"yes": 1, "no": 0, "nothing": 5},
        "right": {"yes": 0, "no": 0, "nothing": 6},
    }
    with (tmp_path / "out/reports.csv").open(newline="") as stream:
        rows = {(row["patient"], row["level"]): row for row in csv.DictReader(stream)}
    assert rows["0001", "D4"]["note_left"] == "yes"
    label = render_slice(5, 1, "D4", 96).label
    expected = measure_slice(label, LUMBAR, (220 / 96, 220 / 96)).foramen_left_mm
    assert float(rows["0001", "D4"]["label_foramen_left_mm"]) == pytest.approx(expected, abs=0.01)
    assert "left foraminal narrowing" in rows["0001", "D4"]["statements"]
    assert "Muscle spasm" not in (tmp_path / "out/metrics.json").read_text()
    assert json.loads((tmp_path / "out/metrics.json").read_text())["measurements"]["reports"] == summary


def test_notes_need_measurements(root, tmp_path):
    write_phantom(tmp_path / "real", patients=1, image_size=96, seed=5, workers=1)
    (tmp_path / "notes.csv").write_text("Patient ID,Clinician's Notes\n1,x\n")
    other = ("data=alkafri", f"data.root={tmp_path / 'real'}", f"data.reports={tmp_path / 'notes.csv'}")
    with pytest.raises(UserError, match="measurements=true"):
        score(tmp_path / "out", root / "run/checkpoints/best.ckpt", *other, "measurements=false")
