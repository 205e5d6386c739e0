"""Each output of a study is written, or named with the reason, whatever happens to the others."""

from __future__ import annotations

import html
import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pydicom
import pytest

from lss_lightning.errors import IncompleteError, UserError
from lss_lightning.reporting.prediction import study_folder
from tests.workflows.prediction.studies import (
    T1_SERIES,
    draw_anatomy,
    edit,
    files,
    run,
    write_checkpoint,
    write_dicom,
)

ALL = {
    "write_label_maps": "label_maps",
    "write_nifti": "nifti",
    "write_overlays": "overlays",
    "write_seg": "seg",
    "write_sr": "sr",
    "write_study_report": "html",
}
ON = ("output.seg=true", "output.sr=true", "output.html=true")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint") / "best.ckpt", "t1")


@pytest.fixture(autouse=True)
def _anatomy(monkeypatch: pytest.MonkeyPatch) -> None:
    draw_anatomy(monkeypatch)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    study = write_dicom(tmp_path / "input")
    for path in files(study, T1_SERIES)[2:]:
        path.unlink()
    return study


def problems(out: Path) -> list[str]:
    return json.loads((out / "predict.json").read_text())["studies"][0]["problems"]


def test_each_failing_output_is_named_and_the_others_are_written(
    checkpoint: Path, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    complete = run(checkpoint, study, tmp_path / "complete", *ON)
    expected = {path.name for path in (complete / "study_1").iterdir()}
    for function, name in ALL.items():
        with monkeypatch.context() as patch:
            patch.setattr(study_folder, function, fail_after_writing)
            with pytest.raises(
                IncompleteError, match=f"output.{name} not written: ZeroDivisionError in test_outputs.py"
            ):
                run(checkpoint, study, tmp_path / name, *ON)
        (problem,) = problems(tmp_path / name)
        assert "secret" not in problem
        written = {path.name for path in (tmp_path / name / "study_1").iterdir()}
        assert written < expected
        assert len(expected - written) in (1, 2)  # groups of different tilt have a file each


def fail_after_writing(study: object, path: Path, *_: object) -> None:
    path.with_name("partial").write_text("")
    raise ZeroDivisionError("secret")


def test_a_full_disk_ends_the_study(
    checkpoint: Path, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(study_folder, "write_overlays", fail)
    with pytest.raises(UserError, match="No space left on device"):
        run(checkpoint, study, tmp_path / "out")


def lose_frame(dataset: pydicom.FileDataset) -> None:
    del dataset.FrameOfReferenceUID


def lose_class(dataset: pydicom.FileDataset) -> None:
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = pydicom.uid.UID("1.2.826.0.1.3680043.9.999.1")


def repeat_uid(dataset: pydicom.FileDataset) -> None:
    dataset.SOPInstanceUID = "1.2.3.4"


def lose_thickness(dataset: pydicom.FileDataset) -> None:
    del dataset.SliceThickness, dataset.SpacingBetweenSlices


@pytest.mark.parametrize(
    ("damage", "missing"),
    [
        (lose_frame, {"seg": "lacks FrameOfReferenceUID, which SEG requires"}),
        (lose_class, dict.fromkeys(("seg", "sr"), "SOPClassUID 1.2.826.0.1.3680043.9.999.1 is no class of")),
        (repeat_uid, dict.fromkeys(("seg", "sr"), "slice_01: its SOPInstanceUID is also that of another file")),
        (lose_thickness, {}),
    ],
)
def test_a_missing_attribute_costs_only_the_outputs_that_need_it(
    damage: Callable[[pydicom.FileDataset], None],
    missing: dict[str, str],
    checkpoint: Path,
    study: Path,
    tmp_path: Path,
) -> None:
    edit(files(study), damage)
    out = tmp_path / "out"
    with pytest.raises(IncompleteError, match="not all their files") if missing else nullcontext():
        run(checkpoint, study, out, *ON)
    stated = problems(out)
    assert len(stated) == len(missing)
    for (name, reason), problem in zip(missing.items(), stated, strict=True):
        assert f"output.{name} not written: " in problem
        assert reason in problem
    remarks = json.loads((out / "study_1" / "measurements.json").read_text())["remarks"]
    page = html.unescape((out / "study_1" / "report.html").read_text())
    for remark, problem in zip(remarks, stated, strict=False):
        assert remark == f"O{problem[1:]}."
        assert remark in page
    names = {path.name for path in (out / "study_1").iterdir()}
    assert {"report.html", "label_maps", "measurements.csv"} <= names
    assert ("report.dcm" in names) is ("sr" not in missing)


def test_a_report_without_a_segmentation_is_written(checkpoint: Path, study: Path, tmp_path: Path) -> None:
    run(checkpoint, study, tmp_path / "out", "output.sr=true")
    names = {path.name for path in (tmp_path / "out" / "study_1").iterdir()}
    assert "report.dcm" in names
    assert not any(name.startswith("segmentation") and name.endswith(".dcm") for name in names)


def test_the_directory_file_of_a_disc_is_an_input(checkpoint: Path, study: Path, tmp_path: Path) -> None:
    (study / "DICOMDIR").write_bytes(b"")
    run(checkpoint, study / "DICOMDIR", tmp_path / "out")
    assert (tmp_path / "out" / "study_1" / "measurements.csv").is_file()
