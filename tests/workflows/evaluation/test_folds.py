"""Cross-validation gathered: each slice tested once, by the network that never saw its patient."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev

import numpy as np
import pytest

from lss_lightning.data.loading import LoadedSlice
from lss_lightning.data.slices import Slice
from lss_lightning.errors import UserError
from lss_lightning.labels import LUMBAR
from lss_lightning.models.checkpoint import CheckpointMetadata, NetworkSpec
from lss_lightning.workflows import evaluate
from lss_lightning.workflows.evaluation.context import EnsembleMember, EvaluationContext
from lss_lightning.workflows.evaluation.folds import Fold, check_folds, held_out
from lss_lightning.workflows.tracking import about_evaluation
from tests.conftest import configure, write_patients, write_slice
from tests.reporting.tracking import Given, wandb_of_its_own
from tests.workflows.test_commands import command
from tests.workflows.test_evaluate import evaluation
from tests.workflows.test_train import start

FOLDS = ("split=kfold", "split.folds=3")


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Seven patients in `tree`, and in `sweep` the three folds' runs of an epoch each."""
    place = tmp_path_factory.mktemp("folds")
    write_patients(place / "tree", 7, ("D3", "D4"))
    for fold in range(3):
        start(place / f"sweep/{fold}", place / "tree", *FOLDS, f"split.fold={fold}", "trainer.max_epochs=1")
    return place


def gather(folder: Path, *overrides: str) -> dict:
    folder.mkdir()
    evaluate.run(evaluation("trainer=cpu", *overrides), folder)
    return json.loads((folder / "metrics.json").read_text())


@pytest.fixture(scope="module")
def recorded(place) -> Given:
    """What W&B is given of the folds that `gathered` gathers."""
    (place / "sweep" / "sweep.yaml").write_text("")
    with wandb_of_its_own(place / "apart") as given:
        gather(place / "out", f"folds={place / 'sweep'}", "logger=wandb", "logger.wandb.mode=offline")
    return given


@pytest.fixture(scope="module")
def gathered(place, recorded) -> dict:
    return json.loads((place / "out/metrics.json").read_text())


def kept(folder: Path) -> dict[str, np.ndarray]:
    with np.load(folder / "counts.npz") as file:
        return dict(zip(file["digest"].tolist(), file["counts"], strict=True))


def test_each_slice_is_tested_once_as_its_fold_s_own_run_did(place, gathered):
    together = kept(place / "out")
    apart = [kept(place / f"sweep/{fold}") for fold in range(3)]
    assert sum(map(len, apart)) == len(together) == 14
    for run in apart:
        for digest, counts in run.items():
            np.testing.assert_array_equal(together[digest], counts)
    about = gathered["data"]
    assert (about["subset"], about["protocol"], about["images"], about["patients"]) == ("folds", "kfold", 14, 7)
    assert [member["checkpoint"] for member in gathered["model"]["members"]] == [
        str(place / f"sweep/{fold}/checkpoints/best.ckpt") for fold in range(3)
    ]


def test_mean_and_deviation_are_those_of_the_runs_and_the_interval_that_of_all_patients(place, gathered):
    runs = [json.loads((place / f"sweep/{fold}/metrics.json").read_text()) for fold in range(3)]
    for key in ("mean_iou", "mean_iou_anatomy"):
        each = [run[key] for run in runs]
        assert gathered["folds"]["mean"][key] == pytest.approx(fmean(each))
        assert gathered["folds"]["sd"][key] == pytest.approx(stdev(each))
        assert [gathered["by"]["fold"][str(fold)][key] for fold in range(3)] == pytest.approx(each)
    low, high = gathered["mean_iou_ci95"]
    assert low < gathered["mean_iou"] < high
    counts = sum(kept(place / "out").values())
    assert gathered["iou"]["other"] == counts[5, 5] / (counts[5].sum() + counts[:, 5].sum() - counts[5, 5])


def test_the_report_shows_folds_and_pages_like_any_other(place, gathered):
    report = place / "out/report"
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
    assert f"{place}/sweep/{{0,1,2}}/checkpoints/best.ckpt" in text
    with (place / "out/per_image.csv").open(newline="") as stream:
        folds = {row["patient"]: row["fold"] for row in csv.DictReader(stream)}
    assert sorted(folds.values()) == ["0", "0", "0", "1", "1", "2", "2"]


