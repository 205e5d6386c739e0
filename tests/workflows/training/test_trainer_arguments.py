"""Every argument of Lightning's Trainer has its effect in a training, or is refused with the reason."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelSummary, ProgressBar
from pytorch_lightning.strategies import SingleDeviceStrategy

from lss_lightning.config.trainer import REFUSED, TrainerConfig
from lss_lightning.errors import UserError
from lss_lightning.models.checkpoint import read_checkpoint
from lss_lightning.workflows import train
from lss_lightning.workflows.evaluation import report
from lss_lightning.workflows.training.checkpoints import AtomicCheckpointIO
from lss_lightning.workflows.training.trainer import make_trainer
from tests.conftest import configure
from tests.workflows.quick_runs import rows, start

MODULE = "tests.workflows.training.test_trainer_arguments"
PARAMETERS = {name: each for name, each in inspect.signature(pl.Trainer.__init__).parameters.items() if name != "self"}
OWN_DEFAULTS = {"precision": "auto", "max_epochs": 200, "num_sanity_val_steps": 0, "use_distributed_sampler": False}
STOP = ("callbacks=[early_stopping,quiet]", "callbacks.early_stopping.patience=1", "optimizer.lr=1e-20")
ONE = ("trainer.max_epochs=1", "trainer.precision=32-true")
STEP = ("optimizer=sgd", "optimizer.lr=1", "optimizer.momentum=0", "optimizer.nesterov=false", "trainer.max_steps=1")


@dataclass
class Run:
    """A finished training.

    Attributes:
        folder: The run directory.
        trainer: Its trainer.
        digests: The digests of the slices in each training batch.
        validations: The number of batches in each validation, and whether they ran in inference mode.
        anomalies: Whether anomalies were detected in a training step.
        deterministic: Whether only deterministic algorithms were used.
        moved: The largest change of a weight.
    """

    folder: Path
    trainer: pl.Trainer
    digests: list[list[str]]
    validations: list[tuple[int, bool]]
    anomalies: bool = False
    deterministic: bool = False
    moved: float = 0.0

    @property
    def files(self) -> set[str]:
        return {path.name for path in self.folder.rglob("*.ckpt")}

    @property
    def epochs(self) -> list[dict[str, str]]:
        return rows(self.folder / "metrics.csv")


class Recorder(pl.Callback):
    """A user's own callback, which records what happens in a training."""

    run: ClassVar[Run]

    def __init__(self) -> None:
        self.validated: list[bool] = []
        self.before: dict[str, torch.Tensor] = {}

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        Recorder.run = Run(Path(trainer.default_root_dir), trainer, [], [])
        self.before = {name: weights.detach().clone() for name, weights in pl_module.named_parameters()}

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.run.digests.append(batch["digests"])
        self.run.anomalies = torch.is_anomaly_enabled()
        self.run.deterministic = torch.are_deterministic_algorithms_enabled()

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self.validated.append(torch.is_inference_mode_enabled())

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.run.validations.append((len(self.validated), all(self.validated)))
        self.validated.clear()

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        weights = dict(pl_module.named_parameters())
        self.run.moved = max(float((weights[name] - old).abs().max()) for name, old in self.before.items())


class CountingIO(AtomicCheckpointIO):
    """A user's own writer of checkpoints."""

    written: ClassVar[list[str]] = []

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        self.written.append(Path(path).name)
        super().save_checkpoint(checkpoint, path, storage_options)


@pytest.fixture
def run(patients: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Run]]:
    """Return a function that trains on six batches of four and three of validation, and returns what happened."""

    def train_quickly(*overrides: str, tests: bool = False) -> Run:
        for drawing in ("write_overview", "draw_figures"):
            monkeypatch.setattr(report, drawing, lambda *_: None)
        if not tests:
            monkeypatch.setattr(train, "_test", lambda *_: (None, None))
        monkeypatch.setattr(train, "plot_curves", lambda *_, **__: None)
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        start(folder, patients, *ONE, f"+callbacks.recorder._target_={MODULE}.Recorder", *overrides)
        return Recorder.run

    yield train_quickly
    torch.use_deterministic_algorithms(False)


@dataclass(frozen=True)
class Case:
    """Overrides that set an argument, and the effect of the training with them."""

    overrides: tuple[str, ...]
    has_effect: Callable[[Run], bool]


def case(*overrides: str, effect: Callable[[Run], bool]) -> Case:
    return Case(overrides, effect)


