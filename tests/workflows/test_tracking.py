"""A whole run, as it reaches the trackers."""

from __future__ import annotations

import json
from unittest.mock import patch

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from PIL import Image

from lss_lightning.config.evaluate import evaluate_config
from lss_lightning.errors import UserError
from lss_lightning.labels import LUMBAR
from lss_lightning.reporting.trackers import wandb_workspace
from lss_lightning.workflows import evaluate
from lss_lightning.workflows.training.callbacks import ThroughputMonitor
from tests.conftest import compose_command
from tests.reporting.tracking import wandb_of_its_own
from tests.workflows import altered
from tests.workflows.test_train import rows, start

OFFLINE = ("logger=many", "logger.wandb.mode=offline", "logger.examples=2", "logger.examples_every=1")


@pytest.fixture(scope="module")
def tracked(patients, tmp_path_factory):
    """A sweep's run of two epochs: its folder, and what W&B was given."""
    place = tmp_path_factory.mktemp("tracking")
    folder = place / "sweep" / "0"
    folder.mkdir(parents=True)
    (folder.parent / "sweep.yaml").write_text("")
    (folder / ".hydra").mkdir()
    with wandb_of_its_own(place / "apart") as given:
        start(folder, patients, *OFFLINE, "trainer.max_epochs=2", "seed=3", "split=kfold", "split.fold=1")
        yield folder, given


@pytest.fixture
def unpictured():
    altered.unpictured()
    yield
    patch.stopall()


def test_every_epochs_figures_reach_wandb(tracked):
    folder, given = tracked
    epochs = [(row, step) for row, step in given.rows if "train/loss" in row]
    assert [step for _, step in epochs] == [0, 1]
    for (row, _), written, timing in zip(
        epochs, rows(folder / "metrics.csv"), rows(folder / "timing.csv"), strict=True
    ):
        for name, text in [*written.items(), *timing.items()]:
            assert row[name] == pytest.approx(float(text)), name
        wanted = {"train/loss", "val/loss", "val/mean_iou", "val/mean_iou_anatomy", "lr", "grad_norm"}
        wanted |= {"images_per_second"} | {f"val/iou/{key}" for key in LUMBAR.keys}
        assert wanted <= row.keys()
        assert row["grad_norm"] > 0
        assert row["images_per_second"] > 0


