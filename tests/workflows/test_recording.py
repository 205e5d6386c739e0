"""Runs as the loggers record them."""

from __future__ import annotations

import json
from contextlib import nullcontext
from unittest.mock import Mock, patch

import numpy as np
import pytest
from PIL import Image
from pytorch_lightning.loggers import Logger

from lss_lightning.config.evaluate import EvaluateConfig
from lss_lightning.config.validation import build_config
from lss_lightning.errors import PrunedError, UserError
from lss_lightning.labels import LUMBAR
from lss_lightning.reporting.loggers import wandb_workspace
from lss_lightning.workflows import evaluate
from lss_lightning.workflows.recording import record_run
from tests.conftest import compose_command
from tests.reporting.loggers.wandb_recorder import record_wandb
from tests.workflows import altered
from tests.workflows.quick_runs import rows, start

OFFLINE = ("logger=many", "logger.wandb.mode=offline", "examples.count=2", "examples.every=1")


@pytest.fixture(scope="module")
def recorded(patients, tmp_path_factory):
    """A run of two epochs in a sweep: its folder, and the record of W&B."""
    root = tmp_path_factory.mktemp("tracking")
    folder = root / "sweep" / "0"
    folder.mkdir(parents=True)
    (folder.parent / "sweep.yaml").write_text("")
    (folder / ".hydra").mkdir()
    with record_wandb(root / "isolated") as record:
        start(folder, patients, *OFFLINE, "trainer.max_epochs=2", "seed=3", "split=kfold", "split.fold=1")
        yield folder, record


@pytest.fixture
def without_figures():
    altered.skip_figures()
    yield
    patch.stopall()


def test_each_epoch_is_recorded_in_wandb(recorded):
    folder, record = recorded
    epochs = [row for row, _ in record.rows if "train/loss" in row]
    assert [row["epoch"] for row in epochs] == [0, 1]
    for row, written, timing in zip(epochs, rows(folder / "metrics.csv"), rows(folder / "timing.csv"), strict=True):
        for name, text in [*written.items(), *timing.items()]:
            assert row[name] == pytest.approx(float(text)), name
        expected = {"train/loss", "val/loss", "val/mean_iou", "val/mean_iou_anatomy", "lr", "grad_norm"}
        expected |= {"images_per_second"} | {f"val/iou/{key}" for key in LUMBAR.keys}
        assert expected <= row.keys()
        assert row["grad_norm"] > 0
        assert row["images_per_second"] > 0


