"""Calibrated intervals through ``evaluate.py`` and ``predict.py``, and the evaluations that cannot calibrate."""

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

from lss_lightning.data.slices import IMAGES
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
COPIES = 15  # of each patient, which makes 45


@pytest.fixture(scope="module")
def knowing() -> Any:
    """Networks that know the labels of phantoms of two seeds by their T1 image, blurred, in a mirror more so."""
    rendered = [
        render_slice(seed, patient, level, SIZE)
        for seed in (5, 6)
        for patient in range(1, PATIENTS + 1)
        for level in LEVELS
    ]
    labels = {one.t1.tobytes(): one.label for one in rendered}
    mirrored = {one.t1[:, ::-1].tobytes(): one.label[:, ::-1] for one in rendered}

    def forward(self: SegmentationModule, image: Tensor) -> Tensor:
        each = []
        for key in (one[0].to(torch.uint8).numpy().tobytes() for one in image):
            label, reach = (labels[key], 3) if key in labels else (mirrored[key], 5)
            whole = nn.functional.one_hot(torch.from_numpy(label.copy()).long(), len(LUMBAR)).movedim(-1, 0).float()
            each.append(8 * nn.functional.avg_pool2d(whole, reach, stride=1, padding=reach // 2))
        return torch.stack(each)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SegmentationModule, "forward", forward)
        yield


@pytest.fixture(scope="module")
def place(knowing: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint, its evaluation `small` on three patients, and `enough`, as if there had been 45 of them."""
    place = tmp_path_factory.mktemp("calibrated")
    write_checkpoint(place / "best.ckpt")
    score(place / "small", place / "best.ckpt", *phantom(place, 5))
    enlarge(place / "small", place / "enough")
    return place


def phantom(place: Path, seed: int) -> tuple[str, ...]:
    settings = {"root": place / "data", "seed": seed, "patients": PATIENTS, "image_size": SIZE, "num_workers": 0}
    return "data=phantom", *(f"data.{key}={value}" for key, value in settings.items())


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "measurements.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def enlarge(small: Path, folder: Path, copies: int = COPIES) -> None:
    """Copy an evaluation with each patient so many times under other names, each time with other errors."""
    shutil.copytree(small, folder)
    rng = np.random.default_rng(0)
    rows = [
        row | {"patient": f"{row['patient']}-{copy}", "digest": f"{row['digest']}-{copy}"}
        for copy in range(copies)
        for row in table(small)
    ]
    for row in rows:
        if row["predicted"]:
            row["predicted"] = f"{float(row['predicted']) * (1 + 0.02 * rng.normal()):.6g}"
    with (folder / "measurements.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def numbers(rows: list[dict[str, str]], column: str) -> np.ndarray:
    return np.array([float(row[column] or "nan") for row in rows]).reshape(-1, len(MEASUREMENTS))


def by_hand(folder: Path) -> Calibration:
    rows = table(folder)
    columns = (numbers(rows, column) for column in ("label", "predicted"))
    return Calibration.fit(*columns, [row["patient"] for row in rows[:: len(MEASUREMENTS)]])


def load(place: Path, folder: Path, tta: str = "none", **metadata: Any) -> Any:
    file = place / "best.ckpt"
    return load_calibration(
        str(folder), [file], [replace(CheckpointMetadata.of(read_checkpoint(file)), **metadata)], tta
    )


@pytest.fixture(scope="module")
def tested(place: Path) -> Path:
    """An evaluation with `enough` as its calibration, of other patients."""
    score(place / "tested", place / "best.ckpt", f"calibration={place / 'enough'}", *phantom(place, 6))
    return place / "tested"


def test_evaluate_tests_the_calibrated_intervals_on_other_slices(place, tested):
    metrics = json.loads((tested / "metrics.json").read_text())
    rows, expected = table(tested), by_hand(place / "enough")
    checked = 0
    for row in rows:
        if not row["predicted"]:
            assert row["calibrated_low"] == row["calibrated_high"] == ""
            continue
        interval = expected.interval(row["measure"], float(row["predicted"]))
        assert float(row["calibrated_low"]) == pytest.approx(interval.low, rel=1e-4, abs=1e-4)
        assert float(row["calibrated_high"]) == pytest.approx(interval.high, rel=1e-4, abs=1e-4)
        assert row["low"] == row["high"] == ""
        checked += 1
    assert checked > 50
    area = metrics["measurements"]["against_label"]["sac_area_mm2"]
    assert "coverage" not in area
    assert area["calibrated_coverage"]["slices"] == area["slices"] == 9
    page = (tested / "report/measurements.md").read_text()
    assert "Calibrated intervals that hold it, %" in page
    remark = "95 % intervals are calibrated on 135 slices of 45 patients (data=phantom, pixel 2.29 mm)"
    assert remark in page
    assert any(text.startswith(remark) for text in metrics["data"]["remarks"])


def test_the_same_calibration_gives_the_same_intervals(place, tested, tmp_path):
    settings = (f"calibration={place}/enough/measurements.csv", *phantom(place, 6))
    score(tmp_path / "again", place / "best.ckpt", *settings)
    assert (tested / "measurements.csv").read_bytes() == (tmp_path / "again" / "measurements.csv").read_bytes()


def test_views_keep_their_own_intervals_beside_the_calibrated_ones(place, tmp_path):
    score(tmp_path / "small", place / "best.ckpt", "tta=flip", *phantom(place, 5))
    enlarge(tmp_path / "small", tmp_path / "enough")
    settings = ("tta=flip", f"calibration={tmp_path / 'enough'}", *phantom(place, 6))
    metrics = score(tmp_path / "out", place / "best.ckpt", *settings)
    rows = [row for row in table(tmp_path / "out") if row["low"] and row["calibrated_low"]]
    assert len(rows) > 50
    assert any(row["low"] != row["calibrated_low"] for row in rows)
    area = metrics["measurements"]["against_label"]["sac_area_mm2"]
    assert area["coverage"]["slices"] == area["calibrated_coverage"]["slices"] == 9
    for key, low, high in (("coverage", "low", "high"), ("calibrated_coverage", "calibrated_low", "calibrated_high")):
        areas = [row for row in rows if row["measure"] == "sac_area_mm2"]
        held = [float(row[low]) <= float(row["label"]) <= float(row[high]) for row in areas]
        assert area[key]["held"] == pytest.approx(np.mean(held))


@pytest.fixture(scope="module")
def pictures(place: Path) -> Path:
    """A patient of the phantom as pictures, named as in the Al-Kafri data."""
    (written,) = (place / "data").glob("*seed-6")
    study = place / "pictures"
    for kind in ("T1", "T2"):
        folder, prefix = IMAGES[kind.lower()]
        (study / kind).mkdir(parents=True)
        for level in LEVELS:
            shutil.copy(written / folder / f"{prefix}_0001_{level}.png", study / kind)
    return study


def said(folder: Path) -> tuple[dict[str, Any], list[dict[str, str]], str]:
    study = folder / "study_1"
    with (study / "measurements.csv").open(newline="", encoding="utf-8") as stream:
        return json.loads((study / "measurements.json").read_text()), list(csv.DictReader(stream)), page(study)


def page(study: Path) -> str:
    return (study / "report.html").read_text(encoding="utf-8")


LIGHT = ("output.overlays=false", "output.label_maps=false", "output.html=true")


def test_predict_writes_calibrated_intervals_and_says_so_wherever_they_stand(place, pictures, tmp_path):
    out = run(place / "best.ckpt", pictures, tmp_path / "out", f"calibration={place / 'enough'}", *LIGHT)
    about, rows, text = said(out)
    expected = by_hand(place / "enough")
    checked = 0
    for piece in about["slices"]:
        for name, found in piece["measures"].items():
            if found["value"] is None:
                assert "low" not in found
                continue
            interval = expected.interval(name, found["value"])
            assert (found["low"], found["high"]) == pytest.approx((interval.low, interval.high), rel=1e-4)
            assert found["below"] == pytest.approx(dict(interval.below))
            assert found["calibrated_on"] == {"slices": interval.support.slices, "patients": 45}
            checked += 1
    assert checked > 20
    basis = "calibrated on 135 slices of 45 patients"
    assert {row["intervals"] for row in rows} == {basis}
    assert text.count(f"95 % intervals: {basis}.") == 3
    assert f"95 % interval, {basis}" in text
    assert "have the measure of their label map within: on average" in text
    assert sum(basis in remark for remark in about["remarks"]) == 1


def test_without_a_calibration_views_say_that_there_is_none_and_one_network_says_nothing(place, pictures, tmp_path):
    about, rows, text = said(run(place / "best.ckpt", pictures, tmp_path / "flip", "tta=flip", *LIGHT))
    assert {row["intervals"] for row in rows} == {SPREAD_ONLY}
    assert text.count(f"95 % intervals: {SPREAD_ONLY}.") == 3
    given = [found for piece in about["slices"] for found in piece["measures"].values() if "low" in found]
    assert given
    assert all(found["calibrated_on"] is None for found in given)
    about, rows, text = said(run(place / "best.ckpt", pictures, tmp_path / "one", *LIGHT))
    assert {row["intervals"] for row in rows} == {""}
    assert "95 % interval" not in text
    assert not any("low" in found for piece in about["slices"] for found in piece["measures"].values())


def altered(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    def alter(folder: Path) -> None:
        metrics = json.loads((folder / "metrics.json").read_text())
        change(metrics)
        (folder / "metrics.json").write_text(json.dumps(metrics))

    return alter


def unhashed(metrics: dict[str, Any]) -> None:
    del metrics["model"]["members"][0]["sha256"]


def rewritten(change: Callable[[str], str]) -> Callable[[Path], None]:
    def alter(folder: Path) -> None:
        path = folder / "measurements.csv"
        path.write_text(change(path.read_text()))

    return alter


@pytest.mark.parametrize(
    ("alter", "message"),
    [
        (altered(lambda metrics: metrics["model"].update(tta="full")), "evaluated with tta=full, not tta=none"),
        (altered(unhashed), r"evaluated other checkpoints \(unknown\) than ckpt_path \(sha256 [0-9a-f]{12}…\)"),
        (altered(lambda metrics: metrics["data"].update(subset="folds")), "each slice by one of the checkpoints"),
        (lambda folder: (folder / "measurements.csv").unlink(), "holds no measurements.csv; give the folder of"),
        (lambda folder: (folder / "metrics.json").unlink(), r"no run's folder \(no metrics.json\)"),
        (rewritten(lambda text: text.replace("label", "lable", 1)), "not as this version writes it .'label'"),
        (rewritten(lambda text: text[: len(text) // 2]), "not as this version writes it"),
        (rewritten(lambda text: ""), "its rows are not all measures of each slice"),
    ],
)  # fmt: skip
def test_what_cannot_calibrate_is_refused_in_a_line(alter, message, place, tmp_path):
    folder = Path(shutil.copytree(place / "enough", tmp_path / "altered"))
    alter(folder)
    with pytest.raises(UserError, match=message) as refused:
        load(place, folder)
    assert str(refused.value).startswith("calibration: ")
    assert "\n" not in str(refused.value)


def test_other_networks_or_views_are_refused(place, tmp_path):
    write_checkpoint(tmp_path / "other.ckpt", seed=1)
    with pytest.raises(UserError, match="other checkpoints"):
        load_calibration(str(place / "enough"), [tmp_path / "other.ckpt"], [], "none")
    both = [place / "best.ckpt", tmp_path / "other.ckpt"]
    with pytest.raises(UserError, match="other checkpoints"):
        load_calibration(str(place / "enough"), both, [], "none")
    with pytest.raises(UserError, match=r"tta=none, not tta=flip; give that, or run python evaluate.py .* tta=flip"):
        load(place, place / "enough", tta="flip")


def test_members_may_be_named_in_any_order(place, tmp_path):
    write_checkpoint(tmp_path / "other.ckpt", seed=1)
    files = [place / "best.ckpt", tmp_path / "other.ckpt"]
    folder = Path(shutil.copytree(place / "enough", tmp_path / "altered"))
    altered(lambda metrics: metrics["model"].update(members=[{"sha256": sha256(file)} for file in files]))(folder)
    all_metadata = [CheckpointMetadata.of(read_checkpoint(file)) for file in files]
    found = [load_calibration(str(folder), order, all_metadata, "none") for order in (files, files[::-1])]
    assert found[0].remark == found[1].remark
    with pytest.raises(UserError, match="other checkpoints"):
        load_calibration(str(folder), files[:1], all_metadata[:1], "none")


def test_too_few_patients_are_refused_with_how_many_are_needed(place):
    with pytest.raises(UserError, match="holds 9 slices of 3 patients; intervals of 95 % need 39 patients"):
        load(place, place / "small")


def test_a_measure_that_too_few_have_is_named(place, tmp_path):
    folder = Path(shutil.copytree(place / "enough", tmp_path / "altered"))
    rows = table(folder)
    for row in rows:
        if row["measure"] == "bulge_mm" and row["patient"].endswith(("-1", "-2", "-3")):
            row["predicted"] = ""
    with (folder / "measurements.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    found = load(place, folder)
    assert "bulge_mm" not in found.calibration.residuals
    assert found.remark.endswith("None of Disc bulge: fewer than 39 patients have it.")


def test_slices_that_taught_the_checkpoint_are_refused(place, tmp_path):
    digests = [row["digest"] for row in table(place / "enough")]
    with pytest.raises(UserError, match="1 of its 135 slices trained or selected the checkpoints"):
        load(place, place / "enough", seen=[digests[0]])
    held_out = Path(shutil.copytree(place / "enough", tmp_path / "val"))
    altered(lambda metrics: metrics["data"].update(subset="val"))(held_out)
    assert load(place, held_out, seen=digests).calibration.residuals
    altered(lambda metrics: metrics["data"].update(protocol="resubstitution"))(held_out)
    with pytest.raises(UserError, match="135 of its 135 slices"):
        load(place, held_out, seen=digests)


def test_slices_that_made_a_calibration_do_not_test_it(place, tmp_path):
    enlarge(place / "small", tmp_path / "same")
    text = (tmp_path / "same" / "measurements.csv").read_text()
    (tmp_path / "same" / "measurements.csv").write_text(text.replace("-0,", ","))
    with pytest.raises(UserError, match="9 of the 9 slices to test made it"):
        score(tmp_path / "out", place / "best.ckpt", f"calibration={tmp_path / 'same'}", *phantom(place, 5))


def test_settings_that_contradict_a_calibration_are_refused(place):
    with pytest.raises(UserError, match="measurements=false: it is the measures whose intervals are calibrated"):
        evaluation(f"ckpt_path={place}/best.ckpt", f"calibration={place}/enough", "measurements=false")
    with pytest.raises(UserError, match=r"calibration=.* with folds="):
        evaluation(f"folds={place}", f"calibration={place}/enough")
    assert find_calibration(None) is None
