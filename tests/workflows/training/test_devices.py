"""Two processes give what one gives."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch

from lss_lightning.data.datamodule import SliceDataModule
from lss_lightning.models.checkpoint import NetworkSpec, read_checkpoint
from lss_lightning.models.ensemble import load_ensemble
from tests.conftest import configure
from tests.workflows import altered
from tests.workflows.test_commands import python
from tests.workflows.test_evaluate import score
from tests.workflows.test_train import QUICK, rows, start

ONE = ("data.batch_size=8",)
TWO = ("data.batch_size=4", "trainer.devices=2")
# Without augmentation, since pixels that it leaves without a label count for nothing: then each process's mean is over
# another number of pixels.
SAME = ("optimizer=sgd", "optimizer.lr=0.01", "trainer.precision=32-true", "augmentation=none")


@pytest.fixture(scope="module", autouse=True)
def unpictured() -> Iterator[None]:
    altered.unpictured()
    yield
    patch.stopall()


@pytest.fixture(scope="module")
def place(patients, unpictured, tmp_path_factory) -> Path:
    """A folder with `one` and `two`, trained on 1 and 2 processes."""
    place = tmp_path_factory.mktemp("devices")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(NetworkSpec, "build", NetworkSpec.build)
        altered.frozen()
        start(place / "one", patients, *ONE, *SAME, "trainer.max_epochs=2")
    line = ["train", "data=alkafri", f"data.root={patients}", *QUICK, *TWO, *SAME, "trainer.max_epochs=2"]
    line += ["logger=many", "logger.wandb.mode=offline", "logger.examples=1"]
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name in ("CACHE", "DATA", "CONFIG"):
            monkeypatch.setenv(f"WANDB_{name}_DIR", str(place / "wandb"))
        done = python("-m", "tests.workflows.altered", "frozen+unpictured", *line, f"hydra.run.dir={place / 'two'}")
    assert done.returncode == 0, done.stderr
    assert "2 × cpu" in done.stdout
    assert done.stdout.count("effective batch size 8") == 1
    assert (done.stdout + done.stderr).count("recorded offline") == 1
    return place


def test_two_times_four_images_train_as_eight_on_one(place):
    one, two = (read_checkpoint(place / run / "checkpoints/last.ckpt")["state_dict"] for run in ("one", "two"))
    for name, weights in one.items():
        torch.testing.assert_close(two[name], weights, rtol=1e-5, atol=1e-6, msg=lambda text, name=name: name + text)
    for first, second in zip(*(rows(place / run / "metrics.csv") for run in ("one", "two")), strict=True):
        assert first.keys() == second.keys()
        assert [float(text) for text in second.values()] == pytest.approx(list(map(float, first.values())), rel=1e-3)


def test_of_two_processes_only_the_first_records(place):
    assert len(list((place / "two" / "wandb").glob("offline-run-*"))) == 1
    assert len(list((place / "two" / "tensorboard").glob("events.*"))) == 1


@pytest.mark.parametrize("views", ["tta=none", "tta=flip"])
def test_two_processes_count_what_one_counts(views, place, patients, tmp_path):
    """On three slices, so that one process has one more than the other."""
    checkpoint, same = place / "one/checkpoints/best.ckpt", (views, "data.batch_size=2", "trainer.precision=32-true")
    assert score(tmp_path / "one", checkpoint, *same)["data"]["images"] == 3
    two_processes = ("trainer=cpu", "trainer.devices=2", f"hydra.run.dir={tmp_path / 'two'}")
    altered_line = ("-m", "tests.workflows.altered", "unpictured", "evaluate")
    done = python(*altered_line, f"ckpt_path={checkpoint}", *same, *two_processes)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "two/metrics.json").read_text())["data"]["images"] == 3
    counts = [np.load(tmp_path / name / "counts.npz")["counts"] for name in ("one", "two")]
    assert counts[0].shape == counts[1].shape
    assert counts[0].sum() == counts[1].sum() == 3 * 64 * 64
    moved = int(np.abs(counts[0] - counts[1]).sum()) // 2
    assert moved <= near_ties(place / "one/checkpoints/best.ckpt", patients, views.partition("=")[2]) < 100


def near_ties(checkpoint: Path, tree: Path, tta: str) -> int:
    """Pixels of the test slices whose two best logits differ by less than 1e-4."""
    ensemble, (metadata,) = load_ensemble([checkpoint], tta)
    config = configure("data=alkafri", f"data.root={tree}")
    data = SliceDataModule(config.data, config.split)
    data.spacing = metadata.spacing
    data.setup()
    with torch.no_grad():
        best = torch.cat([ensemble(batch["image"]).topk(2, dim=1).values for batch in data.test_dataloader()])
    return int((best[:, 0] - best[:, 1] < 1e-4).sum())
