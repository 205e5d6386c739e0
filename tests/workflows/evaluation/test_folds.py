"""``evaluate.py`` with the folds of a cross-validation."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
import pytest

from lss_lightning.data.loading import LoadedSlice
from lss_lightning.data.slices import Slice
from lss_lightning.errors import UserError
from lss_lightning.labels import LUMBAR
from lss_lightning.models.checkpoint import CheckpointMetadata
from lss_lightning.models.specs import UNetSpec
from lss_lightning.runs.layout import RunFolder
from lss_lightning.workflows import evaluate
from lss_lightning.workflows.evaluation.context import EnsembleMember, EvaluationContext
from lss_lightning.workflows.evaluation.folds import Fold, check_folds, find_held_out
from lss_lightning.workflows.recording import describe_evaluation
from tests.conftest import configure, write_patients, write_slice
from tests.reporting.loggers.wandb_recorder import WandbRecord, record_wandb
from tests.workflows.processes import command
from tests.workflows.quick_runs import start
from tests.workflows.test_evaluate import evaluation

FOLDS = ("split=kfold", "split.folds=3")


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """Seven patients in `tree`, and in `sweep` the trainings of three folds for one epoch each."""
    root = tmp_path_factory.mktemp("folds")
    write_patients(root / "tree", 7, ("D3", "D4"))
    for fold in range(3):
        start(root / f"sweep/{fold}", root / "tree", *FOLDS, f"split.fold={fold}", "trainer.max_epochs=1")
    return root


def cross_validate(folder: Path, *overrides: str) -> dict[str, Any]:
    """Evaluate in a new folder and return the metrics."""
    folder.mkdir()
    evaluate.run(evaluation("trainer=cpu", *overrides), folder)
    metrics: dict[str, Any] = json.loads((folder / "metrics.json").read_text())
    return metrics


@pytest.fixture(scope="module")
def recorded(root) -> WandbRecord:
    """What the cross-validation `gathered` logs to W&B."""
    (root / "sweep" / "sweep.yaml").write_text("")
    with record_wandb(root / "apart") as record:
        cross_validate(root / "out", f"folds={root / 'sweep'}", "logger=wandb", "logger.wandb.mode=offline")
    return record


@pytest.fixture(scope="module")
def gathered(root, recorded) -> dict[str, Any]:
    """The metrics of the cross-validation."""
    metrics: dict[str, Any] = json.loads((root / "out/metrics.json").read_text())
    return metrics


def load_counts(folder: Path) -> dict[str, np.ndarray]:
    with np.load(folder / "counts.npz") as file:
        return dict(zip(file["digest"].tolist(), file["counts"], strict=True))


def test_each_slice_has_the_counts_of_the_run_of_its_fold(root, gathered):
    together = load_counts(root / "out")
    apart = [load_counts(root / f"sweep/{fold}") for fold in range(3)]
    assert sum(map(len, apart)) == len(together) == 14
    for run in apart:
        for digest, counts in run.items():
            np.testing.assert_array_equal(together[digest], counts)
    about = gathered["data"]
    assert (about["subset"], about["protocol"], about["images"], about["patients"]) == ("folds", "kfold", 14, 7)
    assert [member["checkpoint"] for member in gathered["model"]["members"]] == [
        str(root / f"sweep/{fold}/checkpoints/best.ckpt") for fold in range(3)
    ]


def test_mean_and_sd_are_over_runs_and_the_interval_over_all_patients(root, gathered):
    runs = [json.loads((root / f"sweep/{fold}/metrics.json").read_text()) for fold in range(3)]
    for key in ("mean_iou", "mean_iou_anatomy"):
        each = [run[key] for run in runs]
        assert gathered["folds"]["mean"][key] == pytest.approx(fmean(each))
        assert gathered["folds"]["sd"][key] == pytest.approx(stdev(each))
        assert [gathered["by"]["fold"][str(fold)][key] for fold in range(3)] == pytest.approx(each)
    low, high = gathered["mean_iou_ci95"]
    assert low < gathered["mean_iou"] < high
    counts = np.sum(list(load_counts(root / "out").values()), axis=0)
    assert gathered["iou"]["other"] == counts[5, 5] / (counts[5].sum() + counts[:, 5].sum() - counts[5, 5])


def test_report_shows_the_folds(root, gathered):
    report = root / "out/report"
    assert {"folds.md", "folds.png", "table2.md", "scores.md", "examples.png", "confusion.png"} <= {
        path.name for path in report.iterdir()
    }
    text = (report / "folds.md").read_text()
    assert "| Class | Fold 0 (6 slices) | Fold 1 (4 slices) | Fold 2 (4 slices) | Mean ± SD over folds |" in text
    mean, deviation = (gathered["folds"][part]["mean_iou"] for part in ("mean", "sd"))
    page = (report / "index.html").read_text()
    assert f"{mean:.3f} ± {deviation:.3f}" in text
    assert f">{mean:.3f} ± {deviation:.3f}</td>" in page
    assert 'alt="IoU of the folds by class"' in page
    assert f"{root}/sweep/{{0,1,2}}/checkpoints/best.ckpt" in text
    with (root / "out/per_image.csv").open(newline="") as stream:
        folds = {row["patient"]: row["fold"] for row in csv.DictReader(stream)}
    assert sorted(folds.values()) == ["0", "0", "0", "1", "1", "2", "2"]


def test_two_processes_give_the_result_of_one(root, gathered, tmp_path):
    line = (f"folds={root / 'sweep'}", "trainer=cpu", "trainer.devices=2", "measurements=false")
    process = command("evaluate.py", *line, f"hydra.run.dir={tmp_path / 'out'}")
    assert process.returncode == 0, process.stderr
    assert json.loads((tmp_path / "out/metrics.json").read_text())["data"] == gathered["data"]
    one, two = load_counts(root / "out"), load_counts(tmp_path / "out")
    assert one.keys() == two.keys()
    # A few pixels may differ, since the batches do.
    assert sum(np.abs(one[digest] - two[digest]).sum() for digest in one) < 0.01 * sum(map(np.sum, one.values()))


def test_folds_are_recorded_as_one_run_in_the_group_of_their_sweep(root, gathered, recorded):
    [run] = recorded.runs
    assert (run.job_type, run.group.rpartition("/")[2]) == ("folds", "sweep")
    assert (run.config["split.folds"], run.config["model"]) == (3, "resunet")
    assert "split.fold" not in dict(run.config)
    [table] = recorded.values_of("test/cases")
    assert [line[0] for line in table.data] == load_patients(root / "out")
    assert [line[-1]._caption for line in table.data] == [f"Patient {line[0]} {line[1]}" for line in table.data]
    assert recorded.values_of("test/mean_iou") == [gathered["mean_iou"]]
    assert recorded.values_of("folds/sd/mean_iou") == [gathered["folds"]["sd"]["mean_iou"]]
    assert "page/index" in recorded.keys
    assert recorded.artifacts == []


def load_patients(folder: Path) -> list[str]:
    with np.load(folder / "counts.npz") as file:
        patients: list[str] = file["patient"].tolist()
    return patients


def test_ensemble_is_recorded_with_the_settings_that_its_members_share(tmp_path):
    all_metadata, files = (
        [make_metadata(0), make_metadata(1, "optimizer.lr=0.1")],
        [tmp_path / "a.ckpt", tmp_path / "b.ckpt"],
    )
    members = tuple(EnsembleMember("resunet", file) for file in files)
    context = EvaluationContext(members, "alkafri", "all", "external", "", "")
    description = describe_evaluation(context, all_metadata, RunFolder(tmp_path))
    assert (description.job, description.group) == ("ensemble", None)
    assert description.settings["checkpoints"] == list(map(str, files))
    assert description.settings["model"] == "resunet"
    assert not {"optimizer.lr", "split.fold"} & description.settings.keys()


def test_folds_can_be_tested_as_an_ensemble_on_other_data(root, tmp_path, capsys):
    cross_validate(tmp_path / "again", f"folds={root / 'sweep'}")
    line = capsys.readouterr().out.splitlines()[-1]
    assert line == f"Test all folds as one ensemble: ckpt_path={root / 'sweep'}"
    write_slice(tmp_path / "new", "0900", "D4")
    metrics = cross_validate(
        tmp_path / "out", line.rpartition(" ")[2], "data=alkafri", f"data.root={tmp_path / 'new'}", "tta=flip"
    )
    assert metrics["model"]["name"] == "3 × resunet-test_resnet, tta=flip"
    assert metrics["data"]["images"] == 1
    with pytest.raises(UserError, match=r"trained or selected on all 6 slices.*folds=… instead of ckpt_path"):
        cross_validate(tmp_path / "own", f"ckpt_path={root / 'sweep'}")


def test_runs_may_be_given_one_by_one_in_any_order(root, gathered, tmp_path):
    runs = ",".join(str(root / f"sweep/{fold}") for fold in (2, 0, 1))
    metrics = cross_validate(tmp_path / "out", f"folds=[{runs}]")
    assert metrics["by"] == gathered["by"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["folds={sweep}", "ckpt_path=x"], "ckpt_path=.x. with folds="),
        (["folds={sweep}", "subset=test"], "subset=test with folds="),
        (["folds={sweep}", "data=alkafri", "data.root=x"], "data=alkafri with folds="),
        (["folds={sweep}/0"], "folds: of 3 folds 1,2 are missing; train with split=kfold split.fold=1,2"),
        (["folds=[{sweep},{copy}]"], "folds: .*sweep/0/.* and .*copy/.* are all fold 0"),
        (["folds={sweep}", "data.root={less}"], "2 slices that they were trained on are not in the data"),
        (["folds={sweep}", "data.root={more}"], "slice 0900_D4 is in the test sets of folds 0, 1, 2"),
        (["folds={sweep}", "data.channels=t2"], "data.channels=t2: the checkpoint was trained with composite"),
    ],
)
def test_incomplete_cross_validation_is_refused(overrides, message, root, tmp_path):
    shutil.copytree(root / "sweep/0", tmp_path / "copy")
    for name in ("less", "more"):
        shutil.copytree(root / "tree", tmp_path / name)
    for path in (tmp_path / "less").rglob("*_0003_*.png"):
        path.unlink()
    write_slice(tmp_path / "more", "0900", "D4")
    names = {name: tmp_path / name for name in ("copy", "less", "more")}
    with pytest.raises(UserError, match=message):
        cross_validate(tmp_path / "out", *(text.format(sweep=root / "sweep", **names) for text in overrides))


def test_unfinished_fold_is_refused(root, tmp_path):
    shutil.copytree(root / "sweep", tmp_path / "sweep")
    (tmp_path / "sweep/1/metrics.json").unlink()
    with pytest.raises(UserError, match=r"sweep/1/.*is not finished; resume it with python train.py ckpt_path=.*last"):
        cross_validate(tmp_path / "out", f"folds={tmp_path / 'sweep'}")


def test_sweep_without_folds_is_refused(root, tmp_path):
    start(tmp_path / "sweep/0", root / "tree", "trainer.max_epochs=1")
    with pytest.raises(UserError, match="was trained with split=patient; give runs of python"):
        cross_validate(tmp_path / "out", f"folds={tmp_path / 'sweep'}")


def make_metadata(fold: int, *overrides: str, seen: str = "") -> CheckpointMetadata:
    config = configure("data=alkafri", "data.root=x", "split=kfold", f"split.fold={fold}", *overrides)
    spec = UNetSpec("resunet", "test_resnet", 3, 6, "transpose", [8])
    return CheckpointMetadata(spec, LUMBAR.to_plain(), [0.0], [1.0], None, config.plain, seen.split(), [])


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["split.folds=4"], "b.ckpt was trained with split.folds=4, but .*a.ckpt with 5"),
        (["split.seed=1"], "split.seed=1, but .* with 0"),
        (["split.val_fraction=0.2"], "split.val_fraction=0.2"),
        (["data.channels=t2"], "data.channels=t2"),
        (["optimizer.lr=0.1"], "optimizer.lr=0.1"),
        (["model=vgg16_unet"], "model.name=vgg16_unet"),
    ],
)
def test_folds_with_other_settings_are_refused(overrides, message):
    with pytest.raises(UserError, match=message):
        check_folds([Fold(Path("a.ckpt"), make_metadata(0)), Fold(Path("b.ckpt"), make_metadata(1, *overrides))])


def test_folds_may_differ_in_seed_and_data_folder():
    folds = [
        Fold(Path(f"{fold}.ckpt"), make_metadata(fold, f"seed={fold}", f"data.root=y{fold}"))
        for fold in (3, 0, 4, 1, 2)
    ]
    assert [fold.number for fold in check_folds(folds)] == [0, 1, 2, 3, 4]


def make_slices(*names: str) -> list[LoadedSlice]:
    empty = np.zeros((1, 1), dtype=np.uint8)
    return [
        LoadedSlice(Slice(name[0], name[1:2], {}, Path(), None), empty, empty, None, name.partition("=")[2] or name)
        for name in names
    ]


def make_folds(*seen: str) -> list[Fold]:
    """Make folds that have seen the slices with these digests."""
    return [Fold(Path(f"{fold}.ckpt"), make_metadata(fold, seen=text)) for fold, text in enumerate(seen)]


def test_slice_is_tested_by_the_fold_that_did_not_see_it():
    assert find_held_out(make_folds("b1 b2 c1", "a1 c1", "a1 b1 b2"), make_slices("a1", "b1", "b2", "c1")) == [
        [0],
        [1, 2],
        [3],
    ]


def test_image_shared_by_patients_of_several_folds_is_excluded():
    """Fold 0 tests patient a, but has seen the image as one of patient b."""
    assert find_held_out(
        make_folds("x b2 c1", "x a2 c1", "x a2 b2"), make_slices("a1=x", "a2", "b1=x", "b2", "c1")
    ) == [[1], [3], [4]]


def test_patient_in_two_test_parts_is_refused():
    with pytest.raises(UserError, match="patient a is in the test sets of folds 0, 1"):
        find_held_out(make_folds("a2 b1", "a1 b1", "a1 a2"), make_slices("a1", "a2", "b1"))
    with pytest.raises(UserError, match="slice a_1 is in the test sets of folds 0, 1"):
        find_held_out(make_folds("b1", "b1", "a1"), make_slices("a1", "b1"))


def test_two_runs_of_the_same_fold_are_refused():
    twice = [Fold(Path("a.ckpt"), make_metadata(0)), Fold(Path("b.ckpt"), replace(make_metadata(0), mean=[0.5]))]
    with pytest.raises(UserError, match=r"a\.ckpt and b\.ckpt are all fold 0"):
        check_folds(twice)
