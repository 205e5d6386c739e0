from __future__ import annotations

import csv
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from lss_lightning.errors import UserError
from lss_lightning.labels import LUMBAR
from lss_lightning.models.ensemble import EnsembleModule
from lss_lightning.models.views import VIEWS
from lss_lightning.phantom import render_slice, write_phantom
from lss_lightning.phantom.source import Phantom
from lss_lightning.stenosis import MEASUREMENTS, measure_slice
from lss_lightning.workflows import train
from lss_lightning.workflows.evaluation.measurements import KINDS, MeasurementCallback
from tests.conftest import configure
from tests.workflows.test_commands import command
from tests.workflows.test_evaluate import score
from tests.workflows.test_train import QUICK

SIZE = 128
PIXEL = 220 / SIZE


def batch_of(*labels):
    return {
        "image": torch.zeros(len(labels), 1, SIZE, SIZE, dtype=torch.uint8),
        "label": torch.from_numpy(np.stack(labels)),
        "index": torch.arange(len(labels)),
        "image_sizes": [(SIZE, SIZE)] * len(labels),
        "label_sizes": [(SIZE, SIZE)] * len(labels),
        "label_spacings": [PIXEL] * len(labels),
    }


def logits_of(label, sure=8.0):
    return sure * nn.functional.one_hot(torch.from_numpy(label).long(), len(LUMBAR)).permute(2, 0, 1).float()


@pytest.fixture(scope="module")
def labels():
    return [render_slice(0, patient, "D4", SIZE).label for patient in (1, 2)]


def run(module, batch, outputs):
    measuring = MeasurementCallback(LUMBAR)
    measuring.on_test_start(None, module)
    measuring.on_test_batch_end(None, module, outputs, batch, 0)
    measuring.on_test_epoch_end(None, module)
    return measuring.values


def test_label_and_prediction_are_measured(labels):
    outputs = torch.stack([logits_of(labels[0]), logits_of(labels[0])])
    values = run(SimpleNamespace(device="cpu"), batch_of(*labels), outputs)
    assert set(values) == set(KINDS)
    for place, label in enumerate(labels):
        expected = measure_slice(label, LUMBAR, (PIXEL, PIXEL)).values()
        np.testing.assert_array_equal(values["label"][place], np.array(list(expected.values()), dtype=float))
    soft = measure_slice(outputs[0].softmax(0).numpy(), LUMBAR, (PIXEL, PIXEL)).values()
    np.testing.assert_array_equal(values["predicted"][1], np.array(list(soft.values()), dtype=float))
    assert np.isnan(values["low"]).all()


def test_padding_is_not_measured(labels):
    padded = batch_of(labels[0])
    padded["label"] = nn.functional.pad(padded["label"], (0, 16, 0, 16), value=255)
    logits = nn.functional.pad(logits_of(labels[0]), (0, 16, 0, 16))[None]
    bare = run(SimpleNamespace(device="cpu"), batch_of(labels[0]), logits_of(labels[0])[None])
    np.testing.assert_array_equal(run(SimpleNamespace(device="cpu"), padded, logits)["predicted"], bare["predicted"])


class _Fixed(nn.Module):
    """A network that gives the same logits for any image."""

    def __init__(self, logits):
        super().__init__()
        self.logits, self.labels = logits, LUMBAR

    def forward(self, image):
        return self.logits


def test_members_give_intervals(labels):
    ensemble = EnsembleModule([_Fixed(logits_of(labels[0], sure)[None]) for sure in (3.0, 8.0)], VIEWS["none"])
    batch = batch_of(labels[0])
    values = run(ensemble, batch, ensemble(batch["image"]))
    given = ~np.isnan(values["predicted"])
    assert given.sum() > 8
    assert (values["low"][given] <= values["predicted"][given]).all()
    assert (values["predicted"][given] <= values["high"][given]).all()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a phantom's run of one epoch, `run`."""
    place = tmp_path_factory.mktemp("measured")
    (place / "run").mkdir()
    settings = ("data=phantom", f"data.root={place}", "data.patients=10", "data.image_size=96", "trainer.max_epochs=1")
    train.run(configure(*settings, *QUICK), place / "run")
    return place


