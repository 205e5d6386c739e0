"""Runs under each way to split: what they test, what their pages say, what evaluation makes of their checkpoints."""

from __future__ import annotations

import json
import logging

import pytest

from lss_lightning.errors import UserError
from lss_lightning.models.checkpoint import CheckpointMetadata, read_checkpoint
from tests.workflows.test_evaluate import renamed_copy, score
from tests.workflows.test_train import rows, start

ONE = "trainer.max_epochs=1"


def about(folder):
    return json.loads((folder / "metrics.json").read_text())["data"]


def patients_under_test(run):
    return {row["patient"] for row in rows(run / "split.csv") if row["part"] == "test"}


def test_a_fold_tests_its_own_patients(tree, tmp_path):
    runs = [tmp_path / f"fold {fold}" for fold in range(3)]
    for fold, run in enumerate(runs):
        start(run, tree, "split=kfold", f"split.fold={fold}", "split.folds=3", ONE, "trainer.limit_train_batches=1")
    assert sorted(patient for run in runs for patient in patients_under_test(run)) == [f"{n:04d}" for n in range(1, 11)]
    run = runs[1]
    assert (about(run)["protocol"], about(run)["images"], about(run)["patients"]) == ("kfold", 9, 3)
    assert "split by patient, fold 1 of 0 to 2: 9 slices" in (run / "report/table2.md").read_text()

    checkpoint = run / "checkpoints/best.ckpt"
    own = score(tmp_path / "own", checkpoint)
    assert own["data"] == about(run)
    assert own["iou"] == json.loads((run / "metrics.json").read_text())["iou"]
    copy = renamed_copy(tree, tmp_path / "copy")
    other = score(tmp_path / "other", checkpoint, "data=alkafri", f"data.root={copy}")["data"]
    assert (other["images"], other["excluded_seen"], other["protocol"]) == (9, 21, "external")


def test_a_run_s_split_is_used_again_and_travels_in_the_checkpoint(tree, tmp_path):
    start(tmp_path / "first", tree, "split.seed=5", ONE)
    given = tmp_path / "given.csv"
    given.write_bytes((tmp_path / "first/split.csv").read_bytes())
    start(tmp_path / "again", tree, "split=file", f"split.file={given}", ONE)
    assert (tmp_path / "again/split.csv").read_bytes() == given.read_bytes()
    assert about(tmp_path / "again")["protocol"] == "file"
    assert "split as in given.csv: 3 slices of 1 patient." in (tmp_path / "again/report/table2.md").read_text()
    first, again = (
        CheckpointMetadata.of(read_checkpoint(tmp_path / run / "checkpoints/best.ckpt")).seen
        for run in ("first", "again")
    )
    assert again == first

    given.unlink()
    own = score(tmp_path / "own", tmp_path / "again/checkpoints/best.ckpt")
    assert own["data"] == about(tmp_path / "again")


def test_a_run_goes_on_with_its_split_file_moved_but_not_with_another(tree, tmp_path):
    given, moved, other = (tmp_path / name for name in ("given.csv", "moved.csv", "other.csv"))
    given.write_text("patient,part\n0001,train\n0002,train\n0003,val\n0004,test\n")
    run = tmp_path / "run"
    start(run, tree, "split=file", f"split.file={given}", ONE)
    given.rename(moved)
    other.write_text(moved.read_text().replace("0001,train", "0005,train"))
    on = ("split=file", f"ckpt_path={run}/checkpoints/last.ckpt", "trainer.max_epochs=2")
    with pytest.raises(UserError, match="are not those that the checkpoint saw"):
        start(run, tree, *on, f"split.file={other}")
    assert len(rows(run / "metrics.csv")) == 1
    (run / ".hydra").mkdir()  # Hydra makes it before a run
    start(run, tree, *on, f"split.file={moved}")
    assert len(rows(run / "metrics.csv")) == 2


def test_resubstitution_by_file_keeps_its_stamp(tree, tmp_path):
    start(tmp_path / "first", tree, "split=resubstitution", ONE, "trainer.limit_train_batches=1")
    given = tmp_path / "first/split.csv"
    start(tmp_path / "again", tree, "split=file", f"split.file={given}", ONE, "trainer.limit_train_batches=1")
    stamp = ["Trained, selected and tested on the same slices (resubstitution)."]
    assert about(tmp_path / "again")["remarks"] == stamp
    checkpoint = tmp_path / "again/checkpoints/best.ckpt"
    own = score(tmp_path / "own", checkpoint)["data"]
    assert (own["images"], own["excluded_seen"], own["remarks"][:1]) == (30, 0, stamp)


def test_a_file_that_cuts_through_patients_says_so(tree, tmp_path, caplog):
    parts = {
        "train": ["0001_D3", "0002_D3", "0002_D4", "0003_D3"],
        "val": ["0003_D4", "0004_D3"],
        "test": ["0001_D4", "0002_D5", "0004_D4", "0005_D3"],
    }
    given = tmp_path / "images.csv"
    given.write_text("image,part\n" + "".join(f"{name},{part}\n" for part in parts for name in parts[part]))
    with caplog.at_level(logging.WARNING):
        start(tmp_path / "run", tree, "split=file", f"split.file={given}", ONE)
    assert caplog.messages == ["left out: 20 × slice in no part of the split"]
    assert about(tmp_path / "run")["remarks"] == [
        "2 of the test part's patients also lie in the training part.",
        "1 of the test part's patients also lie in the validation part.",
        "1 of the validation part's patients also lie in the training part.",
    ]
    own = score(tmp_path / "own", tmp_path / "run/checkpoints/best.ckpt")["data"]
    assert own == about(tmp_path / "run")


def test_a_file_that_names_others_is_refused_before_any_image_is_read(tree, tmp_path):
    given = tmp_path / "patients.csv"
    given.write_text("patient,part\n0001,train\n0099,test\n")
    with pytest.raises(UserError, match="1 of its 2 patients are not in the data: 0099; the data has 0001"):
        start(tmp_path / "run", tree, "split=file", f"split.file={given}")
    assert not list((tmp_path / "run").iterdir())
