"""The errors of a checkpoint on its test part: written beside the checkpoint, and read by ``predict.py``."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from lss_lightning.errors import UserError
from lss_lightning.metrics.measurements import MeasurementTable
from lss_lightning.models.checkpoint import CheckpointMetadata, read_checkpoint
from lss_lightning.runs.layout import MEASUREMENT_ERRORS
from lss_lightning.stenosis import MEASUREMENTS
from lss_lightning.workflows.evaluation.held_out_errors import load_held_out_errors, write_held_out_errors
from lss_lightning.workflows.evaluation.result import PartialResult
from tests.workflows.prediction.studies import draw_anatomy, run, write_checkpoint, write_dicom

PATIENTS = list("aabbccddeeff")


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint") / "best.ckpt")


@pytest.fixture
def checkpoint(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(original, tmp_path / "best.ckpt"))


def metadata_of(checkpoint: Path, seen: list[str]) -> CheckpointMetadata:
    return replace(CheckpointMetadata.from_checkpoint(read_checkpoint(checkpoint)), seen=seen)


def make_part() -> PartialResult:
    """Make a test of twelve slices of six patients, with errors of 1 to 12 in every measurement."""
    label = np.full((12, len(MEASUREMENTS)), 100.0)
    table = MeasurementTable(
        label=label,
        predicted=label + np.arange(1.0, 13)[:, None],
        low=label,
        high=label,
        calibrated_low=label,
        calibrated_high=label,
        patients=PATIENTS,
        levels=[None] * 12,
    )
    nothing: Any = None
    slices: Any = [SimpleNamespace(digest=str(index)) for index in range(12)]
    return PartialResult(nothing, None, slices, nothing, 0, table)


def test_errors_are_read_as_they_were_written(checkpoint: Path) -> None:
    assert load_held_out_errors([checkpoint], "none") is None
    write_held_out_errors(make_part(), checkpoint, metadata_of(checkpoint, []), "phantom")
    loaded = load_held_out_errors([checkpoint], "none")
    assert loaded is not None
    error = loaded.errors.errors["canal_ap_mm"]
    assert (error.bias, error.slices, error.patients) == (6.5, 12, 6)
    assert error.sd == pytest.approx(np.std(np.arange(12), ddof=1))
    assert "6 patients of data=phantom" in loaded.remark


def test_slices_that_trained_or_selected_the_checkpoint_do_not_count(checkpoint: Path) -> None:
    write_held_out_errors(make_part(), checkpoint, metadata_of(checkpoint, ["0", "1"]), "phantom")
    loaded = load_held_out_errors([checkpoint], "none")
    assert loaded is not None
    assert (loaded.errors.errors["canal_ap_mm"].bias, loaded.errors.errors["canal_ap_mm"].patients) == (7.5, 5)
    (checkpoint.parent / MEASUREMENT_ERRORS).unlink()
    write_held_out_errors(make_part(), checkpoint, metadata_of(checkpoint, ["0", "1", "2", "3"]), "phantom")
    assert not (checkpoint.parent / MEASUREMENT_ERRORS).exists()


def test_errors_are_those_of_one_checkpoint_with_one_view(checkpoint: Path) -> None:
    write_held_out_errors(make_part(), checkpoint, metadata_of(checkpoint, []), "phantom")
    other = write_checkpoint(checkpoint.with_name("last.ckpt"), seed=1)
    assert load_held_out_errors([checkpoint], "none") is not None
    assert load_held_out_errors([checkpoint], "flip") is None
    assert load_held_out_errors([checkpoint, other], "none") is None
    assert load_held_out_errors([other], "none") is None


@pytest.mark.parametrize("content", ["{", "{}", '{"checkpoint": 1}', "[]"])
def test_a_damaged_file_is_named(checkpoint: Path, content: str) -> None:
    (checkpoint.parent / MEASUREMENT_ERRORS).write_text(content)
    if content == '{"checkpoint": 1}':
        assert load_held_out_errors([checkpoint], "none") is None
        return
    with pytest.raises(UserError, match=r"measurement-errors\.json: damaged .*; remove it"):
        load_held_out_errors([checkpoint], "none")


def test_predict_states_the_error_beside_every_value(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_held_out_errors(make_part(), checkpoint, metadata_of(checkpoint, []), "phantom")
    draw_anatomy(monkeypatch)
    out = run(checkpoint, write_dicom(tmp_path / "study"), tmp_path / "out", "output.html=true")
    about = json.loads((out / "study_1" / "measurements.json").read_text())
    basis = "error of this checkpoint on its test part, 12 slices of 6 patients"
    entries = [
        entry
        for slice_ in about["slices"]
        for entry in (slice_["measures"] or {}).values()
        if entry["value"] is not None
    ]
    assert len(entries) > 30
    assert {entry["error"] for entry in entries} == {basis}
    assert {entry["calibrated_on"] for entry in entries} == {None}
    areas = [slice_["measures"]["sac_area_mm2"] for slice_ in about["slices"] if slice_["measures"]]
    for area in areas:  # the bias is 6.5 mm²
        assert (area["low"] + area["high"]) / 2 == pytest.approx(area["value"] - 6.5, abs=0.15)
    with (out / "study_1" / "measurements.csv").open(newline="", encoding="utf-8") as stream:
        assert {row["intervals"] for row in csv.DictReader(stream) if not row["not_measured"]} == {basis}
    page = (out / "study_1" / "report.html").read_text()
    assert f"95 % intervals: {basis}." in page
    assert "Other scanners, sequences and annotators may differ more." in page
    assert any(remark.startswith("95 % intervals are the error of this checkpoint") for remark in about["remarks"])
