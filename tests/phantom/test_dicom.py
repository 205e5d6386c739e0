"""The phantom's DICOM studies: right headers, the truth told, the same bytes every time, nothing overwritten."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from lss_lightning.data.dicom.archive import RAW
from lss_lightning.data.dicom.picks import PICKS
from lss_lightning.errors import UserError
from lss_lightning.phantom.dicom import T1_SERIES, T2_SERIES, write_phantom_study, write_studies
from lss_lightning.phantom.patient import StenosisSite, sample_subject
from lss_lightning.phantom.render import draw_body
from lss_lightning.phantom.study import PhantomStudy, StudySlice, render_study, sagittal
from lss_lightning.phantom.tissue import Tissue
from lss_lightning.phantom.vertebra import Height, sample_vertebra

SIZE, T2_SIZE, SEED = 64, 72, 4


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[StudySlice]]:
    root = tmp_path_factory.mktemp("studies") / "set"
    return root, write_studies(root, seed=SEED, patients=2, image_size=SIZE, t2_sizes={2: T2_SIZE}, workers=2)


def series(root: Path, patient: int, name: str) -> list[pydicom.FileDataset]:
    (study,) = (root / RAW / f"{patient:04d}").iterdir()
    return [pydicom.dcmread(path) for path in sorted((study / name).iterdir())]


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_layout_and_file_names(written: tuple[Path, list[StudySlice]]) -> None:
    root, _ = written
    (study,) = (root / RAW / "0001").iterdir()
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
    for patient, size in ((1, SIZE), (2, T2_SIZE if name == T2_SERIES else SIZE)):
        datasets = series(root, patient, name)
        assert 12 <= len(datasets) <= 15
        assert len(datasets) == sum(row.patient == patient for row in truth)
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


def test_slices_of_a_group_are_parallel_and_follow_from_head_to_feet(written: tuple[Path, list[StudySlice]]) -> None:
    root, truth = written
    datasets = series(root, 1, T1_SERIES)
    levels = [row.level for row in truth if row.patient == 1]
    corners = np.array([dataset.ImagePositionPatient for dataset in datasets], dtype=float)
    normals = np.array([np.cross(d.ImageOrientationPatient[:3], d.ImageOrientationPatient[3:]) for d in datasets])
    within = [k for k in range(len(levels) - 1) if levels[k] == levels[k + 1]]
    assert len(within) == len(levels) - 3
    for k in within:
        assert normals[k] @ normals[k + 1] == pytest.approx(1)
        assert corners[k + 1] - corners[k] == pytest.approx(-4.4 * normals[k], abs=1e-6)
    assert len({tuple(np.round(normal, 3)) for normal in normals}) == 3


def test_identifiers_tell_series_apart(written: tuple[Path, list[StudySlice]]) -> None:
    root, _ = written
    t1, t2 = series(root, 1, T1_SERIES), series(root, 1, T2_SERIES)
    everything = [*t1, *t2, *series(root, 1, "T2_TSE_SAG_384_0002"), *series(root, 1, "LOCALIZER_0001")]
    assert len({dataset.SOPInstanceUID for dataset in everything}) == len(everything)
    assert len({dataset.SeriesInstanceUID for dataset in everything}) == 4
    assert len({dataset.StudyInstanceUID for dataset in everything}) == 1
    assert t1[0].FrameOfReferenceUID != t2[0].FrameOfReferenceUID
    assert t1[0].StudyInstanceUID != series(root, 2, T1_SERIES)[0].StudyInstanceUID


def test_truth_names_discs_and_vertebrae(written: tuple[Path, list[StudySlice]]) -> None:
    root, truth = written
    with (root / "truth.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == len(truth)
    for row, piece in zip(rows, truth, strict=True):
        assert (row["patient"], row["number"]) == (f"{piece.patient:04d}", str(piece.number))
        assert (row["level"], row["content"]) == (piece.level, piece.content)
        for column, value in (("severity", piece.severity), ("t2_dx_mm", piece.dx), ("t2_turn_deg", piece.turn)):
            assert float(row[column]) == pytest.approx(value, abs=1e-6)
        # A slice that shows no disc has nothing to measure.
        assert (row["canal_ap_mm"] == "") == (piece.content == "vertebra")
    for patient in (1, 2):
        mine = [row for row in truth if row.patient == patient]
        assert [row.number for row in mine] == list(range(1, len(mine) + 1))
        assert [row.level for row in mine if row.content == "disc"] == ["D3", "D4", "D5"]
    others = [row for row in truth if row.content != "disc"]
    assert {row.content for row in others} == {"vertebra"}
    assert {row.severity for row in others} == {0.0}
    assert all(max(abs(row.dx), abs(row.dy)) <= 6 and abs(row.turn) <= 2 for row in truth)
    assert len({row.dx for row in truth}) == 6


def test_vertebrae_are_marrow_with_pedicles_below_the_disc_and_none_above() -> None:
    subject = replace(sample_subject(SEED, 1, "D4"), severity=0.0, site=StenosisSite.NONE, shift=(0.0, 10.0), turn=0.0)
    bodies = {height: draw_body(SEED, 1, subject, 192, height) for height in Height}

    def tissue(height: Height, x: float, y: float, reach: float = 1.0) -> set[int]:
        canvas = bodies[height].canvas
        window = canvas.window((x, y), reach)
        return set(np.unique(canvas.tissue[window]).tolist())

    spine = bodies[Height.DISC].spine
    middle = spine.disc.centre[1]
    assert tissue(Height.DISC, -14.0, middle) == {Tissue.ANNULUS}
    for height in (Height.FORAMEN, Height.PEDICLE, Height.VEIN):
        assert tissue(height, -14.0, middle) == {Tissue.MARROW}
        # Nothing is left of the disc that the body does not reach.
        canvas = bodies[height].canvas
        assert not np.isin(canvas.tissue, (Tissue.ANNULUS, Tissue.NUCLEUS)).any()
    for pedicle in sample_vertebra(spine, Height.PEDICLE).pedicles:
        x, y = pedicle.start[0], pedicle.start[1] + 4.0
        assert Tissue.MARROW not in tissue(Height.FORAMEN, x, y)
        assert tissue(Height.PEDICLE, x, y) == tissue(Height.VEIN, x, y) == {Tissue.MARROW}
    assert Tissue.CSF in tissue(Height.VEIN, 0.0, -5.0)
    assert Tissue.CSF not in tissue(Height.PEDICLE, 0.0, -5.0)


def test_csvs_name_the_disc_slices_and_the_series(written: tuple[Path, list[StudySlice]]) -> None:
    root, truth = written
    for patient, line in enumerate((root / PICKS / "Slices Numbers.csv").read_text().splitlines(), start=1):
        places = [row.number for row in truth if row.patient == patient and row.content == "disc"]
        assert line == ",".join(map(str, (patient, *places)))
    assert (root / PICKS / "T1_Subfolders.csv").read_text() == f"1,{T1_SERIES}\n2,{T1_SERIES}\n"
    assert (root / PICKS / "T2_Subfolders.csv").read_text() == f"1,{T2_SERIES}\n2,{T2_SERIES}\n"


def test_bytes_depend_on_the_seed_and_not_on_the_workers(
    written: tuple[Path, list[StudySlice]], tmp_path: Path
) -> None:
    root, truth = written
    alone = write_phantom_study(tmp_path / "alone", seed=SEED, patient=2, image_size=SIZE, t2_size=T2_SIZE)
    assert alone == [row for row in truth if row.patient == 2]
    files = contents(tmp_path / "alone")
    assert files == {name: data for name, data in contents(root).items() if f"{RAW}/0002/" in name}
    other = write_phantom_study(tmp_path / "other", seed=SEED + 1, patient=2, image_size=SIZE)
    assert other[1].dx != alone[1].dx


def sharp(image: np.ndarray) -> np.ndarray:
    return np.hypot(*np.gradient(np.log1p(image.astype(float)))).ravel()


def test_the_truth_leads_from_t1_to_t2() -> None:
    study = render_study(SEED, 1, 128, 128)
    gained = []
    for row, t1, t2 in zip(study.slices, study.t1, study.t2, strict=True):
        axis = ((np.arange(128) + 0.5) / 128 - 0.5) * 220
        x, y = np.meshgrid(axis, axis)
        known = t2.centre - t1.centre
        edges = sharp(t1.pixels)
        likeness = []
        for dx, dy, turn in ((0.0, 0.0, 0.0), (row.dx, row.dy, np.radians(row.turn)), (-row.dx, -row.dy, 0.0)):
            u = np.cos(turn) * (x - dx) + np.sin(turn) * (y - dy) - known @ t1.across
            v = np.cos(turn) * (y - dy) - np.sin(turn) * (x - dx) - known @ t1.down
            column, line = (np.clip(np.rint((place / 220 + 0.5) * 128 - 0.5), 0, 127).astype(int) for place in (u, v))
            likeness.append(np.corrcoef(edges, sharp(t2.pixels[line, column]))[0, 1])
        gained.append(likeness[1] > likeness[0] and likeness[1] > likeness[2])
    assert all(gained)


def test_sagittal_images_are_cut_from_the_axial_ones() -> None:
    study = render_study(SEED, 1, 64, 64)
    cut = sagittal(study, 1.0, 130)
    assert np.cross(cut.across, cut.down) == pytest.approx((-1, 0, 0))
    # The pixel at the height of the middle disc, where the axial image's middle row is.
    middle = next(k for k, row in enumerate(study.slices) if row.level == "D4" and row.content == "disc")
    axial = study.t2[middle]
    point = axial.corner + 20 * axial.spacing[0] * axial.down
    column = round(float((point - cut.corner) @ cut.across / cut.spacing[1]))
    line = round(float((point - cut.corner) @ cut.down / cut.spacing[0]))
    along = round(float((np.array((1.0, 0, 0)) - axial.corner) @ axial.across / axial.spacing[1]))
    assert cut.pixels[line, column] in axial.pixels[18:23, along]


def test_nothing_is_overwritten_and_nothing_half_made_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match="nothing is overwritten"):
        write_studies(foreign, seed=0, patients=1, image_size=SIZE, workers=1)
    assert contents(foreign) == {"thesis.txt": b"years of work"}
    (tmp_path / "one" / RAW / "0001").mkdir(parents=True)
    with pytest.raises(UserError, match="nothing is overwritten"):
        write_phantom_study(tmp_path / "one", seed=0, patient=1, image_size=SIZE)

    def fail(*_: object) -> PhantomStudy:
        raise KeyboardInterrupt

    monkeypatch.setattr("lss_lightning.phantom.dicom.render_study", fail)
    with pytest.raises(KeyboardInterrupt):
        write_studies(tmp_path / "set", seed=0, patients=1, image_size=SIZE, workers=1)
    assert {path.name for path in tmp_path.iterdir()} == {"foreign", "one"}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"patients": 0}, "patients is 0"),
        ({"patients": 10_000}, "1 to 9999"),
        ({"image_size": 63}, "image_size is 63"),
        ({"t2_sizes": {1: 32}}, "image_size is 32"),
        ({"seed": -1}, "seed is -1"),
        ({"workers": 0}, "workers is 0"),
    ],
)
def test_impossible_requests_are_refused_in_one_line(tmp_path: Path, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as refusal:
        write_studies(tmp_path / "set", **({"seed": 0, "patients": 1, "image_size": SIZE, "workers": 1} | wrong))
    assert "\n" not in str(refusal.value)
    assert list(tmp_path.iterdir()) == []


def test_a_patient_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="patient 0"):
        write_phantom_study(tmp_path, seed=0, patient=0)