CASES: dict[str, Case] = {
    "accelerator": case("trainer.accelerator=cpu", effect=lambda run: run.trainer.strategy.root_device.type == "cpu"),
    "strategy": case(
        "trainer.strategy={_target_: pytorch_lightning.strategies.SingleDeviceStrategy, device: cpu}",
        effect=lambda run: type(run.trainer.strategy) is SingleDeviceStrategy,
    ),
    "precision": case(
        "trainer.precision=64-true",
        effect=lambda run: last(run)["state_dict"]["network.head.weight"].dtype == torch.float64,
    ),
    "plugins": case(
        f"trainer.plugins={{_target_: {MODULE}.CountingIO}}",
        effect=lambda run: CountingIO.written == ["best.ckpt", "last.ckpt"] and run.files == set(CountingIO.written),
    ),
    "max_epochs": case("trainer.max_epochs=2", effect=lambda run: len(run.epochs) == 2),
    "min_epochs": case(*STOP, "trainer.max_epochs=9", "trainer.min_epochs=4", effect=lambda run: len(run.epochs) == 4),
    "max_steps": case(
        "trainer.max_epochs=-1",
        "trainer.max_steps=8",
        # The second epoch ends early, without a validation: only the first is scored.
        effect=lambda run: (
            len(run.digests) == 8 and best(run)["epoch"] == 0 and scored_epochs(run) == [0] and last(run)["epoch"] == 1
        ),
    ),
    "min_steps": case(*STOP, "trainer.max_epochs=9", "trainer.min_steps=20", effect=lambda run: len(run.epochs) == 4),
    "max_time": case(
        "trainer.max_epochs=-1",
        "trainer.max_time='00:00:00:01'",
        effect=lambda run: 0 < len(run.digests) < 6000 and run.files == {"best.ckpt", "last.ckpt"},
    ),
    "accumulate_grad_batches": case(
        "trainer.accumulate_grad_batches=3", effect=lambda run: run.trainer.global_step == 2
    ),
    "gradient_clip_val": case(
        *STEP,
        "optimizer.weight_decay=0",
        "trainer.gradient_clip_val=1e-6",
        effect=lambda run: 0 < run.moved <= 1e-6,
    ),
    "gradient_clip_algorithm": case(
        *STEP,
        "optimizer.weight_decay=0",
        "trainer.gradient_clip_val=1e-3",
        "trainer.gradient_clip_algorithm=value",
        effect=lambda run: run.moved == pytest.approx(1e-3, rel=1e-2),  # by norm, no weight would move as far
    ),
    "val_check_interval": case("trainer.val_check_interval=3", effect=lambda run: len(run.validations) == 2),
    "check_val_every_n_epoch": case(
        "trainer.max_epochs=5",
        "trainer.check_val_every_n_epoch=2",
        effect=lambda run: scored_epochs(run) == [1, 3] and best(run)["epoch"] in (1, 3) and last(run)["epoch"] == 4,
    ),
    "num_sanity_val_steps": case(
        "trainer.num_sanity_val_steps=1",
        effect=lambda run: [count for count, _ in run.validations] == [1, 1] and len(run.epochs) == 1,
    ),
    "limit_train_batches": case("trainer.limit_train_batches=2", effect=lambda run: len(run.digests) == 2),
    "limit_val_batches": case(
        "trainer.limit_val_batches=0", effect=lambda run: run.validations == [] and run.files == {"last.ckpt"}
    ),
    "overfit_batches": case(
        "trainer.max_epochs=3",
        "trainer.overfit_batches=2",
        effect=lambda run: len(run.digests) == 6 and run.digests[:2] == run.digests[2:4] == run.digests[4:],
    ),
    "reload_dataloaders_every_n_epochs": case(
        "trainer.max_epochs=3",
        "trainer.reload_dataloaders_every_n_epochs=2",
        effect=lambda run: run.trainer.fit_loop._combined_loader is not None and len(run.epochs) == 3,
    ),
    "deterministic": case("trainer.deterministic=true", effect=lambda run: run.deterministic),
    "benchmark": case(
        "trainer.deterministic=true", "trainer.benchmark=true", effect=lambda run: torch.backends.cudnn.benchmark
    ),
    "inference_mode": case(
        "trainer.inference_mode=false", effect=lambda run: run.validations[0] == (run.validations[0][0], False)
    ),
    "detect_anomaly": case("trainer.detect_anomaly=true", effect=lambda run: run.anomalies),
    "profiler": case(
        "trainer.profiler=simple",
        effect=lambda run: "run_training_batch" in (run.folder / "fit-profile.txt").read_text(),
    ),
    "log_every_n_steps": case("trainer.log_every_n_steps=2", effect=lambda run: read(run, "log_every_n_steps") == 2),
    "enable_progress_bar": case("trainer.enable_progress_bar=true", effect=lambda run: has(run, ProgressBar)),
    "enable_model_summary": case("trainer.enable_model_summary=true", effect=lambda run: has(run, ModelSummary)),
    "enable_autolog_hparams": case(
        "trainer.enable_autolog_hparams=false", effect=lambda run: run.trainer.enable_autolog_hparams is False
    ),
}  # fmt: skip
"""A training for each argument. Those of :data:`ELSEWHERE` have a test of their own."""

