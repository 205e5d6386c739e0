"""Two processes give the same results as one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch

from lss_lightning.data.datamodule import SliceDataModule
from lss_lightning.models.checkpoint import read_checkpoint
from lss_lightning.models.ensemble import load_ensemble
from lss_lightning.models.specs import UNetSpec
from tests.conftest import configure
from tests.workflows import altered
from tests.workflows.processes import python
from tests.workflows.quick_runs import QUICK, rows, start
from tests.workflows.test_evaluate import score

ONE = ("data.batch_size=8",)
TWO = ("data.batch_size=4", "trainer.devices=2")
# Without augmentation, because it leaves pixels without a label, which do not count: the processes would average over
# different numbers of pixels.
SAME = ("optimizer=sgd", "optimizer.lr=0.01", "trainer.precision=32-true", "augmentation=none")


@pytest.fixture(scope="module", autouse=True)
def no_figures() -> Iterator[None]:
    altered.skip_figures()
    yield
    patch.stopall()


@pytest.fixture(scope="module")
def root(patients, no_figures, tmp_path_factory) -> Path:
    """Return a folder with the runs `one` and `two`, trained in one and two processes."""
    root = tmp_path_factory.mktemp("devices")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(UNetSpec, "build", UNetSpec.build)
        altered.freeze_batch_norm()
        start(root / "one", patients, *ONE, *SAME, "trainer.max_epochs=2")
    line = ["train", "data=alkafri", f"data.root={patients}", *QUICK, *TWO, *SAME, "trainer.max_epochs=2"]
    line += ["logger=many", "logger.wandb.mode=offline", "examples.count=1"]
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name in ("CACHE", "DATA", "CONFIG"):
            monkeypatch.setenv(f"WANDB_{name}_DIR", str(root / "wandb"))
        done = python(
            "-m", "tests.workflows.altered", "freeze_batch_norm+skip_figures", *line, f"hydra.run.dir={root / 'two'}"
        )
    assert done.returncode == 0, done.stderr
    assert "2 × cpu" in done.stdout
    assert done.stdout.count("effective batch size 8") == 1
    assert (done.stdout + done.stderr).count("recorded offline") == 1
    return root


def test_two_times_four_images_train_as_eight_on_one(root):
    one, two = (read_checkpoint(root / run / "checkpoints/last.ckpt")["state_dict"] for run in ("one", "two"))
    for name, weights in one.items():
        torch.testing.assert_close(two[name], weights, rtol=1e-5, atol=1e-6, msg=partial("{}: {}".format, name))
    for first, second in zip(*(rows(root / run / "metrics.csv") for run in ("one", "two")), strict=True):
        assert first.keys() == second.keys()
        assert [float(text) for text in second.values()] == pytest.approx(list(map(float, first.values())), rel=1e-3)


def test_only_the_first_of_two_processes_records(root):
    assert len(list((root / "two" / "wandb").glob("offline-run-*"))) == 1
    assert len(list((root / "two" / "tensorboard").glob("events.*"))) == 1


@pytest.mark.parametrize("views", ["tta=none", "tta=flip"])
def test_two_processes_count_the_same_pixels_as_one(views, root, patients, tmp_path):
    """There are three slices, so one process has one more than the other."""
    checkpoint, same = root / "one/checkpoints/best.ckpt", (views, "data.batch_size=2", "trainer.precision=32-true")
    assert score(tmp_path / "one", checkpoint, *same)["data"]["images"] == 3
    two_processes = ("trainer=cpu", "trainer.devices=2", f"hydra.run.dir={tmp_path / 'two'}")
    altered_line = ("-m", "tests.workflows.altered", "skip_figures", "evaluate")
    done = python(*altered_line, f"ckpt_path={checkpoint}", *same, *two_processes)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "two/metrics.json").read_text())["data"]["images"] == 3
    counts = [np.load(tmp_path / name / "counts.npz")["counts"] for name in ("one", "two")]
    assert counts[0].shape == counts[1].shape
    assert counts[0].sum() == counts[1].sum() == 3 * 64 * 64
    moved = int(np.abs(counts[0] - counts[1]).sum()) // 2
    assert moved <= near_ties(root / "one/checkpoints/best.ckpt", patients, views.partition("=")[2]) < 100


def near_ties(checkpoint: Path, tree: Path, tta: str) -> int:
    """Return the number of test pixels whose two highest logits differ by less than 1e-4."""
    ensemble, (metadata,) = load_ensemble([checkpoint], tta)
    config = configure("data=alkafri", f"data.root={tree}")
    data = SliceDataModule(config.data, config.split)
    data.spacing = metadata.spacing
    data.setup()
    with torch.no_grad():
        best = torch.cat([ensemble(batch["image"]).topk(2, dim=1).values for batch in data.test_dataloader()])
    return int((best[:, 0] - best[:, 1] < 1e-4).sum())
