from __future__ import annotations

import csv
import math
from pathlib import Path

import pytest
import torch

from lss_lightning.errors import UserError
from lss_lightning.models.checkpoint import NetworkSpec, read_checkpoint
from lss_lightning.models.segmentation import SegmentationModule
from lss_lightning.workflows import train
from lss_lightning.workflows.training.callbacks import DivergenceMonitor
from lss_lightning.workflows.training.progress import TrainingProgressBar
from tests.conftest import configure
from tests.workflows.altered import frozen
from tests.workflows.test_evaluate import score
from tests.workflows.test_train import rows, start
from tests.workflows.training.test_exactness import assert_equal, content, resume

FP32 = ("trainer.precision=32-true",)


@pytest.fixture(autouse=True)
def untested(monkeypatch):
    """Runs end after training."""
    monkeypatch.setattr(train, "_test", lambda *_: (None, None))


@pytest.fixture
def steps(monkeypatch):
    """The batches of each training step; `steps.spoil[n]` is done to the module and the loss of the n-th."""

    class Steps(list):
        def __init__(self):
            super().__init__()
            self.spoil = {}

    taken, usual = Steps(), SegmentationModule.training_step

    def training_step(self, batch, index):
        loss = usual(self, batch, index)
        taken.append(batch)
        return taken.spoil.get(len(taken), lambda _, loss: loss)(self, loss)

    monkeypatch.setattr(SegmentationModule, "training_step", training_step)
    return taken


@pytest.fixture
def frozen_statistics(monkeypatch):
    monkeypatch.setattr(NetworkSpec, "build", NetworkSpec.build)
    frozen()


def no_memory(text, kind=RuntimeError):
    def fail(module, loss):
        raise kind(text)

    return fail


@pytest.mark.parametrize(
    ("size", "spoil", "says"),
    [
        (
            4,
            no_memory("CUDA out of memory. Tried to allocate 2 GiB", torch.OutOfMemoryError),
            "data.batch_size=4: the device's memory does not suffice; try data.batch_size=2; "
            "with trainer.accumulate_grad_batches=2 the effective batch size stays the same",
        ),
        (5, no_memory("DefaultCPUAllocator: can't allocate memory: you tried"), "data.batch_size=5.*try .*size=2$"),
        (1, no_memory("MPS backend out of memory"), "data.batch_size=1.*choose larger pixels"),
    ],
)
def test_lack_of_memory_names_the_batch_size_to_try(size, spoil, says, steps, tree, tmp_path):
    steps.spoil = {2: spoil}
    with pytest.raises(UserError, match=says):
        start(tmp_path / "run", tree, f"data.batch_size={size}", "trainer.max_epochs=1")


def test_other_errors_of_the_runtime_show_themselves(steps, tree, tmp_path):
    steps.spoil = {2: no_memory("shapes do not fit")}
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        start(tmp_path / "run", tree, "trainer.max_epochs=1")


def label_files(tree: Path, batch: dict, split: Path) -> set[str]:
    with split.open() as stream:
        training = [row for row in csv.DictReader(stream) if row["part"] == "train"]
    chosen = [training[index] for index in batch["index"]]
    return {f"{row['patient']}_{row['level']}.png" for row in chosen}


def test_a_loss_that_is_no_number_stops_the_run_and_spoils_no_checkpoint(steps, tree, tmp_path, monkeypatch):
    looks = []
    usual = DivergenceMonitor._look
    monkeypatch.setattr(
        DivergenceMonitor, "_look", lambda self, trainer: looks.append(len(steps)) or usual(self, trainer)
    )
    steps.spoil = {8: lambda module, loss: loss * math.nan}
    with pytest.raises(UserError, match=r"step 8 \(epoch 1\): the loss is not finite at learning rate 0.001") as ended:
        start(tmp_path / "run", tree, "trainer.check_every=5", "optimizer.lr=0.001", "trainer.max_epochs=3")
    assert looks == [5, 6, 10]  # every five steps and at the end of an epoch of six
    told = str(ended.value)
    named = {name.partition("_")[2] for name in told.partition("batch of ")[2].partition(";")[0].split(", ")}
    assert named == label_files(tree, steps[7], tmp_path / "run/split.csv")
    assert "trainer.gradient_clip_val=1" in told
    kept = content(tmp_path / "run")
    assert kept["epoch"] == 0
    assert all(weights.isfinite().all() for weights in kept["state_dict"].values())
    assert len(rows(tmp_path / "run/metrics.csv")) == 1


def test_weights_spoilt_by_an_epoch_s_last_step_are_not_saved(steps, tree, tmp_path, monkeypatch):
    def spoil(self, *_):
        if self.global_step == 12:
            self.network.head.bias.data[0] = math.inf

    monkeypatch.setattr(SegmentationModule, "on_train_batch_end", spoil)
    with pytest.raises(UserError, match=r"step 12 \(epoch 1\): the weights are not finite"):
        start(tmp_path / "run", tree, "trainer.max_epochs=3")
    assert content(tmp_path / "run")["epoch"] == 0


