"""Loggers by ``_target_``: of the user, of Lightning, and MLflow."""

from __future__ import annotations

import csv
import json
import logging
import shutil
from typing import Any
from unittest.mock import patch

import pytest
from pytorch_lightning import Trainer

from lss_lightning.errors import UserError
from lss_lightning.labels import LUMBAR
from lss_lightning.workflows import train
from lss_lightning.workflows.recording import record_run
from tests.reporting.loggers.samples import make_description
from tests.workflows import altered
from tests.workflows.own_loggers import BrokenLogger, LoggingCallback, OwnLogger
from tests.workflows.quick_runs import rows, start
from tests.workflows.test_evaluate import score

HERE = "tests.workflows.own_loggers"
OWN = f"+logger.own._target_={HERE}.OwnLogger"
QUICK = ("trainer.max_epochs=2", "trainer.limit_train_batches=2", "examples.count=1")


@pytest.fixture(scope="module", autouse=True)
def no_figures():
    altered.skip_figures()
    yield
    patch.stopall()


@pytest.fixture(autouse=True)
def no_loggers():
    OwnLogger.created.clear()
    BrokenLogger.created.clear()


@pytest.fixture(scope="module")
def own_run(patients, tmp_path_factory):
    """A run with a logger and a callback of the user: its folder, the logger, and the lines of the log."""
    folder = tmp_path_factory.mktemp("own") / "run"
    make_callbacks = train.make_callbacks
    lines: list[str] = []
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(
            train, "make_callbacks", lambda *args, **kw: [*make_callbacks(*args, **kw), LoggingCallback()]
        )
        monkeypatch.setattr(logging.getLogger("lss_lightning.workflows.recording"), "info", lines.append)
        light = "+logger.light._target_=pytorch_lightning.loggers.CSVLogger"
        start(folder, patients, *QUICK, "logger=tensorboard", OWN, light, "trainer.limit_train_batches=1.0")
    [logger] = OwnLogger.created
    return folder, logger, lines


def test_callbacks_find_the_loggers_in_the_trainer(own_run):
    assert LoggingCallback.loggers == ["CSVLogger", "TensorBoardLogger", "OwnLogger", "CSVLogger"]


def test_each_epoch_is_one_row_with_the_epoch_as_step(own_run):
    folder, logger, _ = own_run
    epochs = [(metrics, step) for metrics, step in logger.rows if "train/loss" in metrics]
    assert [step for _, step in epochs] == [0, 1]
    written = zip(rows(folder / "metrics.csv"), rows(folder / "timing.csv"), strict=True)
    for (metrics, _), (row, timing) in zip(epochs, written, strict=True):
        own = {name: float(text) for name, text in {**row, **timing}.items() if not name.startswith("own/")}
        assert metrics == own
        assert {"epoch", "val/mean_iou", "lr", "grad_norm", "seconds", "images_per_second"} <= metrics.keys()


def test_settings_are_flat(own_run):
    _, logger, _ = own_run
    assert (logger.settings["optimizer.lr"], logger.settings["model"]) == (0.0001, "resunet")
    assert not any(key.startswith(("logger", "examples", "paths")) for key in logger.settings)