def test_two_processes_gather_what_one_does(place, gathered, tmp_path):
    line = (f"folds={place / 'sweep'}", "trainer=cpu", "trainer.devices=2", "measurements=false")
    done = command("evaluate.py", *line, f"hydra.run.dir={tmp_path / 'out'}")
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "out/metrics.json").read_text())["data"] == gathered["data"]
    one, two = kept(place / "out"), kept(tmp_path / "out")
    assert one.keys() == two.keys()
    # Of other batches a few pixels may come out otherwise.
    assert sum(np.abs(one[digest] - two[digest]).sum() for digest in one) < 0.01 * sum(map(np.sum, one.values()))


def test_gathered_folds_are_one_run_in_the_group_of_their_sweep(place, gathered, recorded):
    [run] = recorded.runs
    assert (run.job_type, run.group.rpartition("/")[2]) == ("folds", "sweep")
    assert (run.config["split.folds"], run.config["model"]) == (3, "resunet")
    assert "split.fold" not in dict(run.config)
    [table] = recorded.of("test/cases")
    assert [line[0] for line in table.data] == kept_patients(place / "out")
    assert [line[-1]._caption for line in table.data] == [f"Patient {line[0]} {line[1]}" for line in table.data]
    assert recorded.of("test/mean_iou") == [gathered["mean_iou"]]
    assert recorded.of("folds/sd/mean_iou") == [gathered["folds"]["sd"]["mean_iou"]]
    assert "page/index" in recorded.keys
    assert recorded.artifacts == []


def kept_patients(folder: Path) -> list[str]:
    with np.load(folder / "counts.npz") as file:
        patients: list[str] = file["patient"].tolist()
    return patients


def test_an_ensemble_is_known_by_what_its_members_share(tmp_path):
    all_metadata, files = [metadata(0), metadata(1, "optimizer.lr=0.1")], [tmp_path / "a.ckpt", tmp_path / "b.ckpt"]
    members = tuple(EnsembleMember("resunet", file) for file in files)
    context = EvaluationContext(members, "alkafri", "all", "external", "", "")
    about = about_evaluation(context, all_metadata, files, tmp_path)
    assert (about.job, about.group) == ("ensemble", None)
    assert about.settings["checkpoints"] == list(map(str, files))
    assert about.settings["model"] == "resunet"
    assert not {"optimizer.lr", "split.fold"} & about.settings.keys()


def test_the_folds_are_an_ensemble_ready_for_other_data(place, tmp_path, capsys):
    gather(tmp_path / "again", f"folds={place / 'sweep'}")
    line = capsys.readouterr().out.splitlines()[-1]
    assert line == f"All folds as one network: ckpt_path={place / 'sweep'}"
    write_slice(tmp_path / "new", "0900", "D4")
    metrics = gather(
        tmp_path / "out", line.rpartition(" ")[2], "data=alkafri", f"data.root={tmp_path / 'new'}", "tta=flip"
    )
    assert metrics["model"]["name"] == "3 × resunet-test_resnet, tta=flip"
    assert metrics["data"]["images"] == 1
    with pytest.raises(UserError, match=r"trained or selected on all 6 slices.*folds=… in the place of ckpt_path"):
        gather(tmp_path / "own", f"ckpt_path={place / 'sweep'}")


def test_runs_may_be_named_one_by_one_in_any_order(place, gathered, tmp_path):
    runs = ",".join(str(place / f"sweep/{fold}") for fold in (2, 0, 1))
    metrics = gather(tmp_path / "out", f"folds=[{runs}]")
    assert metrics["by"] == gathered["by"]


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["folds={sweep}", "ckpt_path=x"], "ckpt_path=.x. with folds="),
        (["folds={sweep}", "subset=test"], "subset=test with folds="),
        (["folds={sweep}", "data=alkafri", "data.root=x"], "data=alkafri with folds="),
        (["folds={sweep}/0"], "folds: of 3 folds 1,2 are missing; train what is missing by split=kfold split.fold=1,2"),
        (["folds=[{sweep},{copy}]"], "folds: .*sweep/0/.* and .*copy/.* are all fold 0"),
        (["folds={sweep}", "data.root={less}"], "2 slices that they were trained on are not in the data"),
        (["folds={sweep}", "data.root={more}"], "slice 0900_D4 lies in the test parts of folds 0, 1, 2"),
        (["folds={sweep}", "data.channels=t2"], "data.channels=t2: the checkpoint was trained with composite"),
    ],
)
def test_what_is_no_whole_cross_validation_is_refused(overrides, says, place, tmp_path):
    shutil.copytree(place / "sweep/0", tmp_path / "copy")
    for name in ("less", "more"):
        shutil.copytree(place / "tree", tmp_path / name)
    for path in (tmp_path / "less").rglob("*_0003_*.png"):
        path.unlink()
    write_slice(tmp_path / "more", "0900", "D4")
    names = {name: tmp_path / name for name in ("copy", "less", "more")}
    with pytest.raises(UserError, match=says):
        gather(tmp_path / "out", *(text.format(sweep=place / "sweep", **names) for text in overrides))


