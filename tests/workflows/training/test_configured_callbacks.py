"""The section ``callbacks``: which callbacks a training has, in which order, and those of the user."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
from hydra.utils import get_class
from omegaconf import OmegaConf

from lss_lightning.config.sections import config_folder
from lss_lightning.config.stored import check_stored_values
from lss_lightning.errors import UserError
from lss_lightning.models.checkpoint import read_checkpoint
from lss_lightning.runs.trust import TRUSTED_CLASSES
from lss_lightning.workflows import train
from lss_lightning.workflows.training.callbacks import make_callbacks
from tests.conftest import configure
from tests.workflows.quick_runs import rows, start
from tests.workflows.training.resuming import EXACT, assert_same_run, content, resume

MODULE = "tests.workflows.training.test_configured_callbacks"
ONE = ("trainer.precision=32-true", "trainer.max_epochs=1", "trainer.limit_train_batches=1")

pytestmark = pytest.mark.usefixtures("untested")


class StepCounter(pl.Callback):
    """A user's own callback with a state."""

    def __init__(self, unit: int = 1) -> None:
        self.unit, self.steps = unit, 0

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        self.steps += self.unit

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self.steps}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.steps = state_dict["steps"]


COUNTER = (f"+callbacks.counter._target_={MODULE}.StepCounter", "+callbacks.counter.unit=2")


def test_shipped_callbacks_exist_and_are_listed():
    files = (config_folder() / "callbacks").glob("*.yaml")
    entries = [entry for file in files for entry in OmegaConf.load(file).values() if "_target_" in (entry or ())]
    targets = {entry["_target_"] for entry in entries}
    assert targets == TRUSTED_CLASSES["callbacks"]
    assert all(issubclass(get_class(target), pl.Callback) for target in targets)


def test_a_stored_callback_of_the_user_needs_trust():
    check_stored_values({"callbacks": {"mine": {"_target_": "pytorch_lightning.callbacks.EarlyStopping"}}}, "file")
    with pytest.raises(UserError, match=r"callbacks\.mine\._target_=a\.B: .* add trust=\[a\.B\]"):
        check_stored_values({"callbacks": {"mine": {"_target_": "a.B"}}}, "file")


def test_callbacks_are_called_in_the_order_of_the_section(patients, tmp_path, monkeypatch):
    made: list[list[pl.Callback]] = []
    original = train.fit

    def fit(trainer, *arguments):
        made.append(trainer.callbacks)
        original(trainer, *arguments)

    monkeypatch.setattr(train, "fit", fit)
    chosen = ("callbacks=[early_stopping,ema]", "engine.max_time=01:00:00", *COUNTER)
    start(tmp_path / "run", patients, *ONE, *chosen, "callbacks.progress_bar=null")
    names = [type(callback).__name__ for callback in made[0]]
    assert names == [
        *("EpochSeed", "DivergenceMonitor", "EMAWeightAveraging", "EarlyStopping", "NetworkSummary"),
        *("ThroughputMonitor", "StepCounter", "MaxTime", "UserMetricsCallback", "ExamplesCallback"),
        *("MeasurementCallback", "History", "BestCheckpoint", "LastCheckpoint"),
    ]


@pytest.mark.parametrize(
    ("overrides", "left_out"),
    [
        (["callbacks=quiet"], {"TrainingProgressBar", "NetworkSummary"}),
        (["callbacks.best_checkpoint=null"], {"BestCheckpoint"}),
        (["split=patient", "split.val_fraction=0"], {"BestCheckpoint"}),
        (["trainer.limit_val_batches=0"], {"BestCheckpoint"}),
        (["trainer.enable_checkpointing=false"], {"BestCheckpoint"}),
        (["trainer.enable_progress_bar=false"], {"TrainingProgressBar"}),
        (["callbacks.divergence=null", "callbacks.throughput=null"], {"DivergenceMonitor", "ThroughputMonitor"}),
    ],
)
def test_a_callback_is_left_out(overrides, left_out):
    every = {type(callback).__name__ for callback in make_callbacks(configure())}
    assert every - {type(callback).__name__ for callback in make_callbacks(configure(*overrides))} == left_out


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["+callbacks.mine._target_=nowhere.Mine"], r"callbacks\.mine: nowhere\.Mine cannot be instantiated"),
        (["+callbacks.mine._target_=torch.nn.Identity"], r"callbacks\.mine\._target_=torch\.nn\.Identity: not a Li"),
        ([f"+callbacks.mine={{_target_: {MODULE}.StepCounter, x: 1}}"], r"callbacks\.mine: .*unexpected keyword"),
        (["callbacks.divergence.check_every=0"], r"callbacks\.divergence: .*check_every=0: give a whole number"),
    ],
)
def test_a_callback_that_cannot_be_made_is_reported_in_one_line(overrides, message):
    with pytest.raises(UserError, match=message) as refused:
        make_callbacks(configure(*overrides))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ([*COUNTER, f"+callbacks.other._target_={MODULE}.StepCounter"], "callbacks: two of them save their state"),
        (["callbacks=early_stopping", "callbacks.early_stopping.monitor=val/accuracy"], "Early stopping conditioned"),
        (["callbacks.best_checkpoint.monitor=val/accuracy"], r"could not find the monitored key"),
    ],
)  # fmt: skip
def test_callbacks_that_lightning_refuses_are_reported_in_one_line(overrides, message, patients, tmp_path):
    with pytest.raises(UserError, match=message) as refused:
        start(tmp_path / "run", patients, *ONE, *overrides)
    assert "\n" not in str(refused.value)


