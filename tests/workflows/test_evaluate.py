"""``evaluate.py`` with one checkpoint: excluded slices, subsets, settings that contradict it, and the files written."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from lss_lightning.config.evaluate import EvaluateConfig
from lss_lightning.config.validation import build_config
from lss_lightning.errors import UserError
from lss_lightning.metrics import iou
from lss_lightning.workflows import evaluate, train
from tests.conftest import compose_command, configure, write_patients, write_slice
from tests.workflows.quick_runs import QUICK


def evaluation(*overrides: str) -> EvaluateConfig:
    """Return the checked configuration of an `evaluate.py` command line."""
    cfg, hydra = compose_command("evaluate", *overrides)
    given = frozenset(override.partition("=")[0] for override in hydra.overrides.task)
    return build_config(EvaluateConfig, cfg, given=given)


def score(folder: Path, checkpoint: Path, *overrides: str) -> dict[str, Any]:
    """Evaluate a checkpoint in a new folder and return its metrics."""
    folder.mkdir()
    evaluate.run(evaluation(f"ckpt_path={checkpoint}", "trainer=cpu", *overrides), folder)
    metrics: dict[str, Any] = json.loads((folder / "metrics.json").read_text())
    return metrics


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A folder with `tree`, ten patients, and `run`, a training on them for one epoch."""
    root = tmp_path_factory.mktemp("trained")
    write_patients(root / "tree")
    (root / "run").mkdir()
    train.run(configure("data=alkafri", f"data.root={root / 'tree'}", *QUICK, "trainer.max_epochs=1"), root / "run")
    return root


@pytest.fixture(scope="module")
def checkpoint(trained) -> Path:
    return trained / "run/checkpoints/best.ckpt"


def renamed_copy(tree: Path, root: Path) -> Path:
    """Copy slices under the names of other patients, newly encoded and in reverse order."""
    for path in sorted(tree.rglob("*.png")):
        prefix, patient, level = path.stem.split("_")
        target = root / path.parent.relative_to(tree) / f"{prefix}_{500 - int(patient):04d}_{level}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.open(path).save(target, compress_level=1)
    return root


def test_own_data_gives_the_metrics_of_the_training_run(trained, checkpoint, tmp_path):
    metrics = score(tmp_path / "out", checkpoint, f"paths.cache={tmp_path / 'cache'}")
    assert len(list((tmp_path / "cache").glob("slices-*"))) == 1
    before = json.loads((trained / "run/metrics.json").read_text())
    assert metrics["iou"] == before["iou"]
    assert metrics["data"] == before["data"]
    assert {path.name for path in (tmp_path / "out/report").iterdir()} == {
        "table2.md",
        "table2.csv",
        "scores.md",
        "scores.csv",
        "examples.png",
        "confusion.png",
        "boundary_mm.png",
        "reliability.png",
        "worst.png",
        "patients.png",
        "sizes_mm.png",
        "index.html",
        "measurements.md",
        "bland_altman.png",
    }


def test_batch_size_does_not_change_metrics(checkpoint, tmp_path):
    single, batched = (
        score(tmp_path / str(size), checkpoint, f"data.batch_size={size}", "trainer.precision=32-true")
        for size in (1, 8)
    )
    assert single["iou"] == pytest.approx(batched["iou"], abs=1e-4)


def test_seen_slices_are_excluded_whatever_their_name(trained, checkpoint, tmp_path):
    copy = renamed_copy(trained / "tree", tmp_path / "copy")
    for level in ("D3", "D4", "D5"):
        write_slice(copy, "0900", level)
    metrics = score(tmp_path / "out", checkpoint, "data=alkafri", f"data.root={copy}")
    about = metrics["data"]
    assert about["excluded_seen"] == 27
    assert (about["images"], about["patients"]) == (6, 2)  # the test patient under its new name, and the new one
    assert (about["subset"], about["protocol"]) == ("all", "external")
    assert "27 slices excluded" in (tmp_path / "out/report/table2.md").read_text()


def test_slice_with_a_changed_pixel_is_unseen(trained, checkpoint, tmp_path):
    copy = renamed_copy(trained / "tree", tmp_path / "copy")
    path = next((copy / "05_Final_Ground_Truth_Data/Composite_Images").iterdir())
    pixels = np.array(Image.open(path))
    pixels[0, 0] ^= 1
    Image.fromarray(pixels).save(path)
    about = score(tmp_path / "out", checkpoint, "data=alkafri", f"data.root={copy}")["data"]
    assert about["excluded_seen"] + about["images"] == 30


def test_only_seen_slices_are_refused(trained, checkpoint, tmp_path):
    only_seen = tmp_path / "seen"
    seen = {row.split(",")[0] for row in (trained / "run/split.csv").read_text().splitlines() if "train" in row}
    for path in (trained / "tree").rglob("*.png"):
        if path.stem.split("_")[1] in seen:
            target = only_seen / path.relative_to(trained / "tree")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    with pytest.raises(UserError, match="trained or selected on all 24"):
        score(tmp_path / "out", checkpoint, "data=alkafri", f"data.root={only_seen}")


@pytest.mark.parametrize(("subset", "images", "seen"), [("train", 24, 24), ("val", 3, 3), ("all", 30, 27)])
def test_named_subsets_of_own_data_are_tested_with_a_remark(subset, images, seen, checkpoint, tmp_path):
    about = score(tmp_path / "out", checkpoint, f"subset={subset}")["data"]
    assert (about["subset"], about["images"], about["excluded_seen"]) == (subset, images, 0)
    assert f"trained or selected on {seen} of these slices" in " ".join(about["remarks"])