def test_a_fold_that_has_not_ended_is_refused(place, tmp_path):
    shutil.copytree(place / "sweep", tmp_path / "sweep")
    (tmp_path / "sweep/1/metrics.json").unlink()
    with pytest.raises(UserError, match=r"sweep/1/.*has not ended; go on with it by python train.py ckpt_path=.*last"):
        gather(tmp_path / "out", f"folds={tmp_path / 'sweep'}")


def test_a_sweep_without_folds_is_refused(place, tmp_path):
    start(tmp_path / "sweep/0", place / "tree", "trainer.max_epochs=1")
    with pytest.raises(UserError, match="was trained with split=patient; give the runs of python"):
        gather(tmp_path / "out", f"folds={tmp_path / 'sweep'}")


def metadata(fold: int, *overrides: str, seen: str = "") -> CheckpointMetadata:
    config = configure("data=alkafri", "data.root=x", "split=kfold", f"split.fold={fold}", *overrides)
    spec = NetworkSpec("resunet", "test_resnet", 3, 6, "transpose", [8])
    return CheckpointMetadata(spec, LUMBAR.to_plain(), [0.0], [1.0], None, config.plain, seen.split(), [])


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["split.folds=4"], "b.ckpt was trained with split.folds=4, but .*a.ckpt with 5"),
        (["split.seed=1"], "split.seed=1, but .* with 0"),
        (["split.val_fraction=0.2"], "split.val_fraction=0.2"),
        (["data.channels=t2"], "data.channels=t2"),
        (["optimizer.lr=0.1"], "optimizer.lr=0.1"),
        (["model=vgg16_unet"], "model.name=vgg16_unet"),
    ],
)
def test_folds_of_another_recipe_are_refused(overrides, says):
    with pytest.raises(UserError, match=says):
        check_folds([Fold(Path("a.ckpt"), metadata(0)), Fold(Path("b.ckpt"), metadata(1, *overrides))])


def test_folds_may_differ_in_seed_and_place():
    folds = [
        Fold(Path(f"{fold}.ckpt"), metadata(fold, f"seed={fold}", f"data.root=y{fold}")) for fold in (3, 0, 4, 1, 2)
    ]
    assert [fold.number for fold in check_folds(folds)] == [0, 1, 2, 3, 4]


def loaded(*names: str) -> list[LoadedSlice]:
    empty = np.zeros((1, 1), dtype=np.uint8)
    return [
        LoadedSlice(Slice(name[0], name[1:2], {}, Path(), None), empty, empty, None, name.partition("=")[2] or name)
        for name in names
    ]


def of(*seen: str) -> list[Fold]:
    return [Fold(Path(f"{fold}.ckpt"), metadata(fold, seen=text)) for fold, text in enumerate(seen)]


def test_a_slice_is_tested_by_the_one_fold_that_did_not_see_it():
    assert held_out(of("b1 b2 c1", "a1 c1", "a1 b1 b2"), loaded("a1", "b1", "b2", "c1")) == [[0], [1, 2], [3]]


def test_an_image_that_patients_of_several_folds_share_is_left_out():
    """Fold 0 tests a, and has seen its image as that of b."""
    assert held_out(of("x b2 c1", "x a2 c1", "x a2 b2"), loaded("a1=x", "a2", "b1=x", "b2", "c1")) == [[1], [3], [4]]


def test_a_patient_in_two_test_parts_is_refused():
    with pytest.raises(UserError, match="patient a lies in the test parts of folds 0, 1"):
        held_out(of("a2 b1", "a1 b1", "a1 a2"), loaded("a1", "a2", "b1"))
    with pytest.raises(UserError, match="slice a_1 lies in the test parts of folds 0, 1"):
        held_out(of("b1", "b1", "a1"), loaded("a1", "b1"))


def test_the_same_card_twice_is_the_same_fold_twice():
    twice = [Fold(Path("a.ckpt"), metadata(0)), Fold(Path("b.ckpt"), replace(metadata(0), mean=[0.5]))]
    with pytest.raises(UserError, match=r"a\.ckpt and b\.ckpt are all fold 0"):
        check_folds(twice)
