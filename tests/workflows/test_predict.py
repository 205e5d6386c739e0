"""``predict.py`` end to end: the outputs of a study, and that results are never lost, mixed up or overwritten."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK
from PIL.PngImagePlugin import PngImageFile

from lss_lightning.config.predict import PredictConfig
from lss_lightning.config.validation import build_config
from lss_lightning.data.formats import read_mask
from lss_lightning.errors import IncompleteError, UserError
from lss_lightning.labels import LUMBAR, LabelSet
from lss_lightning.stenosis import CRITERIA, DISCLAIMER, MEASUREMENTS
from lss_lightning.stenosis.study import extend_labels
from lss_lightning.workflows import predict
from tests.conftest import compose_command
from tests.workflows.prediction.studies import (
    SIZE,
    T1_SERIES,
    T2_SERIES,
    draw_anatomy,
    edit,
    files,
    keep,
    run,
    write_checkpoint,
    write_dicom,
)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint") / "best.ckpt")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dicom(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def output(checkpoint: Path, study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(checkpoint, study, tmp_path_factory.mktemp("predicted") / "out")


@pytest.fixture(scope="module")
def measured(checkpoint: Path, study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the output of networks that find a disc, canal and sac in every slice."""
    with pytest.MonkeyPatch.context() as patch:
        draw_anatomy(patch)
        return run(checkpoint, study, tmp_path_factory.mktemp("measured") / "out", "output.seg=true")


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "measurements.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def read_measurements(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "measurements.json").read_text())


def test_all_axial_slices_are_named_in_order(output: Path, study: Path) -> None:
    count = len(files(study, T1_SERIES))
    names = [f"slice_{number:02d}" for number in range(1, count + 1)]
    folder = output / "study_1"
    assert [row["slice"] for row in rows(folder)] == names
    assert [slice_["name"] for slice_ in read_measurements(folder)["slices"]] == names
    assert sorted(path.stem for path in (folder / "label_maps").iterdir()) == names
    heights = [slice_["geometry"]["origin_mm"][2] for slice_ in read_measurements(folder)["slices"]]
    assert heights[0] > heights[-1]


def test_tables_contain_models_criteria_sources_and_disclaimer(measured: Path, checkpoint: Path, study: Path) -> None:
    folder, digest = measured / "study_1", hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    about = read_measurements(folder)
    assert about["schema"] == 1
    assert about["models"] == [{"name": "resunet-resnet34", "sha256": digest}]
    assert DISCLAIMER == "Research use only, not a medical device."
    stamp = f"{DISCLAIMER} Trained on data=phantom. Phantom data: no clinical meaning."
    assert about["disclaimer"] == stamp
    assert [criterion["source"] for criterion in about["criteria"]] == [criterion.source for criterion in CRITERIA]
    for row in rows(folder):
        assert (row["models_sha256"], row["disclaimer"]) == (digest, stamp)
        assert set(MEASUREMENTS) <= row.keys()
    first = about["slices"][0]
    sources = {hashlib.sha256(path.read_bytes()).hexdigest() for path in files(study, T1_SERIES, T2_SERIES)}
    assert set(first["sources_sha256"]) <= sources
    assert len(first["sources_sha256"]) == 2
    index = json.loads((measured / "predict.json").read_text())
    assert index["studies"] == [{"name": "study_1", "done": True, "problems": []}]
    assert (index["studies_found"], index["finished"]) == (1, True)
    assert index["settings"]["tta"] == "none"
    assert "cpu" in index["settings"]["hardware"]


def test_levels_follow_from_the_tilt_of_the_groups(measured: Path) -> None:
    about = read_measurements(measured / "study_1")
    levels = [slice_["level"] for slice_ in about["slices"] if slice_["level"]]
    assert list(dict.fromkeys(levels)) == ["L3/4", "L4/5", "L5/S1"]
    assert {slice_["level_source"] for slice_ in about["slices"]} <= {"assigned", "unknown"}
    assert any(remark.startswith("Levels are assumed: the lowest group") for remark in about["remarks"])


def test_label_maps_hold_codes_and_a_palette(measured: Path) -> None:
    labels = extend_labels(LUMBAR, ["disc", "vertebra"])
    for path in sorted((measured / "study_1" / "label_maps").iterdir()):
        with PngImageFile(path) as picture:
            assert picture.mode == "P"
            assert str(picture.text["Comment"]).startswith(DISCLAIMER)
            colours = np.array(picture.convert("RGB"))
        codes = read_mask(path)
        classes = labels.to_indices(codes, path)
        for index in np.unique(classes):
            colour = tuple(bytes.fromhex(labels[index].colour[1:]))
            assert (colours[classes == index] == colour).all()


