"""Training and evaluation under each split protocol: the tested slices and the remarks."""

from __future__ import annotations

import json
import logging

import pytest

from lss_lightning.errors import UserError
from lss_lightning.models.checkpoint import CheckpointMetadata, read_checkpoint
from tests.workflows.quick_runs import rows, start
from tests.workflows.test_evaluate import renamed_copy, score

ONE_EPOCH = "trainer.max_epochs=1"
ONE_BATCH = "trainer.limit_train_batches=1"


def read_data_section(folder):
    return json.loads((folder / "metrics.json").read_text())["data"]


def find_test_patients(run):
    return {row["patient"] for row in rows(run / "split.csv") if row["part"] == "test"}


def test_each_fold_tests_its_own_patients(tree, tmp_path):
    runs = [tmp_path / f"fold {fold}" for fold in range(3)]
    for fold, run in enumerate(runs):
        start(run, tree, "split=kfold", f"split.fold={fold}", "split.folds=3", ONE_EPOCH, ONE_BATCH)
    assert sorted(patient for run in runs for patient in find_test_patients(run)) == [f"{n:04d}" for n in range(1, 11)]
    run = runs[1]
    data = read_data_section(run)
    assert (data["protocol"], data["images"], data["patients"]) == ("kfold", 9, 3)
    assert "split by patient, fold 1 of 0 to 2: 9 slices" in (run / "report/table2.md").read_text()

    checkpoint = run / "checkpoints/best.ckpt"
    own = score(tmp_path / "own", checkpoint)
    assert own["data"] == read_data_section(run)
    assert own["iou"] == json.loads((run / "metrics.json").read_text())["iou"]
    copy = renamed_copy(tree, tmp_path / "copy")
    other = score(tmp_path / "other", checkpoint, "data=alkafri", f"data.root={copy}")["data"]
    assert (other["images"], other["excluded_seen"], other["protocol"]) == (9, 21, "external")


def test_split_file_of_a_run_is_reused_and_stored_in_the_checkpoint(tree, tmp_path):
    start(tmp_path / "first", tree, "split.seed=5", ONE_EPOCH)
    split_file = tmp_path / "split_file.csv"
    split_file.write_bytes((tmp_path / "first/split.csv").read_bytes())
    start(tmp_path / "again", tree, "split=file", f"split.file={split_file}", ONE_EPOCH)
    assert (tmp_path / "again/split.csv").read_bytes() == split_file.read_bytes()
    assert read_data_section(tmp_path / "again")["protocol"] == "file"
    assert "split as in split_file.csv: 3 slices of 1 patient." in (tmp_path / "again/report/table2.md").read_text()
    first, again = (
        CheckpointMetadata.from_checkpoint(read_checkpoint(tmp_path / run / "checkpoints/best.ckpt")).seen
        for run in ("first", "again")
    )
    assert again == first

    split_file.unlink()
    own = score(tmp_path / "own", tmp_path / "again/checkpoints/best.ckpt")
    assert own["data"] == read_data_section(tmp_path / "again")


def test_resume_accepts_a_moved_split_file_but_not_another(tree, tmp_path):
    split_file, moved, other = (tmp_path / name for name in ("split_file.csv", "moved.csv", "other.csv"))
    split_file.write_text("patient,part\n0001,train\n0002,train\n0003,val\n0004,test\n")
    run = tmp_path / "run"
    start(run, tree, "split=file", f"split.file={split_file}", ONE_EPOCH)
    split_file.rename(moved)
    other.write_text(moved.read_text().replace("0001,train", "0005,train"))
    resume = ("split=file", f"ckpt_path={run}/checkpoints/last.ckpt", "trainer.max_epochs=2")
    with pytest.raises(UserError, match="differ from those that the checkpoint was trained and selected on"):
        start(run, tree, *resume, f"split.file={other}")
    assert len(rows(run / "metrics.csv")) == 1
    (run / ".hydra").mkdir()  # Hydra makes it before a run
    start(run, tree, *resume, f"split.file={moved}")
    assert len(rows(run / "metrics.csv")) == 2


def test_resubstitution_by_file_keeps_its_warning(tree, tmp_path):
    start(tmp_path / "first", tree, "split=resubstitution", ONE_EPOCH, ONE_BATCH)
    split_file = tmp_path / "first/split.csv"
    start(tmp_path / "again", tree, "split=file", f"split.file={split_file}", ONE_EPOCH, ONE_BATCH)
    warning = ["Trained, selected and tested on the same slices (resubstitution)."]
    assert read_data_section(tmp_path / "again")["remarks"] == warning
    checkpoint = tmp_path / "again/checkpoints/best.ckpt"
    own = score(tmp_path / "own", checkpoint)["data"]
    assert (own["images"], own["excluded_seen"], own["remarks"][:1]) == (30, 0, warning)


def test_split_file_that_divides_patients_gives_remarks(tree, tmp_path, caplog):
    parts = {
        "train": ["0001_D3", "0002_D3", "0002_D4", "0003_D3"],
        "val": ["0003_D4", "0004_D3"],
        "test": ["0001_D4", "0002_D5", "0004_D4", "0005_D3"],
    }
    split_file = tmp_path / "images.csv"
    split_file.write_text("image,part\n" + "".join(f"{name},{part}\n" for part in parts for name in parts[part]))
    with caplog.at_level(logging.WARNING):
        start(tmp_path / "run", tree, "split=file", f"split.file={split_file}", ONE_EPOCH)
    assert caplog.messages == ["left out: 20 × slice in no part of the split"]
    assert read_data_section(tmp_path / "run")["remarks"] == [
        "2 patients of the test set are also in the training set.",
        "1 patient of the test set is also in the validation set.",
        "1 patient of the validation set is also in the training set.",
    ]
    own = score(tmp_path / "own", tmp_path / "run/checkpoints/best.ckpt")["data"]
    assert own == read_data_section(tmp_path / "run")


def test_split_file_with_unknown_patients_is_refused_before_any_image_is_read(tree, tmp_path):
    split_file = tmp_path / "patients.csv"
    split_file.write_text("patient,part\n0001,train\n0099,test\n")
    with pytest.raises(UserError, match="1 of its 2 patients are not in the data: 0099; the data has 0001"):
        start(tmp_path / "run", tree, "split=file", f"split.file={split_file}")
    assert not list((tmp_path / "run").iterdir())
