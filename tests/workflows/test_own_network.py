"""A network in the user's own package: training, and the trust that its checkpoint needs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lss_lightning.runs.layout import RunFolder
from tests.conftest import write_slice
from tests.test_security import PROGRAM
from tests.workflows.prediction.studies import write_dicom
from tests.workflows.processes import ROOT

CODE = """
from torch import nn


class TwoLayers(nn.Module):
    def __init__(self, inputs, classes, width=4, stem=None):
        super().__init__()
        self.stem = stem or nn.Identity()
        self.layers = nn.Sequential(nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, classes, 1))

    def forward(self, x):
        return self.layers(self.stem(x))
"""

FILE = """
defaults:
  - custom

_target_: mine.networks.TwoLayers
name: two_layers
inputs: auto_channels
classes: auto_classes
"""

QUICK = ("trainer=cpu", "data.num_workers=0", "callbacks=quiet", "trainer.max_epochs=1", "trainer.precision=32-true")

TRUST = "trust=[mine.networks.TwoLayers]"
REFUSAL = "stored settings may only name classes that this project lists; if you trust this one"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the user's package `mine`, their configuration, and slices of six patients."""
    root = tmp_path_factory.mktemp("own")
    for file, text in (("code/mine/networks.py", CODE), ("code/mine/__init__.py", ""), ("conf/model/two.yaml", FILE)):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text(text)
    for patient in range(1, 7):
        write_slice(root / "tree", f"{patient:04d}", "D4")
    return root


def run_lines(lines: dict[str, list[str]], *folders: Path) -> dict[str, tuple[int, str]]:
    """Run command lines in one process, with folders on PYTHONPATH. Return the exit code and stderr of each."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (ROOT, *folders)))}
    given = json.dumps([[name, *line] for name, line in lines.items()])
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], input=given, capture_output=True, text=True, check=True, env=environment
    )
    results = json.loads(done.stdout)
    assert not any(trace for *_, trace, _ in results), results
    return {name: (code, errors) for name, code, errors, *_ in results}


@pytest.fixture(scope="module")
def results(place: Path) -> dict[str, tuple[int, str]]:
    """The exit code and stderr of each command line."""
    study, best = write_dicom(place / "study"), f"ckpt_path={place}/run/checkpoints/best.ckpt"
    own = [f"--config-dir={place}/conf", "data=alkafri", f"data.root={place}/tree", *QUICK]
    train = ["train", *own, "model=two"]
    light = ["output.seg=false", "output.sr=false", "output.html=false", "output.nifti=false"]
    test, last = ["evaluate", best, "trainer=cpu"], f"ckpt_path={place}/run/checkpoints/last.ckpt"
    predict = ["predict", best, "trainer=cpu", f"input={study}", *light]
    nested = "+model.stem={_target_: torch.nn.Conv2d, in_channels: 3, out_channels: 3, kernel_size: 1}"
    lines = {
        "train": [*train, f"hydra.run.dir={place}/run"],
        "nested": [*train, nested, f"hydra.run.dir={place}/nested"],
        "argument": [*train, "+model.depth=3", f"hydra.run.dir={place}/argument"],
        "classes": [*train, "model.classes=4", f"hydra.run.dir={place}/classes"],
        "missing": [*train, "model._target_=mine.networks.Other", f"hydra.run.dir={place}/missing"],
        "resume": ["train", last, TRUST, "trainer.max_epochs=2"],
        "evaluate": [*test, TRUST, f"hydra.run.dir={place}/evaluated"],
        "evaluate nested": ["evaluate", best.replace("run", "nested"), TRUST, "trainer=cpu"],
        "predict": [*predict, TRUST, f"output.folder={place}/predicted"],
        "evaluate another": [*test, "trust=[mine.networks.Other]"],
    }
    without = {
        "evaluate untrusted": test,
        "predict untrusted": [*predict, f"output.folder={place}/refused"],
        "resume untrusted": ["train", last, "trainer.max_epochs=2"],
        "evaluate without package": [*test, TRUST],
    }
    return {**run_lines(lines, place / "code"), **run_lines(without)}


@pytest.mark.parametrize("name", ["train", "nested", "resume", "evaluate"])
def test_own_networks_are_trained_and_used_once_trusted(results: dict[str, tuple[int, str]], name: str) -> None:
    code, errors = results[name]
    assert not code, errors


def test_the_commands_write_their_results(results: dict[str, tuple[int, str]], place: Path) -> None:
    code, errors = results["predict"]
    assert code == 1  # the network is hardly trained
    assert "nothing is measured" in errors
    before, after = (json.loads((place / name / "metrics.json").read_text()) for name in ("run", "evaluated"))
    assert after["iou"].keys() == before["iou"].keys()
    assert "mine.networks.TwoLayers, inputs 3, classes 6" in RunFolder(place / "run").model_card.read_text()
    assert len(list((place / "predicted/study_1/label_maps").iterdir())) > 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("argument", "model: mine.networks.TwoLayers cannot be instantiated with these settings"),
        ("classes", "model._target_=mine.networks.TwoLayers: returns a tensor (1, 4, 33, 50) for images"),
        ("missing", "model: mine.networks.Other cannot be instantiated"),
        ("evaluate untrusted", f"model._target_=mine.networks.TwoLayers: {REFUSAL}, add {TRUST}"),
        ("evaluate another", f"model._target_=mine.networks.TwoLayers: {REFUSAL}, add {TRUST}"),
        ("evaluate nested", f"model.stem._target_=torch.nn.Conv2d: {REFUSAL}, add trust=[torch.nn.Conv2d]"),
        ("predict untrusted", f"model._target_=mine.networks.TwoLayers: {REFUSAL}, add {TRUST}"),
        ("resume untrusted", f"model._target_=mine.networks.TwoLayers: {REFUSAL}, add {TRUST}"),
        ("evaluate without package", "model._target_=mine.networks.TwoLayers: the package mine is not installed"),
    ],
)
def test_mistakes_and_untrusted_networks_end_in_one_line(
    results: dict[str, tuple[int, str]], name: str, message: str
) -> None:
    code, errors = results[name]
    assert code == 2, errors
    assert message in errors
    assert errors.strip().count("\n") == 0