@pytest.mark.parametrize("program", ["SimpleITK", "nibabel"])
def test_volumes_align_with_the_dicom_images(output: Path, study: Path, program: str) -> None:
    """A voxel has the same position as the DICOM pixel that it was made from."""
    import pydicom

    folder = output / "study_1"
    volumes = sorted(folder.glob("segmentation*.nii.gz"))
    assert len(volumes) == 3  # one per group of slices
    about = {
        tuple(np.round(slice_["geometry"]["origin_mm"], 3)): slice_["name"]
        for slice_ in read_measurements(folder)["slices"]
    }
    matched = 0
    for path in files(study, T1_SERIES):
        image = pydicom.dcmread(path)
        origin = np.array(image.ImagePositionPatient, dtype=float)
        name = about[tuple(np.round(origin, 3))]
        codes = read_mask(folder / "label_maps" / f"{name}.png")
        across, down = np.reshape(image.ImageOrientationPatient, (2, 3)).astype(float)
        for row, column in ((10, 20), (SIZE // 2, SIZE // 3), (SIZE - 5, SIZE - 9)):
            point = origin + column * image.PixelSpacing[1] * across + row * image.PixelSpacing[0] * down
            values = [code for volume in volumes if (code := code_at(volume, point, program)) is not None]
            assert values == [codes[row, column]]
            matched += 1
    assert matched == 3 * len(about)


def code_at(volume: Path, point: np.ndarray, program: str) -> int | None:
    """Return the code at a point in patient coordinates, or None outside the volume."""
    if program == "SimpleITK":
        image = SimpleITK.ReadImage(str(volume))
        index = np.array(image.TransformPhysicalPointToContinuousIndex(point.tolist()))
        voxels = SimpleITK.GetArrayFromImage(image).transpose(2, 1, 0)
    else:
        import nibabel

        loaded = nibabel.nifti1.load(volume)
        index = np.linalg.solve(loaded.affine, np.array((*(point * (-1, -1, 1)), 1.0)))[:3]
        voxels = np.asarray(loaded.dataobj)
    nearest = np.rint(index).astype(int)
    if (nearest < 0).any() or (nearest >= voxels.shape).any() or not np.allclose(index, nearest, atol=0.02):
        return None
    return int(voxels[tuple(nearest)])


def test_measured_slices_have_overlays(measured: Path) -> None:
    folder = measured / "study_1"
    names = [slice_["name"] for slice_ in read_measurements(folder)["slices"] if slice_["measures"]]
    assert names
    assert sorted(path.stem for path in (folder / "overlays").iterdir()) == names


def test_a_disc_is_coded_only_on_slices_through_a_disc(measured: Path, study: Path) -> None:
    folder = measured / "study_1"
    slices = {slice_["name"]: slice_ for slice_ in read_measurements(folder)["slices"]}
    # Three groups, of a disc each.
    assert [slice_["content"] for slice_ in slices.values()].count("disc") == 3
    assert {slice_["content"] for slice_ in slices.values()} == {"disc", "vertebra"}
    codes = {name: read_mask(folder / "label_maps" / f"{name}.png") for name in slices}
    for name, slice_ in slices.items():
        assert (codes[name] == 50).any() == (slice_["content"] == "disc"), name
        assert (codes[name] == 25).any() == (slice_["content"] == "vertebra"), name
        assert (slice_["measures"] is None) == (slice_["content"] == "vertebra")
    volumes = [SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path))) for path in folder.glob("*.nii.gz")]
    assert sum((volume == 50).any(axis=(1, 2)).sum() for volume in volumes) == 3
    headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in sorted(folder.glob("segmentation*.dcm"))]
    frames = [
        groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        for header in headers
        for groups in header.PerFrameFunctionalGroupsSequence
    ]
    assert [headers[0].SegmentSequence[number].SegmentLabel for number in (0, 4)] == [
        "Intervertebral Disc",
        "Vertebral Body",
    ]
    assert frames.count(1) == 3
    assert frames.count(5) == len(slices) - 3
    assert len({header.SeriesDescription for header in headers}) == 3


def test_without_t1_no_slice_is_compared_with_thresholds(study: Path, tmp_path: Path) -> None:
    keep(copy := Path(shutil.copytree(study, tmp_path / "study")), T2_SERIES)
    checkpoint = write_checkpoint(tmp_path / "t2.ckpt", "t2")
    with pytest.MonkeyPatch.context() as patch:
        draw_anatomy(patch)
        out = run(checkpoint, copy, tmp_path / "out", "levels={slice_02: L3/4}", "output.overlays=false")
    first, second, *others = read_measurements(out / "study_1")["slices"]
    for slice_ in (first, *others):
        assert (slice_["content"], slice_["findings"], slice_["sites"]) == ("unknown", [], [])
        assert slice_["measures"]["sac_area_mm2"]["status"] == {}
        assert "thresholds are not applied" in slice_["flags"][-1]["message"]
        assert not (read_mask(out / "study_1" / "label_maps" / f"{slice_['name']}.png") == 50).any()
    assert second["content"] == "disc"
    assert set(second["measures"]["sac_area_mm2"]["status"]) == {"sac_area_mm2<75", "sac_area_mm2<100"}


