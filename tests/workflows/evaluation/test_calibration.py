"""Calibrated intervals in ``evaluate.py`` and ``predict.py``, and evaluations that cannot calibrate."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lss_lightning.data.alkafri_layout import IMAGES
from lss_lightning.errors import UserError
from lss_lightning.files import sha256
from lss_lightning.labels import LUMBAR
from lss_lightning.models.checkpoint import CheckpointMetadata, read_checkpoint
from lss_lightning.models.segmentation import SegmentationModule
from lss_lightning.phantom import render_slice
from lss_lightning.runs.results import find_calibration
from lss_lightning.stenosis import MEASUREMENTS, Calibration
from lss_lightning.stenosis.uncertainty import SPREAD_ONLY
from lss_lightning.workflows.evaluation.calibration import load_calibration
from tests.workflows.prediction.studies import run, write_checkpoint
from tests.workflows.test_evaluate import evaluation, score

SIZE, PATIENTS = 96, 3
LEVELS = ("D3", "D4", "D5")
COPIES = 15  # of each patient, 45 patients in all


@pytest.fixture(scope="module")
def oracle() -> Any:
    """Make networks return the labels of two phantoms, blurred, and more so for mirrored images."""
    rendered = [
        render_slice(seed, patient, level, SIZE)
        for seed in (5, 6)
        for patient in range(1, PATIENTS + 1)
        for level in LEVELS
    ]
    labels = {slice_.t1.tobytes(): slice_.label for slice_ in rendered}
    mirrored = {slice_.t1[:, ::-1].tobytes(): slice_.label[:, ::-1] for slice_ in rendered}

    def forward(self: SegmentationModule, image: Tensor) -> Tensor:
        logits = []
        for key in (channels[0].to(torch.uint8).numpy().tobytes() for channels in image):
            label, size = (labels[key], 3) if key in labels else (mirrored[key], 5)
            one_hot = nn.functional.one_hot(torch.from_numpy(label.copy()).long(), len(LUMBAR)).movedim(-1, 0).float()
            logits.append(8 * nn.functional.avg_pool2d(one_hot, size, stride=1, padding=size // 2))
        return torch.stack(logits)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SegmentationModule, "forward", forward)
        yield


@pytest.fixture(scope="module")
def root(oracle: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint, its evaluation `small` on three patients, and `enough`, a copy of it with 45 patients."""
    root = tmp_path_factory.mktemp("calibrated")
    write_checkpoint(root / "best.ckpt")
    score(root / "small", root / "best.ckpt", *phantom(root, 5))
    enlarge(root / "small", root / "enough")
    return root


def phantom(root: Path, seed: int) -> tuple[str, ...]:
    """Return the overrides of a phantom with three patients."""
    settings = {"root": root / "data", "seed": seed, "patients": PATIENTS, "image_size": SIZE, "num_workers": 0}
    return "data=phantom", *(f"data.{key}={value}" for key, value in settings.items())


