"""The commands as Python functions: the results of the command line, and errors as exceptions."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf

import lss_lightning as lss
from lss_lightning.errors import IncompleteError, UserError
from lss_lightning.labels import LUMBAR
from lss_lightning.phantom.dicom import write_study
from lss_lightning.runs.layout import RunFolder
from lss_lightning.runs.results import read_metrics

QUICK = [
    *("data=phantom", "data.patients=4", "data.image_size=64", "data.channels=t2", "data.num_workers=0"),
    *("encoder=resnet18", "split=patient", "split.val_fraction=0.25", "split.test_fraction=0.25"),
    *("trainer=cpu", "callbacks=quiet"),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> RunFolder:
    folder = tmp_path_factory.mktemp("api")
    run = lss.train([*QUICK, "trainer.max_epochs=1", f"paths.logs={folder}", f"paths.data={folder}/data"])
    assert run.path.is_relative_to(folder)
    return run


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("study") / "study"
    write_study(folder, seed=0, patient=1, image_size=64)
    return folder


def test_import_is_cheap():
    program = "import sys, lss_lightning; print('torch' in sys.modules, lss_lightning.__version__)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", lss.__version__]


def test_every_public_name_exists():
    assert all(getattr(lss, name) is not None for name in lss.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'segment'"):
        lss.segment  # noqa: B018


def test_a_training_leaves_what_the_command_leaves(run):
    metrics = read_metrics(run.path)
    assert metrics["validation"]["epoch"] == 0
    assert run.best_checkpoint.is_file()
    assert run.report_page.is_file()
    stored = OmegaConf.load(run.configuration)
    assert stored.trainer.max_epochs == 1
    assert "hydra" not in stored
    assert "trainer.max_epochs=1" in OmegaConf.load(run.overrides)


def test_a_run_is_resumed_in_its_directory(run):
    resumed = lss.train([f"ckpt_path={run.last_checkpoint}", "trainer.max_epochs=2"])
    assert resumed.path == run.path
    assert len(run.epochs.read_text().splitlines()) == 3
    assert len(run.resumes) == 1


def test_an_evaluation_gives_the_scores_of_the_checkpoint(run):
    tested = lss.evaluate(run.path, ["subset=test", "trainer=cpu", f"paths.logs={run.path.parent}"])
    assert tested.path != run.path
    assert tested.load_metrics()["iou"] == run.load_metrics()["iou"]


def test_a_model_segments_arrays(run):
    model = lss.load(run.path, ["trainer=cpu"])
    assert model.labels == LUMBAR
    assert model.channels == "t2"
    assert "phantom" in model.disclaimer
    image = np.random.default_rng(0).integers(0, 256, (50, 70), dtype=np.uint8)
    spacing = 220 / 64
    result = model.predict(image, spacing)
    assert result.label_map.shape == (50, 70)
    assert result.label_map.dtype == np.uint8
    assert result.probabilities.shape == (6, 50, 70)
    np.testing.assert_allclose(result.probabilities.sum(axis=0), 1, atol=1e-5)
    np.testing.assert_array_equal(result.label_map, result.probabilities.argmax(axis=0))
    np.testing.assert_array_equal(model.predict({"T2": image}, spacing).label_map, result.label_map)
    assert model.predict(image, 2 * spacing).probabilities.shape == (6, 50, 70)
    assert not np.array_equal(model.predict(image, 2 * spacing).probabilities, result.probabilities)


@pytest.mark.parametrize(
    ("image", "spacing", "message"),
    [
        (np.zeros((64, 64)), 1.0, r"float64 array of shape \(64, 64\); give uint8 of shape \(1, height, width\)"),
        (np.zeros((3, 64, 64), np.uint8), 1.0, r"uint8 array of shape \(3, 64, 64\)"),
        ({"T1": np.zeros((64, 64), np.uint8)}, 1.0, "has T1, but the network needs T2"),
        (np.zeros((64, 64), np.uint8), 0.0, "spacing=0.0: out of range"),
    ],
)
def test_another_input_is_refused(run, image, spacing, message):
    with pytest.raises(UserError, match=message):
        lss.load(run.path, ["trainer=cpu"]).predict(image, spacing)


def test_a_study_is_predicted_as_on_the_command_line(run, study, tmp_path):
    settings = ["trainer=cpu", f"paths.logs={tmp_path}/logs"]
    result = lss.predict_study(run.path, study, settings)
    with pytest.raises(IncompleteError, match="nothing is measured"):  # the network is hardly trained
        lss.predict(run.path, study, tmp_path / "out", settings)
    written = json.loads((tmp_path / "out/study_1" / "measurements.json").read_text())
    assert [item["name"] for item in written["slices"]] == [item.name for item in result.slices]
    assert result.slices[0].classes.shape == (64, 64)


def test_a_label_map_is_measured():
    classes = np.full((200, 200), LUMBAR.keys.index("other"), np.uint8)
    classes[60:100, 60:140] = LUMBAR.keys.index("intervertebral_disc")
    classes[105:125, 80:120] = LUMBAR.keys.index("thecal_sac")
    measurements = lss.measure(classes, 0.5)
    assert measurements.sac_area_mm2 == pytest.approx(20 * 40 * 0.25, rel=0.03)
    assert lss.measure(classes, None).sac_area_mm2 is None


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["data.batchsize=4"], "data.batchsize: no such setting; did you mean 'data.batch_size'"),
        (["encoder=resnet19"], "encoder=resnet19: unknown; did you mean"),
        (["trainer.max_epochs=0"], "trainer.max_epochs=0: out of range"),
        (["-m", "seed=1,2"], "-m: only settings can be given to a function"),
        (["sweep=logs"], "sweep=logs: only settings can be given to a function"),
        (["ckpt_path=none.ckpt"], "ckpt_path=none.ckpt: no such file"),
        (["seed=1,2"], "seed=1,2: several values"),
    ],
)
def test_a_mistake_is_an_exception(overrides, message, capsys):
    with pytest.raises(UserError) as error:
        lss.train(overrides)
    assert message in str(error.value)
    assert capsys.readouterr().err == ""
