from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from lss_lightning.errors import UserError
from lss_lightning.models.checkpoint import read_checkpoint
from lss_lightning.models.segmentation import SegmentationModule
from lss_lightning.workflows.training.callbacks import DivergenceMonitor, ThroughputMonitor
from tests.conftest import configure
from tests.workflows.quick_runs import rows, start
from tests.workflows.test_evaluate import score
from tests.workflows.training.resuming import assert_equal, content, resume

FP32 = "trainer.precision=32-true"

pytestmark = pytest.mark.usefixtures("untested")


def label_files(tree: Path, batch: dict, split: Path) -> set[str]:
    with split.open() as stream:
        training = [row for row in csv.DictReader(stream) if row["part"] == "train"]
    slices = [training[index] for index in batch["index"]]
    return {f"{row['patient']}_{row['level']}.png" for row in slices}


def test_a_nan_loss_stops_the_run_before_a_checkpoint_is_written(steps, tree, tmp_path, monkeypatch):
    checks = []
    original = DivergenceMonitor._check_loss

    def check_loss(self, trainer):
        checks.append(len(steps))
        original(self, trainer)

    monkeypatch.setattr(DivergenceMonitor, "_check_loss", check_loss)
    steps.changes = {8: lambda module, loss: loss * math.nan}
    with pytest.raises(UserError, match=r"step 8 \(epoch 1\): the loss is not finite at learning rate 0.001") as raised:
        start(tmp_path / "run", tree, "engine.check_every=5", "optimizer.lr=0.001", "trainer.max_epochs=3")
    assert checks == [5, 6, 10]  # every five steps and at the end of an epoch of six
    message = str(raised.value)
    files = message.partition("batch of ")[2].partition(";")[0].split(", ")
    assert {name.partition("_")[2] for name in files} == label_files(tree, steps[7], tmp_path / "run/split.csv")
    assert "trainer.gradient_clip_val=1" in message
    last = content(tmp_path / "run")
    assert last["epoch"] == 0
    assert all(weights.isfinite().all() for weights in last["state_dict"].values())
    assert len(rows(tmp_path / "run/metrics.csv")) == 1


def test_infinite_weights_after_the_last_step_of_an_epoch_are_not_saved(steps, tree, tmp_path, monkeypatch):
    def make_infinite(self, *_):
        if self.global_step == 12:
            self.network.head.bias.data[0] = math.inf

    monkeypatch.setattr(SegmentationModule, "on_train_batch_end", make_infinite)
    with pytest.raises(UserError, match=r"step 12 \(epoch 1\): the weights are not finite"):
        start(tmp_path / "run", tree, "trainer.max_epochs=3")
    assert content(tmp_path / "run")["epoch"] == 0


def test_averaged_weights_are_validated_saved_and_resumed(tree, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(
        SegmentationModule,
        "on_train_batch_end",
        lambda self, *_: seen.append(self.network.head.weight.detach().clone()),
    )
    average = (FP32, "callbacks=[ema,quiet]", "callbacks.ema.decay=0.8")
    start(tmp_path / "whole", tree, *average, "trainer.max_epochs=2")
    expected = seen[0]
    for weights in seen[1:]:
        expected = 0.8 * expected + 0.2 * weights
    last = content(tmp_path / "whole")
    torch.testing.assert_close(last["state_dict"]["network.head.weight"], expected)
    assert torch.equal(last["current_model_state"]["network.head.weight"], seen[-1])

    best = tmp_path / "whole/checkpoints/best.ckpt"
    scored = score(tmp_path / "scored", best, "subset=val", FP32)["mean_iou_anatomy"]
    row = rows(tmp_path / "whole/metrics.csv")[read_checkpoint(best)["epoch"]]
    assert scored == pytest.approx(float(row["val/mean_iou_anatomy"]), abs=1e-6)

    start(tmp_path / "parts", tree, *average, "trainer.max_epochs=1")
    with pytest.raises(
        UserError, match=r"callbacks\.ema=null: the checkpoint's run has {_target_: .*EMAWeightAveraging, decay: 0\.8}"
    ):
        resume(tmp_path / "parts", tree, "trainer.max_epochs=2", "augmentation=none", "data.batch_size=4")
    resume(tmp_path / "parts", tree, *average, "trainer.max_epochs=2", "augmentation=none", "data.batch_size=4")
    for part in ("state_dict", "current_model_state", "averaging_state", "optimizer_states"):
        assert_equal(content(tmp_path / "parts")[part], last[part], part)


def test_early_stopping_ends_a_training_without_improvement(frozen_batch_norm, tree, tmp_path):
    start(
        tmp_path / "run",
        tree,
        "optimizer.lr=1e-20",
        "callbacks=[early_stopping,quiet]",
        "callbacks.early_stopping.patience=2",
        "trainer.max_epochs=9",
    )
    assert len(rows(tmp_path / "run/metrics.csv")) == 3
    assert read_checkpoint(tmp_path / "run/checkpoints/best.ckpt")["epoch"] == 0


def test_max_time_ends_a_training_after_a_whole_epoch(steps, tree, tmp_path):
    for run, epochs in enumerate((1000, 1001)):
        earlier = len(steps)
        overrides = (f"trainer.max_epochs={epochs}", "engine.max_time=00:00:02", FP32)
        if run == 0:
            start(tmp_path / "run", tree, *overrides)
        else:
            resume(tmp_path / "run", tree, *overrides, "augmentation=none", "data.batch_size=4")
        assert 0 < len(steps) - earlier < 6000
        assert (len(steps) - earlier) % 6 == 0
        assert content(tmp_path / "run")["epoch"] == len(steps) / 6 - 1
    assert len(rows(tmp_path / "run/metrics.csv")) == len(steps) / 6


@pytest.mark.parametrize("text", ["1h", "90", "1:2:3", "00:-1:00"])
def test_an_invalid_max_time_is_refused(text):
    with pytest.raises(UserError, match="give hours:minutes:seconds"):
        configure(f"engine.max_time='{text}'")


@pytest.mark.parametrize(("text", "seconds"), [("00:00:05", 5), ("11:30:00", 41400), ("1:02:00:01", 93601)])
def test_max_time_in_seconds(text, seconds):
    assert configure(f"engine.max_time={text}").engine.seconds == seconds


class LinearModule(pl.LightningModule):
    """A model with one weight vector, trained with plain SGD."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = torch.nn.Parameter(torch.ones(3))

    def training_step(self, batch, index):
        return (self.weights * batch["image"].mean(0)).sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def test_the_gradient_norm_is_the_mean_before_clipping():
    images = [{"image": torch.tensor(line)} for line in ([3.0, 4.0, 0.0], [0.0, 0.0, 1.0], [0.0, 2.0, 0.0])]
    monitor = ThroughputMonitor()
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=1,
        callbacks=[monitor],
        gradient_clip_val=0.5,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    batches: Any = torch.utils.data.DataLoader(images)  # type: ignore[arg-type]
    trainer.fit(LinearModule(), batches)
    assert monitor.grad_norm == pytest.approx((5 + 1 + 2) / 3)
    assert float(trainer.callback_metrics["grad_norm"]) == pytest.approx(8 / 3)
    assert monitor.images_per_second > 0
