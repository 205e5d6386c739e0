"""``evaluate.py`` with ensembles and test-time augmentation."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from lss_lightning.data.alkafri_layout import LABELS
from lss_lightning.errors import UserError
from lss_lightning.models.ensemble import EnsembleModule
from lss_lightning.models.segmentation import load_module
from lss_lightning.reporting import plot_examples
from lss_lightning.workflows import evaluate
from lss_lightning.workflows.evaluation import figures
from tests.conftest import write_patients, write_slice
from tests.workflows.quick_runs import start
from tests.workflows.test_evaluate import evaluation, score

EXACT = "trainer.precision=32-true"


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """Ten patients in `tree`, and two trainings for one epoch: `a`, and `b`, which tests another patient."""
    root = tmp_path_factory.mktemp("ensemble")
    write_patients(root / "tree")
    start(root / "a", root / "tree", "trainer.max_epochs=1")
    start(root / "b", root / "tree", "trainer.max_epochs=1", "seed=1", "split.seed=1", "name=other")
    return root


def evaluate_with(folder: Path, *overrides: str) -> dict[str, Any]:
    """Evaluate in a new folder and return the metrics."""
    folder.mkdir()
    evaluate.run(evaluation("trainer=cpu", EXACT, *overrides), folder)
    metrics: dict[str, Any] = json.loads((folder / "metrics.json").read_text())
    return metrics


def load_counts(folder: Path) -> np.ndarray:
    with np.load(folder / "counts.npz") as arrays:
        return arrays["counts"]


def test_ensemble_of_one_checkpoint_gives_the_same_bits_as_its_network(root, tmp_path, monkeypatch):
    drawn = []

    def record(cases, labels, path, *, caption):
        drawn.append((path.name, caption, cases))
        plot_examples(cases, labels, path, caption=caption)

    monkeypatch.setattr(figures, "plot_examples", record)
    score(tmp_path / "ensemble", root / "a/checkpoints/best.ckpt", EXACT)

    def load_plain(paths, tta):
        module, metadata = load_module(paths[0])
        module.members = [module]  # type: ignore[assignment]
        return module, (metadata,)

    monkeypatch.setattr(evaluate, "load_ensemble", load_plain)
    score(tmp_path / "plain", root / "a/checkpoints/best.ckpt", EXACT)
    np.testing.assert_array_equal(load_counts(tmp_path / "ensemble"), load_counts(tmp_path / "plain"))
    for name in ("per_image.csv", "report/table2.csv", "report/confusion.png"):
        assert (tmp_path / "ensemble" / name).read_bytes() == (tmp_path / "plain" / name).read_bytes(), name
    # The layout of examples.png may round the position of a title either way, so its content is compared.
    first, second = drawn[: len(drawn) // 2], drawn[len(drawn) // 2 :]
    assert [name for name, _, _ in first] == [name for name, _, _ in second] == ["examples.png", "worst.png"]
    for (_, caption, cases), (_, plain_caption, plain_cases) in zip(first, second, strict=True):
        assert caption == plain_caption
        assert len(cases) == len(plain_cases) > 0
        for case, plain in zip(cases, plain_cases, strict=True):
            assert (case.title, case.iou) == (plain.title, plain.iou)
            for part in ("image", "label", "prediction"):
                np.testing.assert_array_equal(getattr(case, part), getattr(plain, part))


def test_every_page_names_every_member(root, tmp_path):
    files = [root / run / "checkpoints/best.ckpt" for run in ("a", "b")]
    metrics = evaluate_with(tmp_path / "out", f"ckpt_path=[{files[0]},{files[1]}]", "subset=all", "tta=flip")
    names = ["resunet-test_resnet", "other"]
    assert metrics["model"] == {
        "name": "resunet-test_resnet + other, tta=flip",
        "members": [
            {"name": name, "checkpoint": str(file), "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
            for name, file in zip(names, files, strict=True)
        ],
        "tta": "flip",
    }
    for page in ("table2.md", "scores.md"):
        text = (tmp_path / "out/report" / page).read_text()
        assert f"{root}/{{a,b}}/checkpoints/best.ckpt" in text
        assert "Mean of the probabilities of 2 networks and of 2 views of each image." in text


def test_slices_seen_by_any_member_are_excluded(root, tmp_path):
    """Each run tests a patient that the other was trained on."""
    with pytest.raises(UserError, match="at least one of the checkpoints was trained or selected on all 3 slices"):
        evaluate_with(tmp_path / "out", f"ckpt_path=[{root}/a,{root}/b]")
    write_slice(root / "new", "0900", "D4")
    for level in ("D3", "D4"):
        write_slice(root / "new", "0001", level)
    about = evaluate_with(
        tmp_path / "new", f"ckpt_path=[{root}/a,{root}/b]", "data=alkafri", f"data.root={root / 'new'}"
    )["data"]
    assert (about["images"], about["excluded_seen"]) == (1, 2)
    assert "2 slices excluded: one of the checkpoints was trained or selected on them." in about["remarks"]


@pytest.mark.parametrize("tta", ["flip", "full"])
def test_views_change_the_counts_but_not_the_number_of_pixels(tta, root, tmp_path):
    plain, viewed = (tmp_path / name for name in ("none", tta))
    for folder in (plain, viewed):
        evaluate_with(folder, f"ckpt_path={root}/a", f"tta={folder.name}")
    np.testing.assert_array_equal(load_counts(plain).sum(axis=2), load_counts(viewed).sum(axis=2))
    assert (load_counts(plain) != load_counts(viewed)).any()


def test_ensemble_of_two_equal_networks_equals_one(root, tmp_path):
    """The mean of two networks with the same weights is the output of each."""
    content = torch.load(root / "a/checkpoints/best.ckpt", weights_only=True)
    torch.save(content, tmp_path / "copy.ckpt")
    evaluate_with(tmp_path / "one", f"ckpt_path={root}/a")
    evaluate_with(tmp_path / "two", f"ckpt_path=[{root}/a,{tmp_path}/copy.ckpt]")
    np.testing.assert_array_equal(load_counts(tmp_path / "one"), load_counts(tmp_path / "two"))


@pytest.mark.parametrize("tta", ["none", "flip"])
def test_predicted_label_maps_match_the_scored_counts(tta, root, tmp_path, monkeypatch):
    """The label maps of `predict_step` match the counts of the test, slice by slice."""
    predicted = []
    original = EnsembleModule.predict_step

    def predict_step(self, batch, index):
        maps = original(self, batch, index)
        predicted.append((batch["label"].numpy()[0], maps[0], batch["digests"][0]))
        return maps

    monkeypatch.setattr(EnsembleModule, "predict_step", predict_step)
    evaluate_with(tmp_path / "out", f"ckpt_path={root}/a", f"tta={tta}")
    assert len(predicted) == 3
    with np.load(tmp_path / "out" / "counts.npz") as arrays:
        by_digest = dict(zip(arrays["digest"].tolist(), arrays["counts"], strict=True))
    for label, classes, digest in predicted:
        pairs = np.bincount(6 * label.ravel().astype(int) + classes.ravel(), minlength=36)
        np.testing.assert_array_equal(by_digest[digest], pairs.reshape(6, 6))


def test_labels_without_anatomy_are_refused(root, tmp_path):
    write_slice(root / "bare", "0950", "D4")
    for path in (root / "bare" / LABELS[0]).iterdir():
        Image.fromarray(np.zeros((64, 64), dtype=np.uint8)).save(path)
    with pytest.raises(UserError, match="alkafri, all slices: none of its 1 labels has a pixel of an anatomical class"):
        evaluate_with(tmp_path / "out", f"ckpt_path={root}/a", "data=alkafri", f"data.root={root / 'bare'}")