def test_the_state_of_a_users_callback_is_resumed_and_does_not_change_the_run(patients, tmp_path):
    start(tmp_path / "whole", patients, *EXACT, "trainer.max_epochs=2")
    start(tmp_path / "parts", patients, *EXACT, "trainer.max_epochs=1", *COUNTER)
    resume(tmp_path / "parts", patients, "trainer.max_epochs=2", *COUNTER)
    assert_same_run(tmp_path / "whole", tmp_path / "parts")
    steps = content(tmp_path / "parts")["global_step"]
    assert content(tmp_path / "parts")["callbacks"]["StepCounter"] == {"steps": 2 * steps}


def test_a_resume_may_change_callbacks_that_leave_the_weights_alone(patients, tmp_path):
    run = tmp_path / "run"
    start(run, patients, *EXACT, "trainer.max_epochs=1")
    stop = ("callbacks=[early_stopping,quiet]", "callbacks.early_stopping.patience=3", "callbacks.throughput=null")
    resume(run, patients, "trainer.max_epochs=2", *stop, *COUNTER)
    assert content(run)["epoch"] == 1
    for change in ("callbacks.best_checkpoint.monitor=val/loss", "callbacks=[ema,quiet]"):
        with pytest.raises(
            UserError, match=r"^callbacks\.(best_checkpoint|ema)={_target_: .*: the checkpoint's run has"
        ):
            resume(run, patients, "trainer.max_epochs=3", change)


def test_the_best_checkpoint_follows_its_monitor(patients, tmp_path):
    epochs = ("trainer.precision=32-true", "trainer.max_epochs=4", "optimizer.lr=0.01")
    start(tmp_path / "run", patients, *epochs, "callbacks.best_checkpoint={monitor: train/loss, mode: max}")
    losses = [float(row["train/loss"]) for row in rows(tmp_path / "run/metrics.csv")]
    assert read_checkpoint(tmp_path / "run/checkpoints/best.ckpt")["epoch"] == losses.index(max(losses))


def test_a_users_checkpoints_hold_the_history_and_go_into_the_run(patients, tmp_path):
    every = (
        "+callbacks.every={_target_: pytorch_lightning.callbacks.ModelCheckpoint, save_top_k: -1, filename: '{epoch}'}"
    )
    start(tmp_path / "run", patients, *ONE, every, "trainer.max_epochs=2")
    folder = tmp_path / "run/checkpoints"
    assert {path.name for path in folder.iterdir()} == {"best.ckpt", "last.ckpt", "epoch=0.ckpt", "epoch=1.ckpt"}
    for epoch in (0, 1):
        saved = read_checkpoint(folder / f"epoch={epoch}.ckpt")["callbacks"]["History"]
        assert [row["epoch"] for row in saved["rows"]] == list(range(epoch + 1))


def test_a_run_without_throughput_and_best_checkpoint_tests_the_last(patients, tmp_path, monkeypatch):
    tested: list[Path] = []
    monkeypatch.setattr(train, "_test", lambda _, checkpoint: (None, tested.append(checkpoint)))  # type: ignore[func-returns-value]
    start(tmp_path / "run", patients, *ONE, "callbacks.throughput=null", "callbacks.best_checkpoint=null")
    assert [path.name for path in tested] == ["last.ckpt"]
    assert "grad_norm" not in rows(tmp_path / "run/metrics.csv")[0]
    assert math.isnan(float(rows(tmp_path / "run/timing.csv")[0]["images_per_second"]))