def test_evaluate_writes_the_measurement_table(place, tmp_path):
    found = score(tmp_path / "out", place / "run/checkpoints/best.ckpt", "subset=all")["measurements"]
    assert set(found) == {"against_label", "against_truth", "label_against_truth", "sites"}
    area = found["label_against_truth"]["sac_area_mm2"]
    assert area["slices"] + area["withheld"] == 30
    assert area["slices"] >= 25
    assert abs(area["bias"]) < 5
    assert sum(sum(row.values()) for row in found["sites"]["true_measures_against_truth"].values()) == 30
    report = {path.name for path in (tmp_path / "out/report").iterdir()}
    assert report >= {"measurements.md", "bland_altman.png", "bland_altman_truth.png", "severity.png"}
    page = (tmp_path / "out/report/index.html").read_text()
    low, high = area["limits95"]
    assert f">{area['mae']:.2f} ({area['mae_percent']:.1f} %)</td>" in page
    assert f">{low:+.2f} to {high:+.2f}</td>" in page
    for pair in ("prediction and label", "prediction and truth"):
        assert f'alt="Bland-Altman plots of six measures, {pair}"' in page
    with (tmp_path / "out/measurements.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 30 * len(MEASUREMENTS)
    truth = Phantom(name="phantom", root=str(place), patients=10, image_size=96).truth()
    for row in rows:
        assert float(row["truth"]) == pytest.approx(
            float(truth[f"{row['patient']}_{row['level']}"][row["measure"]]), rel=1e-5
        )


def test_two_processes_measure_what_one_measures(place, tmp_path):
    """On three slices, so that one process has one more than the other."""
    checkpoint, same = place / "run/checkpoints/best.ckpt", ("data.batch_size=2", "trainer.precision=32-true")
    score(tmp_path / "1", checkpoint, *same)
    two_processes = ("trainer=cpu", "trainer.devices=2", f"hydra.run.dir={tmp_path / '2'}")
    done = command("evaluate.py", f"ckpt_path={checkpoint}", *same, *two_processes)
    assert done.returncode == 0, done.stderr
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


def test_measuring_can_be_left_out(place, tmp_path):
    metrics = score(tmp_path / "out", place / "run/checkpoints/best.ckpt", "measurements=false")
    assert "measurements" not in metrics
    assert not (tmp_path / "out/measurements.csv").exists()


def test_notes_are_tabulated_beside_the_measures(place, tmp_path):
    write_phantom(tmp_path / "real", patients=3, image_size=96, seed=5, workers=1)
    notes = (
        "Patient ID,Clinician's Notes\n1,No canal stenosis. Left foraminal narrowing at L4-5.\n2,Muscle spasm.\n99,x\n"
    )
    (tmp_path / "notes.csv").write_text(notes)
    other = ("data=alkafri", f"data.root={tmp_path / 'real'}", f"data.reports={tmp_path / 'notes.csv'}")
    found = score(tmp_path / "out", place / "run/checkpoints/best.ckpt", *other)["measurements"]["reports"]
    assert (found["slices"], found["without"]) == (6, 3)
    said = {
        site: {what: sum(kinds["label"].values()) for what, kinds in rows.items()}
        for site, rows in found["counts"].items()
    }
    assert said == {
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
    assert json.loads((tmp_path / "out/metrics.json").read_text())["measurements"]["reports"] == found


def test_notes_need_measures(place, tmp_path):
    write_phantom(tmp_path / "real", patients=1, image_size=96, seed=5, workers=1)
    (tmp_path / "notes.csv").write_text("Patient ID,Clinician's Notes\n1,x\n")
    other = ("data=alkafri", f"data.root={tmp_path / 'real'}", f"data.reports={tmp_path / 'notes.csv'}")
    with pytest.raises(UserError, match="measurements=true"):
        score(tmp_path / "out", place / "run/checkpoints/best.ckpt", *other, "measurements=false")
