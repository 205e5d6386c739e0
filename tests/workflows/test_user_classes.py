"""A user's package with a loss, data source, split and metric, and YAML files of its own, in every command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lss_lightning.labels import LUMBAR
from tests.workflows.processes import ROOT
from tests.workflows.quick_runs import QUICK, rows

PACKAGE = '''
from dataclasses import dataclass
from pathlib import Path

import torch
from torchmetrics import Metric

from lss_lightning.data.slices import Slice
from lss_lightning.data.source import DataSource, SourceListing
from lss_lightning.data.splits import SplitProtocol


class Squares(torch.nn.Module):
    """The mean over pixels of the squared error of the probabilities, with a factor to learn."""

    def __init__(self, power=2):
        super().__init__()
        self.power = power
        self.scale = torch.nn.Parameter(torch.ones(()))

    def forward(self, logits, target):
        errors = torch.nn.functional.one_hot(target, logits.shape[1]).movedim(-1, 1) - (self.scale * logits).softmax(1)
        return (errors.abs() ** self.power).mean()


@dataclass(frozen=True, kw_only=True)
class Hospital(DataSource):
    ward: int = 1

    def find(self):
        paths = sorted(Path(self.root).glob(f"ward{self.ward}/*.png"))
        return SourceListing([self.make_slice(path) for path in paths])

    def make_slice(self, path):
        patient, level = path.stem.split("_")
        return Slice(patient, level, {self.channels: path}, path.parents[1] / "labels" / path.name, None)


@dataclass(frozen=True)
class Named(SplitProtocol):
    test_patient: str = "p4"

    def divide(self, slices):
        parts = {"train": [], "val": [], "test": []}
        for index, slice_ in enumerate(slices):
            parts[{self.test_patient: "test", "p3": "val"}.get(slice_.patient, "train")].append(index)
        return parts

    @property
    def selection_part(self):
        return "val"


class Agreement(Metric):
    """The fraction of images whose centre pixel is right."""

    def __init__(self):
        super().__init__()
        self.add_state("right", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0.0), dist_reduce_fx="sum")

    def update(self, preds, target):
        _, height, width = target.shape
        self.right += (preds[0, height // 2, width // 2] == target[0, height // 2, width // 2]).float()
        self.count += 1

    def compute(self):
        return self.right / self.count
'''

FILES = {
    "data/hospital": """
_target_: hospital.Hospital
name: hospital
root: ???
channels: image
batch_size: 4
num_workers: 0
ward: 1
""",
    "split/named": "_target_: hospital.Named\ntest_patient: p4\n",
    "loss/squares": "_target_: hospital.Squares\npower: 2\n",
    "metrics/agreement": "agreement:\n  _target_: hospital.Agreement\n  input: images\n",
}
TRUST = "trust=[hospital.Hospital,hospital.Named]"


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """The package, its YAML files in `conf`, and slices of two sizes in `data`."""
    root = tmp_path_factory.mktemp("hospital")
    (root / "hospital.py").write_text(PACKAGE)
    for name, text in FILES.items():
        path = root / "conf" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    rng = np.random.default_rng(0)
    for folder in ("ward1", "labels"):
        (root / "data" / folder).mkdir(parents=True)
    for patient in range(5):
        for level in range(2):
            size = (64, 64 + 32 * level)
            label = LUMBAR.to_codes(np.broadcast_to(np.arange(64)[:, None] * 6 // 64, size).astype(np.uint8))
            Image.fromarray(label).save(root / f"data/labels/p{patient}_{level}.png")
            image = (label // 2 + rng.integers(0, 100, size)).astype(np.uint8)
            Image.fromarray(image).save(root / f"data/ward1/p{patient}_{level}.png")
    return root


def run(root: Path, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{root}"}
    line = [sys.executable, str(ROOT / f"{script}.py"), *arguments]
    return subprocess.run(line, capture_output=True, text=True, check=False, timeout=300, env=environment, cwd=root)


def succeed(root: Path, script: str, *arguments: str) -> str:
    done = run(root, script, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


CHOICES = ("--config-dir=conf", "data=hospital", "data.root=data", "split=named")


def test_every_command_takes_the_classes_of_a_user(root):
    own = (*CHOICES, "loss=squares", "metrics=agreement")
    small = [text for text in QUICK if not text.startswith("data.")]
    succeed(root, "train", *own, *small, "trainer.max_epochs=1", "hydra.run.dir=run")
    metrics = json.loads((root / "run/metrics.json").read_text())
    assert metrics["data"]["name"] == "hospital"
    assert metrics["data"]["protocol"] == "Named"
    assert metrics["data"]["images"] == 2
    assert 0 <= metrics["metrics"]["agreement"] <= 1

    resume = ("train", "ckpt_path=run/checkpoints/last.ckpt", "trainer.max_epochs=2")
    refused = run(root, *resume)
    assert refused.returncode == 2
    assert "stored settings may only name classes" in refused.stderr
    succeed(root, *resume, "trust=[hospital.Hospital,hospital.Named,hospital.Squares,hospital.Agreement]")
    assert [row["epoch"] for row in rows(root / "run/metrics.csv")] == ["0", "1"]
    assert "val/agreement" in rows(root / "run/metrics.csv")[1]

    test = ("evaluate", "ckpt_path=run/checkpoints/best.ckpt", "trainer=cpu")
    succeed(root, *test, TRUST, "data.root=data", "hydra.run.dir=tested")
    tested = json.loads((root / "tested/metrics.json").read_text())
    assert tested["iou"] == json.loads((root / "run/metrics.json").read_text())["iou"]

    succeed(root, "compare", "runs=[run,tested]", "examples=1", "trainer=cpu", TRUST)
    refused = run(root, "train", *CHOICES, "data.ward=x", "hydra.run.dir=other")
    assert refused.stderr == "error: data.ward=x: not of the allowed type; give a whole number\n"


def test_the_search_path_finds_the_files_of_a_user(root):
    path = f"hydra.searchpath=[file://{root}/conf]"
    assert "hospital" in succeed(root, "prepare", path, *CHOICES[1:])