def read_measurements(folder: Path) -> list[dict[str, str]]:
    with (folder / "measurements.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def enlarge(small: Path, folder: Path, copies: int = COPIES) -> None:
    """Copy an evaluation with several copies of each patient, each with other errors."""
    shutil.copytree(small, folder)
    rng = np.random.default_rng(0)
    rows = [
        row | {"patient": f"{row['patient']}-{copy}", "digest": f"{row['digest']}-{copy}"}
        for copy in range(copies)
        for row in read_measurements(small)
    ]
    for row in rows:
        if row["predicted"]:
            row["predicted"] = f"{float(row['predicted']) * (1 + 0.02 * rng.normal()):.6g}"
    with (folder / "measurements.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def column_values(rows: list[dict[str, str]], column: str) -> np.ndarray:
    return np.array([float(row[column] or "nan") for row in rows]).reshape(-1, len(MEASUREMENTS))


def fit_calibration(folder: Path) -> Calibration:
    rows = read_measurements(folder)
    patients = [row["patient"] for row in rows[:: len(MEASUREMENTS)]]
    return Calibration.fit(column_values(rows, "label"), column_values(rows, "predicted"), patients)


def load(root: Path, folder: Path, tta: str = "none", **metadata: Any) -> Any:
    file = root / "best.ckpt"
    return load_calibration(
        str(folder), [file], [replace(CheckpointMetadata.from_checkpoint(read_checkpoint(file)), **metadata)], tta
    )


@pytest.fixture(scope="module")
def tested(root: Path) -> Path:
    """An evaluation of other patients, calibrated with `enough`."""
    score(root / "tested", root / "best.ckpt", f"calibration={root / 'enough'}", *phantom(root, 6))
    return root / "tested"


def test_evaluate_reports_calibrated_intervals_of_other_slices(root, tested):
    metrics = json.loads((tested / "metrics.json").read_text())
    rows, expected = read_measurements(tested), fit_calibration(root / "enough")
    checked = 0
    for row in rows:
        if not row["predicted"]:
            assert row["calibrated_low"] == row["calibrated_high"] == ""
            continue
        interval = expected.compute_interval(row["measure"], float(row["predicted"]))
        assert interval is not None
        assert float(row["calibrated_low"]) == pytest.approx(interval.low, rel=1e-4, abs=1e-4)
        assert float(row["calibrated_high"]) == pytest.approx(interval.high, rel=1e-4, abs=1e-4)
        assert row["low"] == row["high"] == ""
        checked += 1
    assert checked > 50
    area = metrics["measurements"]["against_label"]["sac_area_mm2"]
    assert "coverage" not in area
    assert area["calibrated_coverage"]["slices"] == area["slices"] == 9
    page = (tested / "report/measurements.md").read_text()
    assert "Coverage of calibrated intervals, %" in page
    remark = "95 % intervals are calibrated on 135 slices of 45 patients (data=phantom, pixel spacing 2.29 mm)"
    assert remark in page
    assert any(text.startswith(remark) for text in metrics["data"]["remarks"])


def test_same_calibration_gives_the_same_intervals(root, tested, tmp_path):
    settings = (f"calibration={root}/enough/measurements.csv", *phantom(root, 6))
    score(tmp_path / "again", root / "best.ckpt", *settings)
    assert (tested / "measurements.csv").read_bytes() == (tmp_path / "again" / "measurements.csv").read_bytes()


def test_views_have_their_own_intervals_beside_calibrated_ones(root, tmp_path):
    score(tmp_path / "small", root / "best.ckpt", "tta=flip", *phantom(root, 5))
    enlarge(tmp_path / "small", tmp_path / "enough")
    settings = ("tta=flip", f"calibration={tmp_path / 'enough'}", *phantom(root, 6))
    metrics = score(tmp_path / "out", root / "best.ckpt", *settings)
    rows = [row for row in read_measurements(tmp_path / "out") if row["low"] and row["calibrated_low"]]
    assert len(rows) > 50
    assert any(row["low"] != row["calibrated_low"] for row in rows)
    area = metrics["measurements"]["against_label"]["sac_area_mm2"]
    assert area["coverage"]["slices"] == area["calibrated_coverage"]["slices"] == 9
    for key, low, high in (("coverage", "low", "high"), ("calibrated_coverage", "calibrated_low", "calibrated_high")):
        areas = [row for row in rows if row["measure"] == "sac_area_mm2"]
        held = [float(row[low]) <= float(row["label"]) <= float(row[high]) for row in areas]
        assert area[key]["held"] == pytest.approx(np.mean(held))


@pytest.fixture(scope="module")
def pictures(root: Path) -> Path:
    """A patient of the phantom as PNG files, named as in the Al-Kafri data."""
    (written,) = (root / "data").glob("*seed-6")
    study = root / "pictures"
    for kind in ("T1", "T2"):
        folder, prefix = IMAGES[kind.lower()]
        (study / kind).mkdir(parents=True)
        for level in LEVELS:
            shutil.copy(written / folder / f"{prefix}_0001_{level}.png", study / kind)
    return study


def read_study(folder: Path) -> tuple[dict[str, Any], list[dict[str, str]], str]:
    study = folder / "study_1"
    with (study / "measurements.csv").open(newline="", encoding="utf-8") as stream:
        return json.loads((study / "measurements.json").read_text()), list(csv.DictReader(stream)), read_page(study)


def read_page(study: Path) -> str:
    return (study / "report.html").read_text(encoding="utf-8")


LIGHT = ("output.overlays=false", "output.label_maps=false", "output.html=true")


def test_predict_writes_calibrated_intervals_with_their_basis(root, pictures, tmp_path):
    out = run(root / "best.ckpt", pictures, tmp_path / "out", f"calibration={root / 'enough'}", *LIGHT)
    about, rows, text = read_study(out)
    expected = fit_calibration(root / "enough")
    checked = 0
    for slice_ in about["slices"]:
        for name, entry in slice_["measures"].items():
            if entry["value"] is None:
                assert "low" not in entry
                continue
            interval = expected.compute_interval(name, entry["value"])
            assert interval is not None
            assert interval.support is not None
            digits = 10.0 ** -(MEASUREMENTS[name].decimals + 1)
            assert (entry["low"], entry["high"]) == pytest.approx((interval.low, interval.high), abs=digits)
            assert entry["below"] == pytest.approx(
                {key: interval.probability_below[key] for key in entry["below"]}, abs=0.05
            )
            assert entry["status"].keys() == entry["below"].keys()
            assert entry["error"] == interval.basis
            assert entry["calibrated_on"] == {"slices": interval.support.slices, "patients": 45}
            checked += 1
    assert checked > 20
    basis = "calibrated on 135 slices of 45 patients"
    assert {row["intervals"] for row in rows} == {basis}
    assert text.count(f"95 % intervals: {basis}.") == 3
    assert f"95 % interval, {basis}" in text
    assert "contain the measurement of the annotated label map. This holds on average" in text
    assert sum(basis in remark for remark in about["remarks"]) == 1


def test_predict_without_a_calibration_gives_intervals_of_views_only(root, pictures, tmp_path):
    about, rows, text = read_study(run(root / "best.ckpt", pictures, tmp_path / "flip", "tta=flip", *LIGHT))
    assert {row["intervals"] for row in rows} == {SPREAD_ONLY}
    assert text.count(f"95 % intervals: {SPREAD_ONLY}.") == 3
    entries = [entry for slice_ in about["slices"] for entry in slice_["measures"].values() if "low" in entry]
    assert entries
    assert all(entry["calibrated_on"] is None for entry in entries)
    about, rows, text = read_study(run(root / "best.ckpt", pictures, tmp_path / "one", *LIGHT))
    assert {row["intervals"] for row in rows} == {"no error known"}
    assert "95 % interval" not in text
    assert text.count("no error known") > 3 * len(MEASUREMENTS) - 3
    assert not any("low" in entry for slice_ in about["slices"] for entry in slice_["measures"].values())


def change_metrics(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    def alter(folder: Path) -> None:
        metrics = json.loads((folder / "metrics.json").read_text())
        change(metrics)
        (folder / "metrics.json").write_text(json.dumps(metrics))

    return alter


def remove_hash(metrics: dict[str, Any]) -> None:
    del metrics["model"]["members"][0]["sha256"]


def change_measurements(change: Callable[[str], str]) -> Callable[[Path], None]:
    def alter(folder: Path) -> None:
        path = folder / "measurements.csv"
        path.write_text(change(path.read_text()))

    return alter


@pytest.mark.parametrize(
    ("alter", "message"),
    [
        (change_metrics(lambda metrics: metrics["model"].update(tta="full")), "evaluated with tta=full, not tta=none"),
        (change_metrics(remove_hash), r"other checkpoints \(unknown\) than ckpt_path \(sha256 [0-9a-f]{12}…\)"),
        (change_metrics(lambda metrics: metrics["data"].update(subset="folds")), "by one of the checkpoints, not all"),
        (lambda folder: (folder / "measurements.csv").unlink(), "has no measurements.csv; give the directory of"),
        (lambda folder: (folder / "metrics.json").unlink(), r"not a run directory \(no metrics.json\)"),
        (change_measurements(lambda text: text.replace("label", "lable", 1)), "not written by this version .'label'"),
        (change_measurements(lambda text: text[: len(text) // 2]), "was not written by this version"),
        (change_measurements(lambda text: ""), "its rows are not all measurements of each slice"),
    ],
)  # fmt: skip
def test_evaluation_that_cannot_calibrate_is_refused_in_one_line(alter, message, root, tmp_path):
    folder = Path(shutil.copytree(root / "enough", tmp_path / "altered"))
    alter(folder)
    with pytest.raises(UserError, match=message) as refused:
        load(root, folder)
    assert str(refused.value).startswith("calibration: ")
    assert "\n" not in str(refused.value)


def test_evaluation_of_other_networks_or_views_is_refused(root, tmp_path):
    write_checkpoint(tmp_path / "other.ckpt", seed=1)
    with pytest.raises(UserError, match="other checkpoints"):
        load_calibration(str(root / "enough"), [tmp_path / "other.ckpt"], [], "none")
    both = [root / "best.ckpt", tmp_path / "other.ckpt"]
    with pytest.raises(UserError, match="other checkpoints"):
        load_calibration(str(root / "enough"), both, [], "none")
    with pytest.raises(UserError, match=r"tta=none, not tta=flip; set that, or run python evaluate.py .* tta=flip"):
        load(root, root / "enough", tta="flip")


def test_order_of_members_does_not_matter(root, tmp_path):
    write_checkpoint(tmp_path / "other.ckpt", seed=1)
    files = [root / "best.ckpt", tmp_path / "other.ckpt"]
    folder = Path(shutil.copytree(root / "enough", tmp_path / "altered"))
    change_metrics(lambda metrics: metrics["model"].update(members=[{"sha256": sha256(file)} for file in files]))(
        folder
    )
    all_metadata = [CheckpointMetadata.from_checkpoint(read_checkpoint(file)) for file in files]
    first, second = (load_calibration(str(folder), order, all_metadata, "none") for order in (files, files[::-1]))
    assert first is not None
    assert second is not None
    assert first.remark == second.remark
    with pytest.raises(UserError, match="other checkpoints"):
        load_calibration(str(folder), files[:1], all_metadata[:1], "none")


def test_too_few_patients_are_refused_with_the_number_needed(root):
    with pytest.raises(UserError, match="holds 9 slices of 3 patients; 95 % intervals need 39 patients"):
        load(root, root / "small")


def test_measurement_of_too_few_patients_is_named(root, tmp_path):
    folder = Path(shutil.copytree(root / "enough", tmp_path / "altered"))
    rows = read_measurements(folder)
    for row in rows:
        if row["measure"] == "bulge_mm" and row["patient"].endswith(("-1", "-2", "-3")):
            row["predicted"] = ""
    with (folder / "measurements.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    loaded = load(root, folder)
    assert "bulge_mm" not in loaded.errors.residuals
    assert loaded.remark.endswith("None for Disc bulge: fewer than 39 patients have it.")


def test_slices_that_trained_the_checkpoint_are_refused(root, tmp_path):
    digests = [row["digest"] for row in read_measurements(root / "enough")]
    with pytest.raises(UserError, match="1 of its 135 slices trained or selected the checkpoints"):
        load(root, root / "enough", seen=[digests[0]])
    held_out = Path(shutil.copytree(root / "enough", tmp_path / "val"))
    change_metrics(lambda metrics: metrics["data"].update(subset="val"))(held_out)
    assert load(root, held_out, seen=digests).errors.residuals
    change_metrics(lambda metrics: metrics["data"].update(protocol="resubstitution"))(held_out)
    with pytest.raises(UserError, match="135 of its 135 slices"):
        load(root, held_out, seen=digests)


def test_slices_of_the_calibration_are_refused_as_test_slices(root, tmp_path):
    enlarge(root / "small", tmp_path / "same")
    text = (tmp_path / "same" / "measurements.csv").read_text()
    (tmp_path / "same" / "measurements.csv").write_text(text.replace("-0,", ","))
    with pytest.raises(UserError, match="9 of the 9 slices to test were used for the calibration"):
        score(tmp_path / "out", root / "best.ckpt", f"calibration={tmp_path / 'same'}", *phantom(root, 5))


def test_settings_that_contradict_the_calibration_are_refused(root):
    with pytest.raises(UserError, match="measurements=false: the calibration applies to the intervals"):
        evaluation(f"ckpt_path={root}/best.ckpt", f"calibration={root}/enough", "measurements=false")
    with pytest.raises(UserError, match=r"calibration=.* with folds="):
        evaluation(f"folds={root}", f"calibration={root}/enough")
    assert find_calibration(None) is None