ELSEWHERE = {
    "devices": "test_a_trainer_of_several_processes, and trainings in test_devices.py and test_clipping.py",
    "num_nodes": "test_a_trainer_of_several_processes",
    "sync_batchnorm": "test_sync_batchnorm_is_refused_on_a_cpu: it needs several GPUs",
    "fast_dev_run": "test_a_run_without_checkpoints_tests_the_weights_in_memory",
    "enable_checkpointing": "test_a_run_without_checkpoints_tests_the_weights_in_memory",
    "limit_test_batches": "test_limited_test",
}


def last(run: Run) -> dict[str, Any]:
    return read_checkpoint(run.folder / "checkpoints/last.ckpt")


def best(run: Run) -> dict[str, Any]:
    return read_checkpoint(run.folder / "checkpoints/best.ckpt")


def scored_epochs(run: Run) -> list[int]:
    return [int(row["epoch"]) for row in run.epochs if row["val/loss"]]


def has(run: Run, kind: type[pl.Callback]) -> bool:
    return any(isinstance(callback, kind) for callback in read(run, "callbacks"))


def read(run: Run, attribute: str) -> Any:
    return getattr(run.trainer, attribute)


def test_the_section_has_the_arguments_of_lightning_and_their_defaults():
    defaults = {entry.name: entry.default for entry in fields(TrainerConfig)}
    assert defaults.keys() == PARAMETERS.keys()
    assert {*CASES, *ELSEWHERE, *REFUSED} == PARAMETERS.keys()
    assert defaults == {name: OWN_DEFAULTS.get(name, each.default) for name, each in PARAMETERS.items()}


@pytest.mark.parametrize("name", CASES)
def test_argument_has_its_effect(name, run):
    assert CASES[name].has_effect(run(*CASES[name].overrides))


@pytest.mark.parametrize("name", REFUSED)
def test_argument_is_refused_with_the_reason(name):
    with pytest.raises(UserError, match=rf"^trainer\.{name}=1: .*{REFUSED[name][-20:]}".replace("+", r"\+")):
        configure(f"trainer.{name}=1")


def test_a_trainer_of_several_processes():
    def make(*overrides: str) -> pl.Trainer:
        return make_trainer(configure("trainer=cpu", *overrides).trainer, logger=False)

    assert make("trainer.devices=2").world_size == 2
    assert make("trainer.devices=2", "trainer.num_nodes=3").world_size == 6


@pytest.mark.parametrize("override", ["trainer.fast_dev_run=true", "trainer.enable_checkpointing=false"])
def test_a_run_without_checkpoints_tests_the_weights_in_memory(override, run, caplog):
    result = run(override, "data.batch_size=2", tests=True)
    assert result.files == set()
    assert len(result.digests) == (1 if "fast" in override else 12)
    metrics = json.loads((result.folder / "metrics.json").read_text())
    assert metrics["model"]["members"] == [{"name": metrics["model"]["name"], "checkpoint": None, "sha256": None}]
    assert "The weights were not saved." in metrics["data"]["remarks"]
    assert metrics["data"]["images"] == (2 if "fast" in override else 3)
    assert f"{override}: no checkpoint is written" in caplog.text


def test_limited_test(run):
    result = run("trainer.limit_test_batches=1", "data.batch_size=2", tests=True)
    assert json.loads((result.folder / "metrics.json").read_text())["data"]["images"] == 2


def test_neither_a_check_before_training_nor_new_loaders_change_the_result(run):
    first, *others = (
        (run("trainer.max_epochs=2", *more).folder / "metrics.csv").read_bytes()
        for more in ((), ("trainer.num_sanity_val_steps=-1",), ("trainer.reload_dataloaders_every_n_epochs=1",))
    )
    assert others == [first, first]


def test_a_validation_before_the_last_batch_scores_no_epoch(run):
    result = run("trainer.val_check_interval=4")
    assert len(result.validations) == 1
    assert result.files == {"last.ckpt"}
    assert not any(name.startswith("val/") for name in result.epochs[0])


def test_the_progress_bar_and_the_summary_can_be_switched_off(run):
    off = ("trainer.enable_progress_bar=false", "trainer.enable_model_summary=false")
    result = run("callbacks=default", *off)
    assert not has(result, ProgressBar)
    assert not has(result, ModelSummary)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trainer.val_check_interval=1.5", r"trainer\.val_check_interval=1\.5: Lightning refuses it"),
        ("trainer.strategy=fast", r"trainer\.accelerator=cpu, .*trainer\.strategy=fast: not available"),
        ("trainer.strategy={_target_: nowhere.Strategy}", r"trainer\.strategy: nowhere\.Strategy cannot be inst"),
        ("trainer.profiler={_target_: nowhere.Profiler}", r"trainer\.profiler: nowhere\.Profiler cannot be inst"),
        ("trainer.overfit_batches=0.01", "Lightning refuses to train with these settings: You requested to check 0.01"),
        ("trainer.val_check_interval=7", "Lightning refuses to train with these settings: `val_check_interval`"),
    ],
)
def test_what_lightning_refuses_is_reported_in_one_line(override, message, run):
    with pytest.raises(UserError, match=message) as refused:
        run(override)
    assert "\n" not in str(refused.value)
