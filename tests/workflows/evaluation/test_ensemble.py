"""Several checkpoints, and several views, evaluated as one network."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lss_lightning.data.slices import LABELS
from lss_lightning.errors import UserError
from lss_lightning.models.checkpoint import load_module
from lss_lightning.models.ensemble import EnsembleModule
from lss_lightning.reporting import plot_examples
from lss_lightning.workflows import evaluate
from lss_lightning.workflows.evaluation import pages
from tests.conftest import write_patients, write_slice
from tests.workflows.test_evaluate import evaluation, score
from tests.workflows.test_train import start

EXACT = "trainer.precision=32-true"


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Ten patients in `tree`, and two runs of an epoch: `a`, and `b` that tests another patient."""
    place = tmp_path_factory.mktemp("ensemble")
    write_patients(place / "tree")
    start(place / "a", place / "tree", "trainer.max_epochs=1")
    start(place / "b", place / "tree", "trainer.max_epochs=1", "seed=1", "split.seed=1", "name=other")
    return place


def together(folder: Path, *overrides: str) -> dict:
    folder.mkdir()
    evaluate.run(evaluation("trainer=cpu", EXACT, *overrides), folder)
    return json.loads((folder / "metrics.json").read_text())


def counts(folder: Path) -> np.ndarray:
    with np.load(folder / "counts.npz") as kept:
        return kept["counts"]


def test_one_checkpoint_alone_gives_the_bits_of_its_own_network(place, tmp_path, monkeypatch):
    drawn = []

    def draw(cases, labels, path, *, caption):
        drawn.append((path.name, caption, cases))
        plot_examples(cases, labels, path, caption=caption)

    monkeypatch.setattr(pages, "plot_examples", draw)
    score(tmp_path / "now", place / "a/checkpoints/best.ckpt", EXACT)

    def bare(paths, tta):
        module, metadata = load_module(paths[0])
        module.members = [module]  # of which the facts are told
        return module, (metadata,)

    monkeypatch.setattr(evaluate, "load_predictor", bare)
    score(tmp_path / "bare", place / "a/checkpoints/best.ckpt", EXACT)
    np.testing.assert_array_equal(counts(tmp_path / "now"), counts(tmp_path / "bare"))
    for name in ("per_image.csv", "report/table2.csv", "report/confusion.png"):
        assert (tmp_path / "now" / name).read_bytes() == (tmp_path / "bare" / name).read_bytes(), name
    # Of examples.png what is drawn, to the bit: its layout may round a title's place this way or that.
    now, bare_ones = drawn[: len(drawn) // 2], drawn[len(drawn) // 2 :]
    assert [name for name, _, _ in now] == [name for name, _, _ in bare_ones] == ["examples.png", "worst.png"]
    for (_, caption, cases), (_, other, others) in zip(now, bare_ones, strict=True):
        assert caption == other
        assert len(cases) == len(others) > 0
        for one, two in zip(cases, others, strict=True):
            assert (one.title, one.iou) == (two.title, two.iou)
            for part in ("image", "label", "prediction"):
                np.testing.assert_array_equal(getattr(one, part), getattr(two, part))


def test_every_member_is_named_on_every_page(place, tmp_path):
    files = [place / run / "checkpoints/best.ckpt" for run in ("a", "b")]
    metrics = together(tmp_path / "out", f"ckpt_path=[{files[0]},{files[1]}]", "subset=all", "tta=flip")
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
        assert f"{place}/{{a,b}}/checkpoints/best.ckpt" in text
        assert "Mean of the probabilities of 2 networks and of 2 views of each image." in text


def test_seen_are_the_slices_of_all_members(place, tmp_path):
    """Each run tests a patient of its own, which the other has trained on."""
    with pytest.raises(UserError, match="one or other of the checkpoints was trained or selected on all 3 slices"):
        together(tmp_path / "out", f"ckpt_path=[{place}/a,{place}/b]")
    write_slice(place / "new", "0900", "D4")
    for level in ("D3", "D4"):
        write_slice(place / "new", "0001", level)
    about = together(
        tmp_path / "new", f"ckpt_path=[{place}/a,{place}/b]", "data=alkafri", f"data.root={place / 'new'}"
    )["data"]
    assert (about["images"], about["excluded_seen"]) == (1, 2)
    assert "2 slices left out: one of the checkpoints was trained or selected on them." in about["remarks"]


@pytest.mark.parametrize("tta", ["flip", "full"])
def test_views_change_the_counts_and_keep_the_pixels(tta, place, tmp_path):
    plain, viewed = (tmp_path / name for name in ("none", tta))
    for folder in (plain, viewed):
        together(folder, f"ckpt_path={place}/a", f"tta={folder.name}")
    np.testing.assert_array_equal(counts(plain).sum(axis=2), counts(viewed).sum(axis=2))
    assert (counts(plain) != counts(viewed)).any()


def test_a_network_in_twice_counts_as_once(place, tmp_path):
    """Of two networks with the same weights the mean is either's own."""
    content = torch.load(place / "a/checkpoints/best.ckpt", weights_only=True)
    torch.save(content, tmp_path / "copy.ckpt")
    together(tmp_path / "one", f"ckpt_path={place}/a")
    together(tmp_path / "two", f"ckpt_path=[{place}/a,{tmp_path}/copy.ckpt]")
    np.testing.assert_array_equal(counts(tmp_path / "one"), counts(tmp_path / "two"))


@pytest.mark.parametrize("tta", ["none", "flip"])
def test_what_is_predicted_is_what_was_scored(tta, place, tmp_path, monkeypatch):
    """The label maps of the predicting pass, slice by slice, against the counts of the testing pass."""
    predicted = []
    usual = EnsembleModule.predict_step

    def kept(self, batch, index):
        maps = usual(self, batch, index)
        predicted.append((batch["label"].numpy()[0], maps[0], batch["digests"][0]))
        return maps

    monkeypatch.setattr(EnsembleModule, "predict_step", kept)
    together(tmp_path / "out", f"ckpt_path={place}/a", f"tta={tta}")
    assert len(predicted) == 3
    with np.load(tmp_path / "out" / "counts.npz") as found:
        by_digest = dict(zip(found["digest"].tolist(), found["counts"], strict=True))
    for label, classes, digest in predicted:
        pairs = np.bincount(6 * label.ravel().astype(int) + classes.ravel(), minlength=36)
        np.testing.assert_array_equal(by_digest[digest], pairs.reshape(6, 6))


def test_a_test_without_a_labelled_structure_is_refused(place, tmp_path):
    write_slice(place / "bare", "0950", "D4")
    for path in (place / "bare" / LABELS[0]).iterdir():
        Image.fromarray(np.zeros((64, 64), dtype=np.uint8)).save(path)
    with pytest.raises(UserError, match="alkafri, all slices: no pixel of its 1 labels is of an anatomical class"):
        together(tmp_path / "out", f"ckpt_path={place}/a", "data=alkafri", f"data.root={place / 'bare'}")
