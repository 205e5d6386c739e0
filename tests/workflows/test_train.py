from __future__ import annotations

import json

import pytest
import torch

from lss_lightning.errors import UserError
from lss_lightning.labels import LUMBAR
from lss_lightning.models.checkpoint import CheckpointMetadata, read_checkpoint
from lss_lightning.models.specs import UNetSpec
from lss_lightning.workflows import train
from tests.conftest import configure, write_patients, write_slice
from tests.workflows.quick_runs import rows, start


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Return the directory of a run of two epochs on ten patients, and the objective that it returned."""
    root = tmp_path_factory.mktemp("finished")
    write_patients(root / "tree")
    objective = start(root / "run", root / "tree", "trainer.max_epochs=2")
    return root / "run", objective


@pytest.mark.parametrize("model", ["resunet", "inception_unet", "vgg16_unet"])
def test_every_model_trains_validates_and_tests_a_batch(model, tmp_path):
    config = configure(
        f"model={model}",
        "debug=one_batch",
        "data.patients=10",
        "data.image_size=64",
        "data.batch_size=2",
        f"paths.data={tmp_path}",
        "trainer=cpu",
        "callbacks=quiet",
    )
    run = tmp_path / "run"
    run.mkdir()
    train.run(config, run)
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["data"]["name"] == "phantom"
    assert metrics["data"]["images"] == 2  # one batch
    assert len(list((tmp_path / "cache").glob("slices-*"))) == 1
    assert set(metrics["iou"]) == set(LUMBAR.keys)
    assert "Phantom" in (run / "report" / "table2.md").read_text()


def test_run_directory_contains_all_files(finished):
    run, objective = finished
    names = {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()}
    assert names >= {
        "checkpoints/best.ckpt",
        "checkpoints/last.ckpt",
        "metrics.csv",
        "timing.csv",
        "metrics.json",
        "split.csv",
        "report/table2.md",
        "report/table2.csv",
        "report/curves.png",
        "report/examples.png",
        "report/confusion.png",
        "report/index.html",
        "checkpoints/model-card.md",
    }
    epochs = rows(run / "metrics.csv")
    assert [row["epoch"] for row in epochs] == ["0", "1"]
    assert {"train/loss", "val/loss", "train/mean_iou", "val/mean_iou_anatomy", "lr"} <= epochs[0].keys()
    assert {f"val/iou/{key}" for key in LUMBAR.keys} <= epochs[0].keys()
    assert float(epochs[0]["lr"]) == 0.0001
    assert objective == max(float(row["val/mean_iou_anatomy"]) for row in epochs)


def test_metrics_json_describes_the_test(finished):
    run, objective = finished
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["schema"] == 1
    about = metrics["data"]
    assert (about["subset"], about["protocol"], about["images"], about["patients"]) == ("test", "patient", 3, 1)
    assert about["spacing_mm"] == pytest.approx(220 / 64)
    assert about["excluded_seen"] == 0
    assert metrics["validation"]["objective"] == objective
    assert metrics["timing"]["epochs"] == 2


def test_checkpoint_contains_the_metadata_of_the_run(finished):
    run, _ = finished
    content = read_checkpoint(run / "checkpoints" / "best.ckpt")
    metadata = CheckpointMetadata.from_checkpoint(content)
    assert metadata.config["optimizer"]["lr"] == 0.0001
    assert isinstance(metadata.network, UNetSpec)
    assert metadata.network.encoder == "test_resnet"
    assert len(metadata.seen) == 27  # nine of ten patients were used for training or selection
    parts = [row["part"] for row in rows(run / "split.csv")]
    assert {part: parts.count(part) for part in set(parts)} == {"train": 24, "val": 3, "test": 3}


def test_a_used_directory_is_refused(finished):
    run, _ = finished
    before = (run / "metrics.csv").read_bytes()
    with pytest.raises(UserError, match="already holds a run"):
        start(run, run.parent / "tree", "trainer.max_epochs=1")
    assert (run / "metrics.csv").read_bytes() == before


def test_without_a_selection_part_the_last_epoch_is_tested(tree, tmp_path):
    objective = start(tmp_path / "run", tree, "split=image", "trainer.max_epochs=2")
    assert objective is None
    assert not (tmp_path / "run/checkpoints/best.ckpt").exists()
    metrics = json.loads((tmp_path / "run/metrics.json").read_text())
    assert metrics["validation"] == {"objective": None, "epoch": 1}
    assert any("also in the training set" in remark for remark in metrics["data"]["remarks"])


def test_cache_can_be_switched_off(tree, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    start(tmp_path / "run", tree, "paths.cache=null", "trainer.max_epochs=1", "trainer.limit_train_batches=1")
    assert {path.name for path in tmp_path.iterdir()} == {"run", "tree"}


def test_selection_on_test_is_disclosed(tree, tmp_path):
    start(tmp_path / "run", tree, "split=image", "split.select_on_test=true", "trainer.max_epochs=1")
    assert "Selected on test" in (tmp_path / "run/report/table2.md").read_text()
    metadata = CheckpointMetadata.from_checkpoint(read_checkpoint(tmp_path / "run/checkpoints/best.ckpt"))
    assert len(metadata.seen) == 30  # the test slices selected the epoch, so they count as seen


def test_resubstitution_is_disclosed(tree, tmp_path):
    start(tmp_path / "run", tree, "split=resubstitution", "trainer.max_epochs=1")
    assert "same slices (resubstitution)" in (tmp_path / "run/report/table2.md").read_text()


def test_slices_of_different_sizes_train_together(tmp_path):
    root = tmp_path / "mixed"
    for patient in range(1, 11):
        write_slice(root, f"{patient:04d}", "D3", (64, 64) if patient % 3 else (56, 80))
    start(tmp_path / "run", root, "trainer.max_epochs=1")
    assert json.loads((tmp_path / "run/metrics.json").read_text())["data"]["images"] == 1


@pytest.mark.parametrize("loss", ["cross_entropy", "dice_cross_entropy", "focal"])
@pytest.mark.parametrize("weights", ["none", "inverse", "effective"])
def test_every_loss_trains_with_every_kind_of_class_weights(loss, weights, tree, tmp_path):
    start(
        tmp_path / "run",
        tree,
        f"loss={loss}",
        f"loss.class_weights={weights}",
        "trainer.max_epochs=1",
        "trainer.limit_train_batches=1",
    )
    row = rows(tmp_path / "run/metrics.csv")[0]
    assert 0 < float(row["train/loss"]) < 20


def test_an_input_too_small_for_batch_norm_is_refused(tmp_path):
    root = tmp_path / "small"
    for patient in range(1, 11):
        write_slice(root, f"{patient:04d}", "D3", (32, 32))
    with pytest.raises(UserError, match="batch") as refusal:
        start(tmp_path / "run", root, "data.batch_size=1", "trainer.max_epochs=1")
    assert "32" in str(refusal.value)


def test_an_input_smaller_than_the_encoder_stride_is_refused(tmp_path):
    root = tmp_path / "tiny"
    for patient in range(1, 11):
        write_slice(root, f"{patient:04d}", "D3", (24, 40))
    with pytest.raises(UserError, match="24x40"):
        start(tmp_path / "run", root, "trainer.max_epochs=1")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("+optimizer.nesterov=true", "optimizer.*nesterov"),
        ("optimizer._target_=torch.optim.Nope", "optimizer.*Nope"),
        ("+loss.beta=3", "loss.*beta"),
        ("model.decoder_channels=[32,16]", "decoder"),
    ],
)
def test_settings_that_the_library_rejects_are_refused_in_one_line(override, message, tree, tmp_path):
    with pytest.raises(UserError, match=message) as refusal:
        start(tmp_path / "run", tree, override, "trainer.max_epochs=1")
    assert "\n" not in str(refusal.value)


def test_the_same_seed_gives_the_same_weights(tree, tmp_path):
    states = []
    for name in ("first", "second"):
        start(tmp_path / name, tree, "trainer.max_epochs=1", "trainer.precision=32-true", "trainer.deterministic=true")
        states.append(read_checkpoint(tmp_path / name / "checkpoints/last.ckpt")["state_dict"])
    for name, weights in states[0].items():
        assert torch.equal(weights, states[1][name]), name