def test_the_same_slices_are_shown_in_each_epoch(recorded):
    _, record = recorded
    first, second = ([image._caption for image in images] for images in record.values_of("val/slices"))
    assert first == second
    assert len(first) == 2
    stripes = np.broadcast_to(np.arange(64)[:, None] * 6 // 64, (64, 64))
    for images in record.values_of("val/slices"):
        for image in images:
            assert np.array_equal(np.asarray(Image.open(image._masks["label"]._path)), stripes)


def test_the_test_result_is_recorded_in_wandb(recorded):
    folder, record = recorded
    metrics = json.loads((folder / "metrics.json").read_text())
    [last] = [row for row, _ in record.rows if "test/cases" in row]
    assert last["test/mean_iou_anatomy"] == metrics["mean_iou_anatomy"]
    assert last["objective"] == metrics["validation"]["objective"]
    for key in LUMBAR.keys:
        assert last[f"test/iou/{key}"] == metrics["iou"][key]
    table = last["test/cases"]
    assert len(table.data) == metrics["data"]["images"]
    scores = {(line["patient"], line["level"], line["class"]): line["iou"] for line in rows(folder / "per_image.csv")}
    for patient, level, _, *ious, _slice in table.data:
        for key, iou in zip(LUMBAR.keys, ious, strict=True):
            assert iou == pytest.approx(float(scores[patient, level, key]), abs=1e-6)
    pixel_count = sum(pixels for _, _, pixels in last["test/confusion"].table.data)
    assert pixel_count == metrics["data"]["images"] * 64 * 64
    for path in (folder / "report").glob("*.png"):
        assert f"figure/{path.stem}" in last
    for path in (folder / "report").glob("*.html"):
        assert f"page/{path.stem}" in last


def test_best_checkpoint_is_an_artifact(recorded):
    folder, record = recorded
    [(artifact, aliases)] = record.artifacts
    metrics = json.loads((folder / "metrics.json").read_text())
    assert aliases == ["best", f"epoch-{metrics['validation']['epoch']}"]
    assert artifact.metadata["objective"] == metrics["validation"]["objective"]
    assert artifact.manifest.entries["best.ckpt"].size == (folder / "checkpoints" / "best.ckpt").stat().st_size


def test_folds_and_seeds_of_a_sweep_share_a_group(recorded):
    _, record = recorded
    [run] = record.runs
    assert run.group.endswith("/sweep")
    assert (run.job_type, run.name) == ("train", "resunet-test_resnet, fold 1, seed 3")
    assert (run.config["split.fold"], run.config["seed"], run.config["optimizer.lr"]) == (1, 3, 0.0001)
    assert (run.config["model"], run.config["encoder"], run.config["data.batch_size"]) == ("resunet", "test_resnet", 4)
    assert record.exit_codes == [0]


def test_the_run_is_recorded_in_tensorboard_too(recorded):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder, _ = recorded
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    written = [float(row["val/mean_iou"]) for row in rows(folder / "metrics.csv")]
    assert [event.value for event in events.Scalars("val/mean_iou")] == pytest.approx(written)
    assert {"val/slices", "figure/confusion"} <= set(events.Tags()["images"])


def test_the_dashboard_refers_only_to_logged_metrics_and_settings(recorded):
    _, record = recorded
    settings = {key for run in record.runs for key in dict(run.config)}
    workspace = wandb_workspace.build_workspace("spines", "team", LUMBAR.keys)
    metrics_used: set[str] = set()
    settings_used: set[str] = set()
    for section in workspace.sections:
        for panel in section.panels:
            spec = panel._to_model().model_dump_json(by_alias=True)
            panel_metrics, panel_settings = find_names(panel)
            assert panel_metrics | panel_settings, type(panel).__name__
            assert all(name in spec for name in panel_metrics)
            metrics_used |= panel_metrics
            settings_used |= panel_settings
    for column in workspace.runset_settings.pinned_columns:
        kind, _, name = column.partition(":")
        if kind != "run":
            (settings_used if kind == "config" else metrics_used).add(name.removesuffix(".value"))
    assert metrics_used - record.keys == set()
    assert settings_used - settings == set()
    assert {f"test/iou/{key}" for key in LUMBAR.keys} <= metrics_used
    assert {"optimizer.lr", "data.batch_size", "model"} <= settings_used
    assert '"config:optimizer.lr.value"' in workspace._to_model().spec.model_dump_json(by_alias=True)


def find_names(panel):
    """Return the metrics and the settings that a panel shows."""
    metrics, settings = set(), set()
    names = [getattr(panel, "x", None), *getattr(panel, "y", []), *getattr(panel, "metrics", [])]
    names += [*getattr(panel, "media_keys", []), getattr(panel, "table_name", None)]
    names += [getattr(panel, "with_respect_to", None), getattr(panel, "groupby", None)]
    names += [column.metric for column in getattr(panel, "columns", [])]
    for name in filter(None, names):
        if type(name).__name__ == "Config":
            settings.add(name.name)
        else:
            metrics.add(getattr(name, "name", name))
    return metrics, settings


def test_an_evaluation_is_recorded_in_the_group_of_the_training(recorded, without_figures, tmp_path):
    folder, _ = recorded
    line = ["ckpt_path=" + str(folder / "checkpoints" / "best.ckpt"), "trainer=cpu", *OFFLINE[:3]]
    cfg, _ = compose_command("evaluate", *line)
    with record_wandb(tmp_path / "isolated") as record:
        evaluate.run(build_config(EvaluateConfig, cfg, given=frozenset()), tmp_path)
    [run] = record.runs
    assert (run.job_type, run.group.rpartition("/")[2]) == ("evaluate", "sweep")
    assert run.name == "resunet-test_resnet on alkafri, test set"
    assert (run.config["model"], run.config["subset"], run.config["split.fold"]) == ("resunet", "test", 1)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert record.values_of("test/mean_iou_anatomy") == [metrics["mean_iou_anatomy"]]
    assert len(record.values_of("test/cases")[0].data) == metrics["data"]["images"]
    assert record.artifacts == []


def test_no_slice_is_recorded_without_examples(patients, without_figures, tmp_path):
    with record_wandb(tmp_path / "isolated") as record:
        quick = ("trainer.max_epochs=1", "trainer.limit_train_batches=1", "examples.count=0")
        start(tmp_path / "run", patients, *OFFLINE[:2], *quick)
    assert "val/slices" not in record.keys
    [table] = record.values_of("test/cases")
    assert "Slice" not in table.columns
    assert len(table.data) == 3


def test_a_resumed_run_keeps_its_id(patients, without_figures, tmp_path):
    folder = tmp_path / "run"
    (folder / ".hydra").mkdir(parents=True)
    quick = (*OFFLINE, "trainer.limit_train_batches=1", "examples.count=0")
    with record_wandb(tmp_path / "isolated") as record:
        start(folder, patients, *quick, "trainer.max_epochs=1")
        last = f"ckpt_path={folder}/checkpoints/last.ckpt"
        start(folder, patients, *quick, "trainer.max_epochs=2", last)
        with pytest.raises(UserError, match=r"^logger.wandb: project=other: run \w+ is recorded under project"):
            start(folder, patients, *quick, "trainer.max_epochs=3", last, "logger.wandb.project=other")
    first, second = record.runs
    assert first.id == second.id
    epochs = [(row["train/loss"], row["epoch"]) for row, _ in record.rows if "train/loss" in row]
    assert [epoch for _, epoch in epochs] == [0, 0, 1]  # the second recording is complete by itself
    assert epochs[0] == epochs[1]


def test_a_run_that_stops_early_is_marked_as_failed(patients, tmp_path):
    with record_wandb(tmp_path / "isolated") as record:
        diverging = ("optimizer=sgd", "optimizer.lr=1e30", "trainer.max_epochs=2", "engine.check_every=1")
        with pytest.raises(UserError, match="not finite"):
            start(tmp_path / "run", patients, *OFFLINE, *diverging)
    assert record.exit_codes == [1]


@pytest.mark.parametrize(
    ("error", "status"), [(None, "success"), (PrunedError("stopped"), "success"), (UserError("x"), "failed")]
)
def test_a_pruned_trial_is_not_recorded_as_failed(error, status):
    logger = Mock(spec=Logger)

    def run():
        with record_run(Mock(is_global_zero=True, loggers=[logger]), {"mine": logger}, Mock(settings={})):
            if error is not None:
                raise error

    with nullcontext() if error is None else pytest.raises(type(error)):
        run()
    logger.finalize.assert_called_once_with(status)
