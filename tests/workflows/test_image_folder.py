"""Whole commands on a user's own images: everything downstream follows the class list."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from PIL import Image

from lss_lightning.errors import UserError
from tests.workflows.test_commands import command
from tests.workflows.test_evaluate import score
from tests.workflows.test_train import QUICK, rows

CLASSES = "{background: 0, disc: 10, thecal sac: 20}"
KEYS = ["background", "disc", "thecal_sac"]
PATIENT = r'data.patient="^(p\d+)"'


def write(root: Path, *, patients: int = 10, seed: int = 0, nifti: bool = False, offset: int = 0) -> Path:
    """Two slices a patient: PNG in colour, or a grey 16-bit NIfTI volume of two planes; classes in stripes."""
    stripes = np.broadcast_to((np.arange(64) * 3 // 64 * 10)[:, None], (64, 64)).astype(np.uint8)
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    for patient in range(patients):
        rng = np.random.default_rng((seed, patient))
        name = f"p{patient + offset:02d}"
        if nifti:
            bright = (stripes * 40 + rng.integers(0, 99, (2, 64, 64))).astype(np.int16)
            for folder, stack in (("images", bright), ("masks", np.stack([stripes] * 2))):
                volume = SimpleITK.GetImageFromArray(stack)
                volume.SetSpacing((0.7, 0.7, 4.0))
                SimpleITK.WriteImage(volume, str(root / folder / f"{name}.nii.gz"))
            continue
        for level in ("a", "b"):
            noise = rng.integers(0, 50, (64, 64, 3))
            Image.fromarray((stripes[..., None] * 5 + noise).astype(np.uint8)).save(root / f"images/{name}_{level}.png")
            Image.fromarray(stripes).save(root / f"masks/{name}_{level}.png")
    return root


def train(root: Path, *overrides: str) -> Path:
    run = root.parent / "run"
    data = ("data=folder", f"data.root={root}", f"data.classes={CLASSES}", PATIENT)
    done = command("train.py", *data, *QUICK, "trainer.max_epochs=1", f"hydra.run.dir={run}", *overrides)
    assert done.returncode == 0, done.stderr
    return run


def evaluate(run: Path, out: Path, *overrides: str):
    line = (f"ckpt_path={run}/checkpoints/best.ckpt", "trainer=cpu", f"hydra.run.dir={out}", *overrides)
    return command("evaluate.py", *line)


@pytest.fixture(scope="module")
def colour(tmp_path_factory) -> Path:
    """The run of a network trained on colour PNG files of three classes, beside its `data`."""
    return train(write(tmp_path_factory.mktemp("colour") / "data"), "data.pixel_size=0.5")


def test_all_that_a_run_writes_follows_the_class_list(colour):
    metrics = json.loads((colour / "metrics.json").read_text())
    for kind in ("iou", "dice", "precision", "recall"):
        assert list(metrics[kind]) == KEYS
    assert metrics["data"]["spacing_mm"] == 0.5
    assert (metrics["data"]["images"], metrics["data"]["patients"]) == (2, 1)
    anatomy = [metrics["iou"][key] or 0 for key in KEYS[1:]]
    assert metrics["mean_iou_anatomy"] == pytest.approx(np.mean(anatomy))
    columns = {name for name in rows(colour / "metrics.csv")[0] if "/iou/" in name}
    assert columns == {f"{part}/iou/{key}" for part in ("train", "val") for key in KEYS}
    table = (colour / "report/table2.md").read_text()
    assert "Altun" not in table
    with (colour / "report/table2.csv").open() as stream:
        assert [row[0] for row in csv.reader(stream)][1:4] == ["Background", "Disc", "Thecal sac"]
    pictures = {path.stem for path in (colour / "report").glob("*.png")}
    own = {"curves", "examples", "worst", "confusion", "boundary_mm", "reliability", "sizes_mm", "patients"}
    assert pictures == own
    page = (colour / "report/index.html").read_text(encoding="utf-8")
    assert '<h2 id="classes-title">' in page
    assert "Altun" not in page
    assert list(metrics["boundary"]["hd95_mm"]) == list(metrics["calibration"]["ece"]) == KEYS
    assert metrics["by"] == {}  # its slices have no levels of the spine


def test_own_data_gives_the_training_run_s_figures(colour, tmp_path):
    done = evaluate(colour, tmp_path / "out")
    assert done.returncode == 0, done.stderr
    before, after = (json.loads((folder / "metrics.json").read_text()) for folder in (colour, tmp_path / "out"))
    assert after["iou"] == before["iou"]


def test_other_data_may_have_other_codes_and_formats(colour, tmp_path):
    """Grey volumes for a network that takes three channels; the 18 slices it was trained on are left out."""
    root = write(tmp_path / "other", patients=2, seed=5, nifti=True, offset=50)
    done = evaluate(colour, tmp_path / "out", "data=folder", f"data.root={root}", f"data.classes={CLASSES}", PATIENT)
    assert done.returncode == 0, done.stderr
    assert "2 of 2 image files hold more than 8 bits" in done.stderr
    about = json.loads((tmp_path / "out/metrics.json").read_text())["data"]
    assert (about["protocol"], about["images"], about["patients"], about["spacing_mm"]) == ("external", 4, 2, 0.5)
    same = colour.parent / "data"
    more = ("data=folder", f"data.root={same}", f"data.classes={CLASSES}", PATIENT, "data.pixel_size=0.5")
    done = evaluate(colour, tmp_path / "seen", *more)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "seen/metrics.json").read_text())["data"]["excluded_seen"] == 18


def test_without_a_pixel_size_distances_are_in_pixels_and_said_so(tmp_path):
    run = train(write(tmp_path / "data"))
    boundary = json.loads((run / "metrics.json").read_text())["boundary"]
    assert {"nsd_1px", "nsd_2px", "hd95_px", "assd_px", "bf_tolerance_px"} < set(boundary)
    assert not [key for key in boundary if key.endswith("mm")]
    assert (run / "report/boundary_px.png").is_file()
    assert "In pixels (px)" in (run / "report/scores.md").read_text()


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["data.classes={background: 0, disc: 10, bone: 20}"], "without thecal_sac and with bone; make them the same"),
        (["data.classes={background: 0, disc: 10}"], "its classes are not the checkpoint's: without thecal_sac; make"),
        (["data.classes={disc: 10, background: 0, thecal sac: 20}"], "in the order disc, background, thecal_sac, not"),
        (
            ["data.background=[disc]"],
            "with background, thecal_sac as anatomy, not disc, thecal_sac; make them",
        ),
        (["data.channels=grey"], "data.channels=grey: the checkpoint was trained with rgb"),
        (["data.pixel_size=null"], "states no pixel size, but a working pixel of 0.5 mm (data.spacing) needs it"),
    ],
    ids=str,
)
def test_what_does_not_fit_the_checkpoint_is_refused(overrides, says, colour, tmp_path):
    given = [f"data.classes={CLASSES}", "data.pixel_size=0.5", *overrides]
    last = {override.partition("=")[0]: override for override in given}.values()
    with pytest.raises(UserError) as refused:
        score(
            tmp_path / "out", colour / "checkpoints/best.ckpt", "data=folder", f"data.root={colour.parent}/data", *last
        )
    assert says in str(refused.value)


def test_grey_volumes_train_and_are_evaluated(tmp_path):
    run = train(write(tmp_path / "data", nifti=True))
    about = json.loads((run / "metrics.json").read_text())["data"]
    assert (about["images"], about["patients"], about["spacing_mm"]) == (2, 1, pytest.approx(0.7))
    assert [row["level"] for row in rows(run / "split.csv")][:2] == ["000", "001"]
    done = evaluate(run, tmp_path / "out")
    assert done.returncode == 0, done.stderr
    after = json.loads((tmp_path / "out/metrics.json").read_text())
    assert list(after["iou"]) == KEYS
    with pytest.raises(UserError, match=r"states no pixel size, but a working pixel of 0.7 mm"):
        score(tmp_path / "unknown", run / "checkpoints/best.ckpt", f"data.root={write(tmp_path / 'png')}")
    with pytest.raises(UserError, match=r"composite, t1, t2 or t1_t2 images, but .* on grey images \(1 channel\)"):
        score(tmp_path / "phantom", run / "checkpoints/best.ckpt", "data=phantom", "data.channels=t2")


def test_the_inventory_follows_the_class_list(tmp_path):
    root = write(tmp_path / "data")
    Image.fromarray(np.full((64, 64), 30, np.uint8)).save(root / "masks/p00_a.png")
    (root / "images/p01_a.png").write_bytes(b"\x89PNG")
    out = tmp_path / "out"
    arguments = (f"data.root={root}", f"data.classes={CLASSES}", f"hydra.run.dir={out}")
    done = command("prepare.py", "data=folder", *arguments)
    assert done.returncode == 0, done.stderr
    held = json.loads((out / "inventory.json").read_text())
    assert list(held["classes"]) == KEYS
    assert (held["levels"], held["incomplete_patients"], held["labels_counted"]) == ({}, {}, 19)
    assert [entry["pixels_by_code"] for entry in held["unknown_codes"]] == [{"30": 4096}]
    assert [entry["slice"] for entry in held["broken"]] == ["p01_a"]
    assert any("data.patient is not set" in note for note in held["notes"])
    assert "Note: data.patient is not set" in done.stdout
    assert "fewer than three levels" not in done.stdout
    assert "Unregistered" not in done.stdout
    assert (out / "inventory.png").is_file()


@pytest.mark.parametrize("script", ["train.py", "prepare.py"])
def test_mistakes_are_told_before_anything_starts(script, tmp_path):
    root = write(tmp_path / "data", patients=3)
    (root / "masks/p01_b.png").unlink()
    out = tmp_path / "out"
    done = command(script, "data=folder", f"data.root={root}", f"data.classes={CLASSES}", f"hydra.run.dir={out}")
    assert done.returncode == 2
    assert "6 images and 5 masks do not pair by name: without mask (1: p01_b)" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not out.exists()