def test_values_have_sensible_digits_and_a_known_or_unknown_error(measured: Path) -> None:
    folder = measured / "study_1"
    assert {row["intervals"] for row in rows(folder)} == {"no error known", ""}
    for slice_ in read_measurements(folder)["slices"]:
        for name, entry in (slice_["measures"] or {}).items():
            if entry["value"] is not None:
                assert entry["error"] == "no error known"
                assert round(entry["value"], MEASUREMENTS[name].decimals + 1) == entry["value"]
    assert not [row for row in rows(folder) for cell in row.values() if "nan" in cell.split()]


def test_a_study_of_which_everything_is_withheld_ends_with_exit_code_1(
    checkpoint: Path, study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    cfg, _ = compose_command(
        "predict", f"ckpt_path={checkpoint}", f"input={study}", f"output.folder={output}", "trainer=cpu"
    )
    with pytest.raises(IncompleteError, match="nothing is measured; study_1: none of 13 slices has a measurement") as e:
        predict.run(build_config(PredictConfig, cfg), tmp_path)
    assert e.value.exit_code == 1
    assert "13 slices, 0 measured" in capsys.readouterr().out
    folder = output / "study_1"
    assert not list(folder.glob("segmentation*.dcm"))
    assert not (folder / "overlays").exists()
    page = (folder / "report.html").read_text()
    assert "13 axial slices segmented, 0 measured, 13 without a reported measurement." in page
    assert "none; withheld" not in page
    (problem,) = json.loads((output / "predict.json").read_text())["studies"][0]["problems"]
    assert "every measurement is withheld: this may not be an axial lumbar slice" in problem


def test_a_zip_gives_the_same_results_as_its_folder(
    output: Path, checkpoint: Path, study: Path, tmp_path: Path
) -> None:
    with zipfile.ZipFile(tmp_path / "study.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in files(study):
            archive.write(path, path.relative_to(study.parent))
    again = run(checkpoint, tmp_path / "study.zip", tmp_path / "out")
    assert contents(again) == contents(output)


def test_studies_in_one_folder_are_separated(output: Path, checkpoint: Path, study: Path, tmp_path: Path) -> None:
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    second = write_dicom(tmp_path / "more", patient=2)
    for number, path in enumerate([*files(study), *files(second)]):
        shutil.copy(path, mixed / f"{number:03d}.dcm")
    again = run(checkpoint, mixed, tmp_path / "out", "output.overlays=false", "output.nifti=false")
    assert {path.name for path in again.iterdir()} == {"predict.json", "study_1", "study_2"}
    assert contents(again / "study_1" / "label_maps") == contents(output / "study_1" / "label_maps")
    assert len(rows(again / "study_2")) == len(files(second, T1_SERIES))


def test_levels_given_by_the_user_are_used(
    checkpoint: Path, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw_anatomy(monkeypatch)
    out = run(checkpoint, study, tmp_path / "out", "levels={slice_02: L2/3}", "output.overlays=false")
    slices = read_measurements(out / "study_1")["slices"]
    assert (slices[1]["level"], slices[1]["level_source"], slices[1]["not_measured"]) == ("L2/3", "given", None)
    assert {slice_["level"] for slice_ in slices} == {"L2/3", None}
    for wrong, message in (
        ("levels={slice_99: L4/5}", "no slice_99 among slice_01 to"),
        ("levels={study_2/slice_01: L4/5}", "contains 1 study, and no study_2"),
        ("levels={slice_01: L6/7}", "not a lumbar disc; allowed: L1/2"),
        ("levels={first: L4/5}", "not a slice"),
    ):
        with pytest.raises(UserError, match=message):
            run(checkpoint, study, tmp_path / "wrong", wrong)
        assert not (tmp_path / "wrong").exists()


def test_several_checkpoints_and_views_give_intervals(study: Path, tmp_path: Path) -> None:
    keep(copy := Path(shutil.copytree(study, tmp_path / "study")), T2_SERIES)
    (tmp_path / "b").mkdir()
    members = [write_checkpoint(tmp_path / f"{seed}.ckpt", "t2", seed=seed) for seed in (1, 2)]
    checkpoints = f"[{members[0]},{members[1]}]"
    out = run(Path(checkpoints), copy, tmp_path / "out", "tta=flip", "output.overlays=false", "output.nifti=false")
    about = read_measurements(out / "study_1")
    assert [model["sha256"] for model in about["models"]] == [
        hashlib.sha256(path.read_bytes()).hexdigest() for path in members
    ]
    for slice_ in about["slices"]:
        for measurement in (slice_["measures"] or {}).values():
            assert ("low" in measurement) <= (measurement["value"] is not None)
            if "low" in measurement:
                assert measurement["low"] <= measurement["value"] <= measurement["high"]


def test_other_classes_are_segmented_but_not_measured(study: Path, tmp_path: Path) -> None:
    labels = LabelSet.from_codes({"background": 0, "disc": 1, "sac": 2}, ["background"])
    checkpoint = write_checkpoint(tmp_path / "other.ckpt", "t1", labels)
    out = run(checkpoint, study, tmp_path / "out")
    assert {row["not_measured"] for row in rows(out / "study_1")} == {
        "the checkpoint lacks classes that the measurements need"
    }
    assert set(np.unique(read_mask(out / "study_1" / "label_maps" / "slice_01.png"))) <= {0, 1, 2}
    assert not (out / "study_1" / "overlays").exists()


def test_an_existing_output_folder_is_kept(checkpoint: Path, study: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("years of work")
    for overwrite, message in (
        ("false", "is not empty"),
        ("true", "only what predict.py wrote, not thesis.txt"),
    ):
        with pytest.raises(UserError, match=message):
            run(checkpoint, study, out, f"overwrite={overwrite}")
    assert contents(out) == {"thesis.txt": b"years of work"}
    with pytest.raises(UserError, match="is a file; give a new folder"):
        run(checkpoint, study, out / "thesis.txt")


def test_overwrite_replaces_earlier_results_but_keeps_them_on_failure(
    checkpoint: Path, study: Path, tmp_path: Path
) -> None:
    light = ("output.overlays=false", "output.nifti=false")
    out = run(checkpoint, study, tmp_path / "out", *light)
    (out / "study_2").mkdir()
    before = contents(out)
    with pytest.raises(UserError, match="is not empty"):
        run(checkpoint, study, out)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "image.dcm").write_bytes(b"no image")
    with pytest.raises(UserError, match="DICOM files can be read"):
        run(checkpoint, tmp_path / "bad", out, "overwrite=true")
    assert contents(out) == before
    assert (out / "study_2").is_dir()
    run(checkpoint, study, out, "overwrite=true", "output.label_maps=false", *light)
    assert {path.name for path in (out / "study_1").iterdir()} == {"measurements.csv", "measurements.json"}
    assert not (out / "study_2").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"out", "bad"}


def test_results_inside_the_input_are_not_read_as_input(checkpoint: Path, study: Path, tmp_path: Path) -> None:
    keep(copy := Path(shutil.copytree(study, tmp_path / "study")), T1_SERIES, T2_SERIES)
    for _ in range(2):
        run(checkpoint, copy, copy / "report", "overwrite=true", "output.overlays=false")
    assert {path.name for path in (copy / "report").iterdir()} == {"predict.json", "study_1"}


def test_series_of_the_user_and_what_is_not_used_are_stated(checkpoint: Path, study: Path, tmp_path: Path) -> None:
    light = ("output.overlays=false", "output.nifti=false", "output.label_maps=false")
    edit(files(copy := Path(shutil.copytree(study, tmp_path / "study")), T2_SERIES), make_stir)
    with pytest.raises(UserError, match=r"no axial T2 images.*series 4 \(\d+ images, STIR\)"):
        run(checkpoint, copy, tmp_path / "out", *light)
    out = run(checkpoint, copy, tmp_path / "out", "series={t1: T1_TSE_TRA, t2: 4}", *light)
    remarks = read_measurements(out / "study_1")["remarks"]
    assert "T2 is series 4, as set with series=." in remarks
    assert json.loads((out / "predict.json").read_text())["settings"]["series"] == {"t1": "by text", "t2": 4}


def make_stir(dataset: pydicom.FileDataset) -> None:
    dataset.SeriesDescription = "t2_stir_tra"


def test_patients_that_share_a_study_uid_get_a_folder_each(checkpoint: Path, study: Path, tmp_path: Path) -> None:
    keep(first := Path(shutil.copytree(study, tmp_path / "in" / "a")), T1_SERIES, T2_SERIES)
    second = Path(shutil.copytree(first, tmp_path / "in" / "b"))
    edit(files(second), lambda dataset: setattr(dataset, "PatientID", "another"))
    out = run(checkpoint, tmp_path / "in", tmp_path / "out", "output.overlays=false", "output.nifti=false")
    for name in ("study_1", "study_2"):
        assert len(rows(out / name)) == len(files(first, T1_SERIES))
        assert read_measurements(out / name)["remarks"][0].startswith("2 patients (by PatientID")
