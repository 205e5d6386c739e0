"""The example of a package outside lss_lightning: train, resume, evaluate and predict with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lss_lightning.runs.layout import RunFolder
from tests.workflows.processes import ROOT
from tests.workflows.quick_runs import rows

EXAMPLE = ROOT / "examples/extension"
CLASSES = [
    *("network.DilatedNet", "loss.GeneralisedCrossEntropy", "data.EllipseSource", "split.LeaveOneOut"),
    *("metric.VolumetricSimilarity", "callback.EpochCounter", "logger.JsonLinesLogger"),
]
TRUST = f"trust=[{','.join(f'spine_extension.{name}' for name in CLASSES)}]"


def run(folder: Path, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{EXAMPLE}"}
    line = [sys.executable, "-m", "lss_lightning", command, *arguments]
    return subprocess.run(line, capture_output=True, text=True, check=False, timeout=300, env=environment, cwd=folder)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """The working directory of a training with every class of the example, of two epochs, in `run`."""
    folder = tmp_path_factory.mktemp("extension")
    line = (f"--config-dir={EXAMPLE / 'conf'}", "experiment=extension", "trainer.max_epochs=2", "hydra.run.dir=run")
    done = run(folder, "train", *line)
    assert done.returncode == 0, done.stderr
    return folder


def test_every_class_takes_part_in_a_training(trained):
    result = RunFolder(trained / "run")
    metrics = json.loads(result.metrics.read_text())
    assert metrics["data"]["name"] == "ellipses"
    assert metrics["data"]["protocol"] == "leave_one_out"
    assert 0 < metrics["metrics"]["volumetric_similarity"] <= 1
    epochs = rows(result.epochs)
    assert [float(epoch["epochs_trained"]) for epoch in epochs] == [1, 2]
    assert all("val/volumetric_similarity" in epoch for epoch in epochs)
    [log] = (trained / "run").rglob("log.jsonl")
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert "settings" in lines[0]
    assert [line["epoch"] for line in lines if "train/loss" in line] == [0, 1]
    assert "spine_extension.network.DilatedNet" in result.model_card.read_text()


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("train", ["ckpt_path=run/checkpoints/last.ckpt", "trainer.max_epochs=3"]),
        ("evaluate", ["ckpt_path=run", "trainer=cpu"]),
        ("predict", ["ckpt_path=run", "input=pictures", "output=refused", "trainer=cpu"]),
    ],
)
def test_a_checkpoint_from_elsewhere_names_classes_to_trust(trained, command, arguments):
    (trained / "pictures").mkdir(exist_ok=True)
    done = run(trained, command, *arguments)
    assert done.returncode == 2
    [message] = done.stderr.strip().splitlines()
    assert "add trust=[spine_extension." in message


def test_a_run_is_resumed_with_the_state_of_its_callback(trained):
    done = run(trained, "train", "ckpt_path=run/checkpoints/last.ckpt", "trainer.max_epochs=3", TRUST)
    assert done.returncode == 0, done.stderr
    epochs = rows(RunFolder(trained / "run").epochs)
    assert [float(epoch["epochs_trained"]) for epoch in epochs] == [1, 2, 3]


def test_a_checkpoint_is_evaluated(trained):
    line = ("ckpt_path=run", "trainer=cpu", TRUST, "hydra.run.dir=evaluation")
    done = run(trained, "evaluate", *line)
    assert done.returncode == 0, done.stderr
    both = [json.loads(RunFolder(trained / name).metrics.read_text()) for name in ("run", "evaluation")]
    assert both[0]["iou"] == both[1]["iou"]


def test_a_picture_is_segmented(trained):
    pictures = trained / "pictures"
    pictures.mkdir(exist_ok=True)
    Image.open(trained / "data/ellipses/image_000_0.png").save(pictures / "slice.png")
    done = run(trained, "predict", "ckpt_path=run", "input=pictures", "output=out", "trainer=cpu", TRUST)
    assert done.returncode in (0, 1), done.stderr
    [label_map] = (trained / "out").rglob("label_maps/*.png")
    assert np.asarray(Image.open(label_map)).shape[:2] == (64, 64)
