"""The folder of a checkpoint's own data: found again from elsewhere, and never mistaken for another one."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

from lss_lightning.cli.resume import expand_checkpoint_argument
from lss_lightning.errors import UserError
from lss_lightning.models.checkpoint import CheckpointMetadata, read_checkpoint
from lss_lightning.models.segmentation import METADATA_KEY
from lss_lightning.runs.results import record_resume
from lss_lightning.workflows import train
from tests.cli.test_resume import stored_config
from tests.conftest import configure, write_patients
from tests.workflows.altered import skip_figures
from tests.workflows.quick_runs import QUICK
from tests.workflows.test_evaluate import score

LABELS = "05_Final_Ground_Truth_Data/Label_Images"


@pytest.fixture(scope="module", autouse=True)
def no_figures():
    skip_figures()
    yield
    patch.stopall()


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """Return a folder with the data `mine` and a run that was started there with data.root=mine."""
    home = tmp_path_factory.mktemp("home")
    write_patients(home / "mine")
    (home / "run").mkdir()
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(home)
        config = configure("data=alkafri", "data.root=mine", *QUICK, "trainer.max_epochs=1")
        train.run(config, home / "run")
    return home


@pytest.fixture
def elsewhere(tmp_path, monkeypatch) -> Path:
    """Change to another folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def moved(home, elsewhere) -> Path:
    """Return the checkpoint as on a machine that does not have the folder it was trained in."""
    return change_metadata(home, elsewhere, working_directory="/no/such/folder")


def change_metadata(home: Path, folder: Path, **values) -> Path:
    content = torch.load(home / "run/checkpoints/best.ckpt", weights_only=True)
    content[METADATA_KEY] = {**content[METADATA_KEY], **values}
    torch.save(content, folder / "changed.ckpt")
    return folder / "changed.ckpt"


def write_other_images(root: Path) -> None:
    write_patients(root)
    for path in root.rglob("*_Images/*.png"):
        if "Label" not in str(path):
            Image.fromarray(255 - np.array(Image.open(path))).save(path)


def test_checkpoint_stores_its_working_directory_and_test_slices(home):
    metadata = CheckpointMetadata.from_checkpoint(read_checkpoint(home / "run/checkpoints/best.ckpt"))
    assert metadata.working_directory == str(home)
    assert metadata.test_slices is not None
    assert metadata.test_labels is not None
    assert len(metadata.test_slices) == 3
    assert not set(metadata.test_slices) & set(metadata.seen)
    assert len(metadata.test_labels) == 1  # stripes


def test_relative_root_is_found_from_any_folder(home, elsewhere):
    metrics = score(elsewhere / "out", home / "run/checkpoints/best.ckpt")
    assert metrics["data"]["images"] == 3
    assert metrics["data"]["subset"] == "test"


def test_folder_with_the_same_relative_path_is_not_mistaken_for_it(home, elsewhere):
    write_other_images(elsewhere / "mine")
    here = score(elsewhere / "out", home / "run/checkpoints/best.ckpt", "trainer.precision=32-true")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(home)
        there = score(elsewhere / "out2", home / "run/checkpoints/best.ckpt", "trainer.precision=32-true")
    assert here["iou"] == there["iou"]


@pytest.mark.parametrize("overrides", [(), ("data.root=mine",), ("subset=all",), ("subset=train",)], ids=str)
def test_other_images_under_the_same_path_are_refused(overrides, moved, elsewhere):
    write_other_images(elsewhere / "mine")
    message = r"data\.root=mine: the checkpoint's test slices are not there \(3 of 3 missing\).*set data\.root=…"
    with pytest.raises(UserError, match=message):
        score(elsewhere / "out", moved, *overrides)


def test_moved_data_is_recognised_by_its_content(home, moved, elsewhere):
    shutil.copytree(home / "mine", elsewhere / "copies")
    assert score(elsewhere / "out", moved, "data.root=copies")["data"]["images"] == 3
    (elsewhere / "copies").rename(elsewhere / "mine")
    assert score(elsewhere / "out2", moved)["data"]["images"] == 3


def test_data_without_one_test_slice_is_refused(home, moved, elsewhere):
    shutil.copytree(home / "mine", elsewhere / "mine")
    rows = [row.split(",") for row in (home / "run/split.csv").read_text().splitlines()]
    patient, level = next(row[:2] for row in rows if "test" in row)
    for path in (elsewhere / "mine").rglob(f"*_{patient}_{level}.png"):
        path.unlink()
    with pytest.raises(UserError, match=r"not there \(1 of 3 missing\)"):
        score(elsewhere / "out", moved)


def test_changed_labels_are_remarked(home, moved, elsewhere):
    shutil.copytree(home / "mine", elsewhere / "mine")
    for path in (elsewhere / "mine" / LABELS).iterdir():
        Image.fromarray(np.flipud(np.array(Image.open(path)))).save(path)
    remarks = score(elsewhere / "out", moved)["data"]["remarks"]
    assert "The labels of 3 of these slices have changed since the checkpoint was trained." in remarks


def test_missing_folder_is_named_with_what_it_was_relative_to(moved, elsewhere):
    message = rf"data\.root=mine: no such folder in {elsewhere}, nor in /no/such/folder, where the checkpoint was train"
    with pytest.raises(UserError, match=message):
        score(elsewhere / "out", moved)


def test_checkpoint_without_these_entries_is_still_read(home, elsewhere):
    content = torch.load(home / "run/checkpoints/best.ckpt", weights_only=True)
    for name in ("working_directory", "test_slices", "test_labels"):
        del content[METADATA_KEY][name]
    torch.save(content, elsewhere / "older.ckpt")
    assert score(elsewhere / "out", elsewhere / "older.ckpt", f"data.root={home / 'mine'}")["data"]["images"] == 3


@pytest.mark.parametrize(
    ("section", "key", "value", "expected"),
    [
        ("data", "root", "mine", "{home}/mine"),
        ("data", "reports", "mine", "{home}/mine"),
        ("split", "file", "run/split.csv", "{home}/run/split.csv"),
        ("data", "root", "nowhere", "nowhere"),
        ("data", "root", "/abs", "/abs"),
        ("data", "root", "${paths.data}/mine", "${paths.data}/mine"),
        ("model", "pretrained", "mine", "{home}/mine"),
        ("model", "pretrained", True, True),
        ("model", "pretrained", "nowhere", "nowhere"),
    ],
)
def test_resume_from_elsewhere_finds_relative_paths(section, key, value, expected, home, elsewhere):
    run = elsewhere / "run"
    (run / "checkpoints").mkdir(parents=True)
    (run / "checkpoints/last.ckpt").write_text("")
    (run / ".hydra").mkdir()
    # The first start was elsewhere, but its paths have changed in a resume.
    (run / ".hydra/hydra.yaml").write_text("hydra:\n  runtime:\n    cwd: /no/such/folder\n")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(home)
        record_resume(run, {section: {key: value}})
    arguments = expand_checkpoint_argument([f"ckpt_path={run}/checkpoints/last.ckpt"])
    stored = stored_config(arguments)
    expected = expected.replace("{home}", str(home)) if isinstance(expected, str) else expected
    plain: Any = OmegaConf.to_container(stored, resolve=False)
    assert plain[section][key] == expected