def test_moving_average_is_what_is_validated_kept_and_resumed(tree, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(
        SegmentationModule,
        "on_train_batch_end",
        lambda self, *_: seen.append(self.network.head.weight.detach().clone()),
    )
    average = (*FP32, "callbacks.ema_decay=0.8")
    start(tmp_path / "whole", tree, *average, "trainer.max_epochs=2")
    expected = seen[0]
    for weights in seen[1:]:
        expected = 0.8 * expected + 0.2 * weights
    kept = content(tmp_path / "whole")
    torch.testing.assert_close(kept["state_dict"]["network.head.weight"], expected)
    assert torch.equal(kept["current_model_state"]["network.head.weight"], seen[-1])

    best = tmp_path / "whole/checkpoints/best.ckpt"
    scored = score(tmp_path / "scored", best, "subset=val", *FP32)["mean_iou_anatomy"]
    row = rows(tmp_path / "whole/metrics.csv")[read_checkpoint(best)["epoch"]]
    assert scored == pytest.approx(float(row["val/mean_iou_anatomy"]), abs=1e-6)

    start(tmp_path / "parts", tree, *average, "trainer.max_epochs=1")
    with pytest.raises(UserError, match=r"callbacks\.ema_decay=None: the checkpoint's run has 0\.8"):
        resume(tmp_path / "parts", tree, "trainer.max_epochs=2", "augmentation=none", "data.batch_size=4")
    resume(tmp_path / "parts", tree, *average, "trainer.max_epochs=2", "augmentation=none", "data.batch_size=4")
    for part in ("state_dict", "current_model_state", "averaging_state", "optimizer_states"):
        assert_equal(content(tmp_path / "parts")[part], kept[part], part)


SGD = ("optimizer=sgd", "optimizer.lr=0.01", *FP32)


def test_two_accumulated_batches_of_four_train_as_one_of_eight(frozen_statistics, tree, tmp_path):
    start(tmp_path / "eight", tree, *SGD, "data.batch_size=8", "trainer.max_epochs=2")
    start(tmp_path / "four", tree, *SGD, "trainer.accumulate_grad_batches=2", "trainer.max_epochs=2")
    eight, four = content(tmp_path / "eight"), content(tmp_path / "four")
    assert eight["global_step"] == four["global_step"] == 6
    for name, weights in eight["state_dict"].items():
        torch.testing.assert_close(four["state_dict"][name], weights, rtol=1e-5, atol=1e-6)


def test_gradients_are_clipped_to_a_norm(steps, tree, tmp_path):
    moved = []
    for number, clip in enumerate((None, 0.01)):
        before = {}
        steps.clear()
        steps.spoil = {1: lambda self, loss, before=before: before.update(_weights(self.state_dict())) or loss}
        overrides = (
            "optimizer=sgd",
            "optimizer.lr=1",
            "optimizer.momentum=0",
            "optimizer.nesterov=false",
            "optimizer.weight_decay=0",
            *FP32,
        )
        if clip is not None:
            overrides += (f"trainer.gradient_clip_val={clip}",)
        run = tmp_path / str(number)
        start(run, tree, *overrides, "trainer.max_epochs=1", "trainer.limit_train_batches=1")
        after = content(run)["state_dict"]
        moved.append(math.sqrt(sum(float((after[key] - before[key]).square().sum()) for key in before)))
    assert moved[0] > 0.1
    assert moved[1] == pytest.approx(0.01, rel=1e-3)


def _weights(state: dict) -> dict:
    return {key: tensor.clone() for key, tensor in state.items() if "running" not in key and "num_batches" not in key}


def test_training_stops_early_where_nothing_gets_better(frozen_statistics, tree, tmp_path):
    start(tmp_path / "run", tree, "optimizer.lr=1e-20", "callbacks.early_stopping=2", "trainer.max_epochs=9")
    assert len(rows(tmp_path / "run/metrics.csv")) == 3
    assert read_checkpoint(tmp_path / "run/checkpoints/best.ckpt")["epoch"] == 0


def test_training_ends_with_a_whole_epoch_when_its_time_is_over(steps, tree, tmp_path):
    for run, epochs in enumerate((1000, 1001)):
        begun = len(steps)
        change = (f"trainer.max_epochs={epochs}", "trainer.max_time=00:00:02", *FP32)
        if run == 0:
            start(tmp_path / "run", tree, *change)
        else:
            resume(tmp_path / "run", tree, *change, "augmentation=none", "data.batch_size=4")
        assert 0 < len(steps) - begun < 6000
        assert (len(steps) - begun) % 6 == 0
        assert content(tmp_path / "run")["epoch"] == len(steps) / 6 - 1
    assert len(rows(tmp_path / "run/metrics.csv")) == len(steps) / 6


@pytest.mark.parametrize("text", ["1h", "90", "1:2:3", "00:-1:00"])
def test_time_that_is_none_is_refused(text):
    with pytest.raises(UserError, match="give hours:minutes:seconds"):
        configure(f"trainer.max_time='{text}'")


@pytest.mark.parametrize(("text", "seconds"), [("00:00:05", 5), ("11:30:00", 41400), ("1:02:00:01", 93601)])
def test_time_in_seconds(text, seconds):
    assert configure(f"trainer.max_time={text}").trainer.seconds == seconds


def test_batch_norm_over_devices_is_refused_on_a_cpu(tree, tmp_path):
    with pytest.raises(UserError, match=r"trainer\.sync_batchnorm=true: only NVIDIA GPUs can, and this run is on cpu"):
        start(tmp_path / "run", tree, "trainer.sync_batchnorm=true")


def test_bar_shows_speed_and_time_left_of_the_whole_run(tree, tmp_path, monkeypatch):
    shown = []
    usual = TrainingProgressBar.get_metrics
    monkeypatch.setattr(TrainingProgressBar, "get_metrics", lambda *a: shown.append(usual(*a)) or shown[-1])
    start(tmp_path / "run", tree, "callbacks.progress_bar=true", "trainer.max_epochs=2")
    assert set(shown[-1]) == {"images/s", "left", "val IoU"}
    assert shown[-1]["left"] == "0:00:00"
    assert all(float(metrics["images/s"]) > 1 for metrics in shown if "images/s" in metrics)
