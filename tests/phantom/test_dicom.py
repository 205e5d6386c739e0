"""Tests of the phantom's DICOM studies: headers, truth, reproducibility and refusal to overwrite."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from lss_lightning.data.dicom.archive import RAW_FOLDER
from lss_lightning.data.dicom.picks import PICKS_FOLDER
from lss_lightning.errors import UserError
from lss_lightning.phantom.dicom import T1_SERIES, T2_SERIES, write_studies, write_study
from lss_lightning.phantom.patient import StenosisSite, sample_patient
from lss_lightning.phantom.render import draw_body
from lss_lightning.phantom.study import PhantomStudy, StudySlice, cut_sagittal, render_study
from lss_lightning.phantom.tissue import Tissue
from lss_lightning.phantom.vertebra import SliceHeight, build_vertebra

SIZE, T2_SIZE, SEED = 64, 72, 4


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[StudySlice]]:
    root = tmp_path_factory.mktemp("studies") / "set"
    return root, write_studies(root, seed=SEED, patients=2, image_size=SIZE, t2_sizes={2: T2_SIZE}, workers=2)


def read_series(root: Path, patient_id: int, name: str) -> list[pydicom.FileDataset]:
    (study,) = (root / RAW_FOLDER / f"{patient_id:04d}").iterdir()
    return [pydicom.dcmread(path) for path in sorted((study / name).iterdir())]


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_layout_and_file_names(written: tuple[Path, list[StudySlice]]) -> None:
    root, _ = written
    (study,) = (root / RAW_FOLDER / "0001").iterdir()
    assert {path.name for path in study.iterdir()} == {
        "LOCALIZER_0001",
        "T2_TSE_SAG_384_0002",
        "T2_TSE_TRA_384_0004",
        "T1_TSE_TRA_0005",
    }
    assert (study / T2_SERIES / "T2_TSE_TRA__0001_003.ima").is_file()
    assert (study / "LOCALIZER_0001" / "LOCALIZER_0_0001_002.ima").is_file()
    assert [path.name for path in root.parent.iterdir()] == ["set"]


@pytest.mark.parametrize(("name", "repetition", "echo"), [(T1_SERIES, 600, 12), (T2_SERIES, 4000, 100)])
def test_axial_headers(written: tuple[Path, list[StudySlice]], name: str, repetition: float, echo: float) -> None:
    root, truth = written
    for patient_id, size in ((1, SIZE), (2, T2_SIZE if name == T2_SERIES else SIZE)):
        datasets = read_series(root, patient_id, name)
        assert 12 <= len(datasets) <= 15
        assert len(datasets) == sum(row.patient_id == patient_id for row in truth)
        for number, dataset in enumerate(datasets, start=1):
            assert dataset.pixel_array.dtype == np.uint16
            assert dataset.pixel_array.shape == (size, size)
            assert dataset.pixel_array.max() > 200
            assert (dataset.RepetitionTime, dataset.EchoTime, dataset.InstanceNumber) == (repetition, echo, number)
            assert list(dataset.PixelSpacing) == pytest.approx([220 / size] * 2)
            assert (dataset.SliceThickness, dataset.SpacingBetweenSlices) == (4.0, 4.4)
            across, down = np.reshape(dataset.ImageOrientationPatient, (2, 3)).astype(float)
            assert across @ down == pytest.approx(0)
            assert abs(np.cross(across, down)[2]) > 0.9
    description = name.rsplit("_", 1)[0].lower()
    assert datasets[0].SeriesDescription == datasets[0].ProtocolName == description


def test_slices_of_a_group_are_parallel_and_ordered_from_head_to_feet(written: tuple[Path, list[StudySlice]]) -> None:
    root, truth = written
    datasets = read_series(root, 1, T1_SERIES)
    levels = [row.level for row in truth if row.patient_id == 1]
    corners = np.array([dataset.ImagePositionPatient for dataset in datasets], dtype=float)
    normals = np.array([np.cross(d.ImageOrientationPatient[:3], d.ImageOrientationPatient[3:]) for d in datasets])
    within = [k for k in range(len(levels) - 1) if levels[k] == levels[k + 1]]
    assert len(within) == len(levels) - 3
    for k in within:
        assert normals[k] @ normals[k + 1] == pytest.approx(1)
        assert corners[k + 1] - corners[k] == pytest.approx(-4.4 * normals[k], abs=1e-6)
    assert len({tuple(np.round(normal, 3)) for normal in normals}) == 3


def test_identifiers_are_unique_per_image_series_and_study(written: tuple[Path, list[StudySlice]]) -> None:
    root, _ = written
    t1, t2 = read_series(root, 1, T1_SERIES), read_series(root, 1, T2_SERIES)
    datasets = [*t1, *t2, *read_series(root, 1, "T2_TSE_SAG_384_0002"), *read_series(root, 1, "LOCALIZER_0001")]
    assert len({dataset.SOPInstanceUID for dataset in datasets}) == len(datasets)
    assert len({dataset.SeriesInstanceUID for dataset in datasets}) == 4
    assert len({dataset.StudyInstanceUID for dataset in datasets}) == 1
    assert t1[0].FrameOfReferenceUID != t2[0].FrameOfReferenceUID
    assert t1[0].StudyInstanceUID != read_series(root, 2, T1_SERIES)[0].StudyInstanceUID


def test_truth_lists_discs_and_vertebrae(written: tuple[Path, list[StudySlice]]) -> None:
    root, truth = written
    with (root / "truth.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == len(truth)
    for row, slice_ in zip(rows, truth, strict=True):
        assert (row["patient"], row["number"]) == (f"{slice_.patient_id:04d}", str(slice_.number))
        assert (row["level"], row["content"]) == (slice_.level, slice_.content)
        for column, value in (("severity", slice_.severity), ("t2_dx_mm", slice_.dx), ("t2_turn_deg", slice_.rotation)):
            assert float(row[column]) == pytest.approx(value, abs=1e-6)
        # A slice without a disc has no measurements.
        assert (row["canal_ap_mm"] == "") == (slice_.content == "vertebra")
    for patient_id in (1, 2):
        slices = [row for row in truth if row.patient_id == patient_id]
        assert [row.number for row in slices] == list(range(1, len(slices) + 1))
        assert [row.level for row in slices if row.content == "disc"] == ["D3", "D4", "D5"]
    vertebrae = [row for row in truth if row.content != "disc"]
    assert {row.content for row in vertebrae} == {"vertebra"}
    assert {row.severity for row in vertebrae} == {0.0}
    assert all(max(abs(row.dx), abs(row.dy)) <= 6 and abs(row.rotation) <= 2 for row in truth)
    assert len({row.dx for row in truth}) == 6


def test_vertebrae_are_marrow_and_have_pedicles_only_below_the_disc() -> None:
    healthy = replace(sample_patient(SEED, 1, "D4"), severity=0.0, site=StenosisSite.NONE)
    patient = replace(healthy, shift=(0.0, 10.0), rotation=0.0)
    bodies = {height: draw_body(SEED, 1, patient, 192, height) for height in SliceHeight}

    def tissues_at(height: SliceHeight, x: float, y: float, radius: float = 1.0) -> set[int]:
        canvas = bodies[height].canvas
        window = canvas.window((x, y), radius)
        return set(np.unique(canvas.tissue[window]).tolist())

    spine = bodies[SliceHeight.DISC].spine
    middle = spine.disc.centre[1]
    assert tissues_at(SliceHeight.DISC, -14.0, middle) == {Tissue.ANNULUS}
    for height in (SliceHeight.FORAMEN, SliceHeight.PEDICLE, SliceHeight.VEIN):
        assert tissues_at(height, -14.0, middle) == {Tissue.MARROW}
        # No part of the disc remains visible around the vertebral body.
        canvas = bodies[height].canvas
        assert not np.isin(canvas.tissue, (Tissue.ANNULUS, Tissue.NUCLEUS)).any()
    for pedicle in build_vertebra(spine, SliceHeight.PEDICLE).pedicles:
        x, y = pedicle.start[0], pedicle.start[1] + 4.0
        assert Tissue.MARROW not in tissues_at(SliceHeight.FORAMEN, x, y)
        assert tissues_at(SliceHeight.PEDICLE, x, y) == tissues_at(SliceHeight.VEIN, x, y) == {Tissue.MARROW}
    assert Tissue.CSF in tissues_at(SliceHeight.VEIN, 0.0, -5.0)
    assert Tissue.CSF not in tissues_at(SliceHeight.PEDICLE, 0.0, -5.0)


def test_csv_files_name_the_disc_slices_and_the_series(written: tuple[Path, list[StudySlice]]) -> None:
    root, truth = written
    for patient_id, line in enumerate((root / PICKS_FOLDER / "Slices Numbers.csv").read_text().splitlines(), start=1):
        numbers = [row.number for row in truth if row.patient_id == patient_id and row.content == "disc"]
        assert line == ",".join(map(str, (patient_id, *numbers)))
    assert (root / PICKS_FOLDER / "T1_Subfolders.csv").read_text() == f"1,{T1_SERIES}\n2,{T1_SERIES}\n"
    assert (root / PICKS_FOLDER / "T2_Subfolders.csv").read_text() == f"1,{T2_SERIES}\n2,{T2_SERIES}\n"


def test_bytes_depend_on_the_seed_and_not_on_the_workers(
    written: tuple[Path, list[StudySlice]], tmp_path: Path
) -> None:
    root, truth = written
    slices = write_study(tmp_path / "single", seed=SEED, patient=2, image_size=SIZE, t2_size=T2_SIZE)
    assert slices == [row for row in truth if row.patient_id == 2]
    files = contents(tmp_path / "single")
    assert files == {name: data for name, data in contents(root).items() if f"{RAW_FOLDER}/0002/" in name}
    other = write_study(tmp_path / "other", seed=SEED + 1, patient=2, image_size=SIZE)
    assert other[1].dx != slices[1].dx


def compute_edges(image: np.ndarray) -> np.ndarray:
    return np.hypot(*np.gradient(np.log1p(image.astype(float)))).ravel()


def test_true_motion_aligns_t1_and_t2() -> None:
    study = render_study(SEED, 1, 128, 128)
    improved = []
    for row, t1, t2 in zip(study.slices, study.t1, study.t2, strict=True):
        axis = ((np.arange(128) + 0.5) / 128 - 0.5) * 220
        x, y = np.meshgrid(axis, axis)
        known = t2.centre - t1.centre
        edges = compute_edges(t1.pixels)
        correlations = []
        for dx, dy, rotation in ((0.0, 0.0, 0.0), (row.dx, row.dy, np.radians(row.rotation)), (-row.dx, -row.dy, 0.0)):
            u = np.cos(rotation) * (x - dx) + np.sin(rotation) * (y - dy) - known @ t1.across
            v = np.cos(rotation) * (y - dy) - np.sin(rotation) * (x - dx) - known @ t1.down
            column, line = (
                np.clip(np.rint((position / 220 + 0.5) * 128 - 0.5), 0, 127).astype(int) for position in (u, v)
            )
            correlations.append(np.corrcoef(edges, compute_edges(t2.pixels[line, column]))[0, 1])
        improved.append(correlations[1] > correlations[0] and correlations[1] > correlations[2])
    assert all(improved)


def test_sagittal_images_are_cut_from_the_axial_ones() -> None:
    study = render_study(SEED, 1, 64, 64)
    cut = cut_sagittal(study, 1.0, 130)
    assert np.cross(cut.across, cut.down) == pytest.approx((-1, 0, 0))
    # The pixel at the height of the middle disc, on the middle row of the axial image.
    middle = next(k for k, row in enumerate(study.slices) if row.level == "D4" and row.content == "disc")
    axial = study.t2[middle]
    point = axial.corner + 20 * axial.spacing[0] * axial.down
    column = round(float((point - cut.corner) @ cut.across / cut.spacing[1]))
    line = round(float((point - cut.corner) @ cut.down / cut.spacing[0]))
    along = round(float((np.array((1.0, 0, 0)) - axial.corner) @ axial.across / axial.spacing[1]))
    assert cut.pixels[line, column] in axial.pixels[18:23, along]


def test_nothing_is_overwritten_and_nothing_remains_after_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match="nothing is overwritten"):
        write_studies(foreign, seed=0, patients=1, image_size=SIZE, workers=1)
    assert contents(foreign) == {"thesis.txt": b"years of work"}
    (tmp_path / "existing" / RAW_FOLDER / "0001").mkdir(parents=True)
    with pytest.raises(UserError, match="nothing is overwritten"):
        write_study(tmp_path / "existing", seed=0, patient=1, image_size=SIZE)

    def fail(*_: object) -> PhantomStudy:
        raise KeyboardInterrupt

    monkeypatch.setattr("lss_lightning.phantom.dicom.render_study", fail)
    with pytest.raises(KeyboardInterrupt):
        write_studies(tmp_path / "set", seed=0, patients=1, image_size=SIZE, workers=1)
    assert {path.name for path in tmp_path.iterdir()} == {"foreign", "existing"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"patients": 0}, "patients is 0"),
        ({"patients": 10_000}, "1 to 9999"),
        ({"image_size": 63}, "image_size is 63"),
        ({"t2_sizes": {1: 32}}, "image_size is 32"),
        ({"seed": -1}, "seed is -1"),
        ({"workers": 0}, "workers is 0"),
    ],
)
def test_invalid_arguments_are_refused_in_one_line(tmp_path: Path, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        write_studies(tmp_path / "set", **({"seed": 0, "patients": 1, "image_size": SIZE, "workers": 1} | arguments))
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_unknown_patient_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="patient 0"):
        write_study(tmp_path, seed=0, patient=0)