def test_metrics_of_a_callback_reach_every_logger(own_run):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder, logger, _ = own_run
    assert [value for value, _ in logger.find("own/epoch")] == [10.0, 11.0]
    assert [value for value, _ in logger.find("own/direct")][:2] == [0.0, 1.0]
    table = rows(folder / "metrics.csv")
    assert [float(row["own/epoch"]) for row in table] == [10.0, 11.0]
    last = float(len(logger.find("own/direct")) // 2 - 1)
    assert [float(row["own/direct"]) for row in table] == [last, last]
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    assert [event.value for event in events.Scalars("own/epoch")] == [10.0, 11.0]
    assert [event.step for event in events.Scalars("val/mean_iou")] == [0, 1]
    with (folder / "light" / "metrics.csv").open() as stream:
        lightning_rows = list(csv.DictReader(stream))
    assert {"own/epoch", "train/loss", "test/mean_iou"} <= lightning_rows[0].keys()


def test_metrics_of_a_batch_are_logged_as_often_as_the_trainer_says(own_run):
    _, logger, _ = own_run
    assert logger.find("own/batch") == []  # every 50 batches by default


def test_a_logger_that_takes_no_report_gets_the_scores_and_says_so_once(own_run):
    folder, logger, lines = own_run
    metrics = json.loads((folder / "metrics.json").read_text())
    assert logger.find("test/mean_iou") == [(metrics["mean_iou"], metrics["validation"]["epoch"])]
    assert {f"test/iou/{key}" for key in LUMBAR.keys} <= logger.rows[-1][0].keys()
    assert lines == [
        "logger.own: OwnLogger accepts metrics and settings, but no images, tables or report",
        "logger.light: CSVLogger accepts metrics and settings, but no images, tables or report",
    ]
    assert logger.statuses[-1] == "success"


def test_the_run_directory_has_no_folder_of_versions(own_run):
    folder, _, _ = own_run
    assert {path.name for path in (folder / "light").iterdir()} == {"metrics.csv", "hparams.yaml"}
    assert not list(folder.rglob("version_*"))
    assert not list(folder.rglob("lightning_logs"))
    assert [path.name.split(".")[0] for path in (folder / "tensorboard").iterdir()] == ["events"]


def test_a_resume_keeps_what_a_callback_passed_on(own_run, patients, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(own_run[0], folder)
    before = (folder / "metrics.csv").read_text().splitlines()
    last = f"ckpt_path={folder}/checkpoints/last.ckpt"
    (folder / ".hydra").mkdir()
    start(folder, patients, *QUICK, "trainer.max_epochs=3", last)
    after = rows(folder / "metrics.csv")
    assert len(after) == 3
    assert rows_of(before) == [{name: row[name] for name in rows_of(before)[0]} for row in after[:2]]


def rows_of(lines: list[str]) -> list[dict[str, str]]:
    return list(csv.DictReader(lines))


def test_a_logger_that_does_not_start_ends_the_run_in_one_line(patients, tmp_path):
    broken = f"+logger.broken._target_={HERE}.BrokenLogger"
    message = (
        r"^logger\.broken: BrokenLogger did not start \(no answer from server:5000\); .* with logger\.broken=null$"
    )
    with pytest.raises(UserError, match=message):
        start(tmp_path / "run", patients, *QUICK, OWN, broken)
    own, broken_logger = OwnLogger.created
    assert own.statuses == ["failed"]
    assert broken_logger.statuses == []
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_a_logger_that_the_trainer_replaces_is_not_started(tmp_path):
    trainer: Any = Trainer(fast_dev_run=True, accelerator="cpu", logger=[logger := OwnLogger()])
    with record_run(trainer, {"own": logger}, make_description(tmp_path)):
        pass
    assert (logger.settings, logger.statuses) == ({}, [])


def test_an_evaluation_is_recorded_by_the_same_loggers(own_run, tmp_path):
    folder, _, _ = own_run
    metrics = score(tmp_path / "out", folder / "checkpoints" / "best.ckpt", OWN)
    [logger] = OwnLogger.created
    assert logger.find("test/mean_iou") == [(metrics["mean_iou"], 0)]
    assert logger.settings["subset"] == "test"
    assert logger.statuses[-1] == "success"


def test_mlflow_records_a_run_and_its_resume_as_one_run(patients, tmp_path):
    pytest.importorskip("mlflow", reason="MLflow is not installed: pip install 'lss-lightning[mlflow]'")
    from mlflow.tracking import MlflowClient

    database, folder = f"sqlite:///{tmp_path}/mlflow.db", tmp_path / "run"
    line = (
        "logger=mlflow",
        f"logger.mlflow.tracking_uri={database}",
        f"logger.mlflow.artifact_location={tmp_path}/files",
    )
    (folder / ".hydra").mkdir(parents=True)
    start(folder, patients, *QUICK, *line, "trainer.max_epochs=1", "examples.every=1")
    start(folder, patients, *QUICK, *line, "examples.every=1", f"ckpt_path={folder}/checkpoints/last.ckpt")
    client = MlflowClient(database)
    [experiment] = [each for each in client.search_experiments() if each.name == "lss_lightning"]
    [run] = client.search_runs([experiment.experiment_id])
    assert (run.info.run_name, run.info.status) == ("resunet-test_resnet, seed 0", "FINISHED")
    assert run.data.params["optimizer.lr"] == "0.0001"
    assert run.data.tags["job"] == "train"
    history = client.get_metric_history(run.info.run_id, "train/loss")
    assert [metric.step for metric in history] == [0, 1]
    assert [metric.value for metric in history] == [float(row["train/loss"]) for row in rows(folder / "metrics.csv")]
    assert run.data.metrics["test/mean_iou"] == json.loads((folder / "metrics.json").read_text())["mean_iou"]
    stored = {
        file.path for part in ("val", "test", "checkpoints") for file in client.list_artifacts(run.info.run_id, part)
    }
    assert {"val/slices-0000.png", "val/slices-0001.png", "test/cases.md", "checkpoints/best.ckpt"} <= stored