def test_resubstitution_excludes_no_slices(tree, tmp_path):
    (tmp_path / "run").mkdir()
    config = configure("data=alkafri", f"data.root={tree}", *QUICK, "split=resubstitution", "trainer.max_epochs=1")
    train.run(config, tmp_path / "run")
    about = score(tmp_path / "out", tmp_path / "run/checkpoints/best.ckpt", "data=alkafri", f"data.root={tree}")["data"]
    assert (about["images"], about["excluded_seen"]) == (30, 0)
    assert "resubstitution" in " ".join(about["remarks"])


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("data.channels=t2",), "data.channels=t2: the checkpoint was trained with composite"),
        (("data.third_channel=mean",), "data.third_channel=mean: the checkpoint was trained with positive_difference"),
        (("data.spacing=1.0",), "data.spacing=1.0: the checkpoint was trained with"),
        (("data=alkafri", "data.root=/nowhere"), "data.root=/nowhere: no such folder"),
        (("data.root=/nowhere",), "data.root=/nowhere: no such folder"),
        (("subset=trian",), "subset=trian: unknown.*'train'"),
    ],
)
def test_settings_that_contradict_the_checkpoint_are_refused(overrides, message, checkpoint, tmp_path):
    with pytest.raises(UserError, match=message):
        score(tmp_path / "out", checkpoint, *overrides)


def test_other_data_is_read_with_the_channels_of_the_checkpoint(tree, tmp_path):
    (tmp_path / "run").mkdir()
    config = configure("data=alkafri", f"data.root={tree}", *QUICK, "data.channels=t2", "trainer.max_epochs=1")
    train.run(config, tmp_path / "run")
    for path in (tree / "05_Final_Ground_Truth_Data/Composite_Images").iterdir():
        path.unlink()
    about = score(tmp_path / "out", tmp_path / "run/checkpoints/best.ckpt", "data=alkafri", f"data.root={tree}")["data"]
    assert (about["images"], about["excluded_seen"]) == (3, 27)


def test_real_slices_of_several_sizes(checkpoint, sample, tmp_path):
    metrics = score(tmp_path / "out", checkpoint, "data=alkafri", f"data.root={sample}")
    assert metrics["data"]["images"] == 5
    assert (tmp_path / "out/report/examples.png").stat().st_size > 10_000


def test_used_folder_is_refused(checkpoint, tmp_path):
    score(tmp_path / "out", checkpoint)
    with pytest.raises(UserError, match="already holds"):
        evaluate.run(evaluation(f"ckpt_path={checkpoint}", "trainer=cpu"), tmp_path / "out")


def test_checkpoint_that_gives_nan_is_refused_with_the_name_of_the_slice(trained, checkpoint, tmp_path):
    content = torch.load(checkpoint, weights_only=True)
    weights = content["state_dict"]
    next(value for name, value in weights.items() if name.startswith("network.head"))[:] = torch.nan
    torch.save(content, tmp_path / "broken.ckpt")
    tested = [row.split(",")[:2] for row in (trained / "run/split.csv").read_text().splitlines() if "test" in row]
    with pytest.raises(UserError, match=f"slice {'_'.join(tested[0])} and 2 more of 3 slices: .*NaN") as refusal:
        score(tmp_path / "out", tmp_path / "broken.ckpt")
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "out/metrics.json").exists()


def test_limit_that_leaves_no_slice_is_refused(trained, checkpoint, tmp_path):
    with pytest.raises(
        UserError, match=r"alkafri, test set: Lightning refuses to test these 3 slices: .*limit_test_batches"
    ):
        score(tmp_path / "out", checkpoint, "trainer.limit_test_batches=0.01")


def test_metrics_are_computed_for_all_slices_and_by_level(checkpoint, tmp_path):
    metrics = score(tmp_path / "out", checkpoint)
    assert set(metrics["by"]["level"]) == {"D3", "D4", "D5"}
    for group in (metrics, *metrics["by"]["level"].values()):
        assert set(group["boundary"]) >= {"nsd_0.7mm", "nsd_1.4mm", "hd95_mm", "assd_mm", "bf", "bf_tolerance_mm"}
        assert set(group["calibration"]["ece"]) == set(group["iou"])
    assert metrics["mean_iou_anatomy_ci95"] is None  # one patient
    assert metrics["calibration"]["pixels"] > 0


def test_counts_are_stored_by_slice(checkpoint, tmp_path):
    metrics = score(tmp_path / "out", checkpoint)
    with np.load(tmp_path / "out" / "counts.npz") as stored:
        assert sorted(stored.files) == ["counts", "digest", "level", "patient"]
        np.testing.assert_array_equal(iou(stored["counts"].sum(axis=0)), list(metrics["iou"].values()))
        assert stored["level"].tolist() == ["D3", "D4", "D5"]
        digests = set(stored["digest"].tolist())
    with (tmp_path / "out/per_image.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["digest"] for row in rows} == digests
    assert len(rows) == 3 * len(metrics["iou"])
    assert {row["spacing_mm"] for row in rows} == {"3.4375"}
    assert {row["label_parts"] for row in rows} == {"1"}  # stripes
    assert all(int(row["predicted_parts"]) > 0 for row in rows if int(row["predicted_px"]) > 0)