def test_the_same_slices_are_shown_each_time(tracked):
    _, given = tracked
    first, second = ([image._caption for image in images] for images in given.of("val/slices"))
    assert first == second
    assert len(first) == 2
    stripes = np.broadcast_to(np.arange(64)[:, None] * 6 // 64, (64, 64))
    for images in given.of("val/slices"):
        for image in images:
            assert np.array_equal(np.asarray(Image.open(image._masks["label"]._path)), stripes)


def test_the_test_reaches_wandb(tracked):
    folder, given = tracked
    metrics = json.loads((folder / "metrics.json").read_text())
    [last] = [row for row, _ in given.rows if "test/cases" in row]
    assert last["test/mean_iou_anatomy"] == metrics["mean_iou_anatomy"]
    assert last["objective"] == metrics["validation"]["objective"]
    for key in LUMBAR.keys:
        assert last[f"test/iou/{key}"] == metrics["iou"][key]
    table = last["test/cases"]
    assert len(table.data) == metrics["data"]["images"]
    scores = {(line["patient"], line["level"], line["class"]): line["iou"] for line in rows(folder / "per_image.csv")}
    for patient, level, _, *ious, _slice in table.data:
        for key, found in zip(LUMBAR.keys, ious, strict=True):
            assert found == pytest.approx(float(scores[patient, level, key]), abs=1e-6)
    counted = sum(pixels for _, _, pixels in last["test/confusion"].table.data)
    assert counted == metrics["data"]["images"] * 64 * 64
    for path in (folder / "report").glob("*.png"):
        assert f"figure/{path.stem}" in last
    for path in (folder / "report").glob("*.html"):
        assert f"page/{path.stem}" in last


def test_the_best_checkpoint_is_an_artifact(tracked):
    folder, given = tracked
    [(artifact, aliases)] = given.artifacts
    metrics = json.loads((folder / "metrics.json").read_text())
    assert aliases == ["best", f"epoch-{metrics['validation']['epoch']}"]
    assert artifact.metadata["objective"] == metrics["validation"]["objective"]
    assert artifact.manifest.entries["best.ckpt"].size == (folder / "checkpoints" / "best.ckpt").stat().st_size


def test_folds_and_seeds_of_a_sweep_are_one_group(tracked):
    _, given = tracked
    [run] = given.runs
    assert run.group.endswith("/sweep")
    assert (run.job_type, run.name) == ("train", "resunet-test_resnet, fold 1, seed 3")
    assert (run.config["split.fold"], run.config["seed"], run.config["optimizer.lr"]) == (1, 3, 0.0001)
    assert (run.config["model"], run.config["encoder"], run.config["data.batch_size"]) == ("resunet", "test_resnet", 4)
    assert given.ends == [0]


def test_tensorboard_stands_beside_it(tracked):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder, _ = tracked
    found = EventAccumulator(str(folder / "tensorboard"))
    found.Reload()
    written = [float(row["val/mean_iou"]) for row in rows(folder / "metrics.csv")]
    assert [event.value for event in found.Scalars("val/mean_iou")] == pytest.approx(written)
    assert {"val/slices", "figure/confusion"} <= set(found.Tags()["images"])


def test_the_dashboard_names_only_what_is_logged(tracked):
    _, given = tracked
    settings = {key for run in given.runs for key in dict(run.config)}
    workspace = wandb_workspace.build("spines", "team", LUMBAR.keys)
    named: dict[str, set[str]] = {"logged": set(), "set": set()}
    for section in workspace.sections:
        for panel in section.panels:
            spec = panel._to_model().model_dump_json(by_alias=True)
            names = names_in(panel)
            assert names["logged"] | names["set"], type(panel).__name__
            assert all(name in spec for name in names["logged"])
            for kind, found in names.items():
                named[kind] |= found
    for column in workspace.runset_settings.pinned_columns:
        kind, _, name = column.partition(":")
        if kind != "run":
            named["set" if kind == "config" else "logged"].add(name.removesuffix(".value"))
    assert named["logged"] - given.keys == set()
    assert named["set"] - settings == set()
    assert {f"test/iou/{key}" for key in LUMBAR.keys} <= named["logged"]
    assert {"optimizer.lr", "data.batch_size", "model"} <= named["set"]
    assert '"config:optimizer.lr.value"' in workspace._to_model().spec.model_dump_json(by_alias=True)


def names_in(panel):
    """The metrics and settings that a panel shows."""
    logged, settings = set(), set()
    plain = [getattr(panel, "x", None), *getattr(panel, "y", []), *getattr(panel, "metrics", [])]
    plain += [*getattr(panel, "media_keys", []), getattr(panel, "table_name", None)]
    plain += [getattr(panel, "with_respect_to", None), getattr(panel, "groupby", None)]
    plain += [column.metric for column in getattr(panel, "columns", [])]
    for name in filter(None, plain):
        if type(name).__name__ == "Config":
            settings.add(name.name)
        else:
            logged.add(getattr(name, "name", name))
    return {"logged": logged, "set": settings}


def test_an_evaluation_is_recorded_beside_the_training(tracked, unpictured, tmp_path):
    folder, _ = tracked
    line = ["ckpt_path=" + str(folder / "checkpoints" / "best.ckpt"), "trainer=cpu", *OFFLINE]
    cfg, _ = compose_command("evaluate", *line)
    with wandb_of_its_own(tmp_path / "apart") as given:
        evaluate.run(evaluate_config(cfg, frozenset()), tmp_path)
    [run] = given.runs
    assert (run.job_type, run.group.rpartition("/")[2]) == ("evaluate", "sweep")
    assert run.name == "resunet-test_resnet on alkafri, test part"
    assert (run.config["model"], run.config["subset"], run.config["split.fold"]) == ("resunet", "test", 1)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert given.of("test/mean_iou_anatomy") == [metrics["mean_iou_anatomy"]]
    assert len(given.of("test/cases")[0].data) == metrics["data"]["images"]
    assert given.artifacts == []


def test_without_pictures_no_slice_is_shown(patients, unpictured, tmp_path):
    with wandb_of_its_own(tmp_path / "apart") as given:
        quick = ("trainer.max_epochs=1", "trainer.limit_train_batches=1", "logger.examples=0")
        start(tmp_path / "run", patients, *OFFLINE[:2], *quick)
    assert "val/slices" not in given.keys
    [table] = given.of("test/cases")
    assert "Slice" not in table.columns
    assert len(table.data) == 3


def test_a_resumed_run_goes_on_under_its_own_id(patients, unpictured, tmp_path):
    folder = tmp_path / "run"
    (folder / ".hydra").mkdir(parents=True)
    quick = (*OFFLINE, "trainer.limit_train_batches=1", "logger.examples=0")
    with wandb_of_its_own(tmp_path / "apart") as given:
        start(folder, patients, *quick, "trainer.max_epochs=1")
        last = f"ckpt_path={folder}/checkpoints/last.ckpt"
        start(folder, patients, *quick, "trainer.max_epochs=2", last)
        with pytest.raises(UserError, match=r"^logger.wandb.project=other: W&B has this run"):
            start(folder, patients, *quick, "trainer.max_epochs=3", last, "logger.wandb.project=other")
    first, second = given.runs
    assert first.id == second.id
    epochs = [(row["train/loss"], step) for row, step in given.rows if "train/loss" in row]
    assert [step for _, step in epochs] == [0, 0, 1]  # the second recording is whole by itself
    assert epochs[0] == epochs[1]


def test_a_run_that_ends_early_is_marked_as_failed(patients, tmp_path):
    with wandb_of_its_own(tmp_path / "apart") as given:
        diverging = ("optimizer=sgd", "optimizer.lr=1e30", "trainer.max_epochs=2", "trainer.check_every=1")
        with pytest.raises(UserError, match="not finite"):
            start(tmp_path / "run", patients, *OFFLINE, *diverging)
    assert given.ends == [1]


class Line(pl.LightningModule):
    """A model of one weight vector, trained by plain descent."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = torch.nn.Parameter(torch.ones(3))

    def training_step(self, batch, index):
        return (self.weights * batch["image"].mean(0)).sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def test_the_gradients_norm_is_the_mean_before_clipping():
    images = [{"image": torch.tensor(line)} for line in ([3.0, 4.0, 0.0], [0.0, 0.0, 1.0], [0.0, 2.0, 0.0])]
    pace = ThroughputMonitor()
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=1, callbacks=[pace], gradient_clip_val=0.5, enable_model_summary=False, **quiet
    )
    trainer.fit(Line(), torch.utils.data.DataLoader(images))
    assert pace.grad_norm == pytest.approx((5 + 1 + 2) / 3)
    assert float(trainer.callback_metrics["grad_norm"]) == pytest.approx(8 / 3)
    assert pace.images_per_second > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["projct=x"], "projct: no such setting; did you mean 'project'?"),
        (["project="], "project is empty"),
    ],
)
def test_the_dashboard_refuses(arguments, message):
    with pytest.raises(UserError) as refused:
        wandb_workspace.main(arguments)
    assert str(refused.value).startswith(message)


def test_the_dashboard_is_built_without_an_account(tmp_path, capsys):
    with wandb_of_its_own(tmp_path):
        wandb_workspace.main(["project=spines"])
    assert capsys.readouterr().out.startswith("4 sections, ")


def test_the_dashboard_needs_its_extra(monkeypatch):
    monkeypatch.setattr(wandb_workspace, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'lss-lightning\[wandb\]'"):
        wandb_workspace.main([])
