"""Commands on a folder of the user's own images with the user's own classes."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from PIL import Image

from lss_lightning.errors import UserError
from tests.workflows.processes import command
from tests.workflows.quick_runs import QUICK, rows
from tests.workflows.test_evaluate import score

CLASSES = "{background: 0, disc: 10, thecal sac: 20}"
KEYS = ["background", "disc", "thecal_sac"]
PATIENT = r'data.patient="^(p\d+)"'


def write_images(root: Path, *, patients: int = 10, seed: int = 0, nifti: bool = False, offset: int = 0) -> Path:
    """Write two slices per patient with classes in stripes: colour PNG files, or a grey 16-bit NIfTI volume."""
    stripes = np.broadcast_to((np.arange(64) * 3 // 64 * 10)[:, None], (64, 64)).astype(np.uint8)
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    for patient in range(patients):
        rng = np.random.default_rng((seed, patient))
        name = f"p{patient + offset:02d}"
        if nifti:
            bright = (stripes * 40 + rng.integers(0, 99, (2, 64, 64))).astype(np.int16)
            for folder, planes in (("images", bright), ("masks", np.stack([stripes] * 2))):
                volume = SimpleITK.GetImageFromArray(planes)
                volume.SetSpacing((0.7, 0.7, 4.0))
                SimpleITK.WriteImage(volume, str(root / folder / f"{name}.nii.gz"))
            continue
        for level in ("a", "b"):
            noise = rng.integers(0, 50, (64, 64, 3))
            Image.fromarray((stripes[..., None] * 5 + noise).astype(np.uint8)).save(root / f"images/{name}_{level}.png")
            Image.fromarray(stripes).save(root / f"masks/{name}_{level}.png")
    return root


def train(root: Path, *overrides: str) -> Path:
    """Train for one epoch and return the run directory."""
    run = root.parent / "run"
    data = ("data=folder", f"data.root={root}", f"data.classes={CLASSES}", PATIENT)
    process = command("train.py", *data, *QUICK, "trainer.max_epochs=1", f"hydra.run.dir={run}", *overrides)
    assert process.returncode == 0, process.stderr
    return run


def evaluate(run: Path, out: Path, *overrides: str):
    line = (f"ckpt_path={run}/checkpoints/best.ckpt", "trainer=cpu", f"hydra.run.dir={out}", *overrides)
    return command("evaluate.py", *line)


@pytest.fixture(scope="module")
def colour(tmp_path_factory) -> Path:
    """The run of a network trained on colour PNG files of three classes, beside its `data` folder."""
    return train(write_images(tmp_path_factory.mktemp("colour") / "data"), "data.pixel_size=0.5")


def test_outputs_of_a_run_have_the_classes_of_the_data(colour):
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
    figures = {path.stem for path in (colour / "report").glob("*.png")}
    expected = {"curves", "examples", "worst", "confusion", "boundary_mm", "reliability", "sizes_mm", "patients"}
    assert figures == expected
    page = (colour / "report/index.html").read_text(encoding="utf-8")
    assert '<h2 id="classes-title">' in page
    assert "Altun" not in page
    assert list(metrics["boundary"]["hd95_mm"]) == list(metrics["calibration"]["ece"]) == KEYS
    assert metrics["by"] == {}  # its slices have no spinal levels


def test_own_data_gives_the_metrics_of_the_training_run(colour, tmp_path):
    process = evaluate(colour, tmp_path / "out")
    assert process.returncode == 0, process.stderr
    before, after = (json.loads((folder / "metrics.json").read_text()) for folder in (colour, tmp_path / "out"))
    assert after["iou"] == before["iou"]


def test_other_data_may_have_another_format(colour, tmp_path):
    """Grey volumes for a network of three channels. The 18 slices that it was trained on are excluded."""
    root = write_images(tmp_path / "other", patients=2, seed=5, nifti=True, offset=50)
    process = evaluate(colour, tmp_path / "out", "data=folder", f"data.root={root}", f"data.classes={CLASSES}", PATIENT)
    assert process.returncode == 0, process.stderr
    assert "2 of 2 image files hold more than 8 bits" in process.stderr
    about = json.loads((tmp_path / "out/metrics.json").read_text())["data"]
    assert (about["protocol"], about["images"], about["patients"], about["spacing_mm"]) == ("external", 4, 2, 0.5)
    same = colour.parent / "data"
    more = ("data=folder", f"data.root={same}", f"data.classes={CLASSES}", PATIENT, "data.pixel_size=0.5")
    process = evaluate(colour, tmp_path / "seen", *more)
    assert process.returncode == 0, process.stderr
    assert json.loads((tmp_path / "seen/metrics.json").read_text())["data"]["excluded_seen"] == 18


def test_without_a_pixel_size_distances_are_in_pixels(tmp_path):
    run = train(write_images(tmp_path / "data"))
    boundary = json.loads((run / "metrics.json").read_text())["boundary"]
    assert {"nsd_1px", "nsd_2px", "hd95_px", "assd_px", "bf_tolerance_px"} < set(boundary)
    assert not [key for key in boundary if key.endswith("mm")]
    assert (run / "report/boundary_px.png").is_file()
    assert "In pixels (px)" in (run / "report/scores.md").read_text()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["data.classes={background: 0, disc: 10, bone: 20}"], "without thecal_sac and with bone; match them with"),
        (
            ["data.classes={background: 0, disc: 10}"],
            "its classes differ from those of the checkpoint: without thecal_sac; match",
        ),
        (["data.classes={disc: 10, background: 0, thecal sac: 20}"], "in the order disc, background, thecal_sac, not"),
        (
            ["data.background=[disc]"],
            "with background, thecal_sac as anatomy, not disc, thecal_sac; match them",
        ),
        (["data.channels=grey"], "data.channels=grey: the checkpoint was trained with rgb"),
        (["data.pixel_size=null"], "states no pixel size, but a working spacing of 0.5 mm (data.spacing) needs it"),
    ],
    ids=str,
)
def test_data_that_does_not_fit_the_checkpoint_is_refused(overrides, message, colour, tmp_path):
    settings = [f"data.classes={CLASSES}", "data.pixel_size=0.5", *overrides]
    last = {override.partition("=")[0]: override for override in settings}.values()
    with pytest.raises(UserError) as refused:
        score(
            tmp_path / "out", colour / "checkpoints/best.ckpt", "data=folder", f"data.root={colour.parent}/data", *last
        )
    assert message in str(refused.value)


def test_grey_volumes_can_be_trained_and_evaluated(tmp_path):
    run = train(write_images(tmp_path / "data", nifti=True))
    about = json.loads((run / "metrics.json").read_text())["data"]
    assert (about["images"], about["patients"], about["spacing_mm"]) == (2, 1, pytest.approx(0.7))
    assert [row["level"] for row in rows(run / "split.csv")][:2] == ["000", "001"]
    process = evaluate(run, tmp_path / "out")
    assert process.returncode == 0, process.stderr
    after = json.loads((tmp_path / "out/metrics.json").read_text())
    assert list(after["iou"]) == KEYS
    with pytest.raises(UserError, match=r"states no pixel size, but a working spacing of 0.7 mm"):
        score(tmp_path / "unknown", run / "checkpoints/best.ckpt", f"data.root={write_images(tmp_path / 'png')}")
    with pytest.raises(UserError, match=r"composite, t1, t2 or t1_t2 images, but .* on grey images \(1 channel\)"):
        score(tmp_path / "phantom", run / "checkpoints/best.ckpt", "data=phantom", "data.channels=t2")


def test_inventory_has_the_classes_of_the_data(tmp_path):
    root = write_images(tmp_path / "data")
    Image.fromarray(np.full((64, 64), 30, np.uint8)).save(root / "masks/p00_a.png")
    (root / "images/p01_a.png").write_bytes(b"\x89PNG")
    out = tmp_path / "out"
    arguments = (f"data.root={root}", f"data.classes={CLASSES}", f"hydra.run.dir={out}")
    process = command("prepare.py", "data=folder", *arguments)
    assert process.returncode == 0, process.stderr
    inventory = json.loads((out / "inventory.json").read_text())
    assert list(inventory["classes"]) == KEYS
    assert (inventory["levels"], inventory["incomplete_patients"], inventory["labels_counted"]) == ({}, {}, 19)
    assert [entry["pixels_by_code"] for entry in inventory["unknown_codes"]] == [{"30": 4096}]
    assert [entry["slice"] for entry in inventory["broken"]] == ["p01_a"]
    assert any("data.patient is not set" in note for note in inventory["notes"])
    assert "Note: data.patient is not set" in process.stdout
    assert "fewer than three levels" not in process.stdout
    assert "Unregistered" not in process.stdout
    assert (out / "inventory.png").is_file()


@pytest.mark.parametrize("script", ["train.py", "prepare.py"])
def test_mistakes_are_reported_before_anything_starts(script, tmp_path):
    root = write_images(tmp_path / "data", patients=3)
    (root / "masks/p01_b.png").unlink()
    out = tmp_path / "out"
    process = command(script, "data=folder", f"data.root={root}", f"data.classes={CLASSES}", f"hydra.run.dir={out}")
    assert process.returncode == 2
    assert "6 images and 5 masks do not pair by name: without mask (1: p01_b)" in process.stderr
    assert process.stderr.count("\n") == 1
    assert not out.exists()
