"""Tests of images at the same position: copies, repeats, phase images, and other images of the same series."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import generate_uid

from lss_lightning.data.studies import Study
from lss_lightning.errors import UserError
from tests.data.studies.reading import read_studies
from tests.workflows.prediction.studies import LOCALISER, SAGITTAL, T1_SERIES, T2_SERIES, edit, files, write_dicom


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with two axial slices of T1 and T2."""
    study = write_dicom(tmp_path_factory.mktemp("repeats"))
    for series in (T1_SERIES, T2_SERIES):
        for path in files(study, series)[2:]:
            path.unlink()
    return study


@pytest.fixture
def study(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "study"))


def darken(dataset: pydicom.FileDataset) -> None:
    dataset.PixelData = (dataset.pixel_array // 2 + 7).astype(np.uint16).tobytes()
    dataset.SOPInstanceUID = generate_uid()


def find_t2_folders(study: Study) -> set[str]:
    return {slice_.sources[1].parent.name for slice_ in study.slices}


def test_copies_of_a_series_are_remarked(study: Path) -> None:
    shutil.copytree(study / T2_SERIES, study / "Z")
    (read,) = read_studies(study, "composite")
    assert (len(read.slices), read.problems) == (2, ())
    assert read.remarks == ("2 T2 images show the same slices as others and were left out: 2 of series 4 (copies).",)


def test_other_images_of_the_same_series_and_positions_are_no_copies(study: Path) -> None:
    """De-identification may leave two patients equal in all UIDs and in what states their identity."""
    shutil.copytree(study / T2_SERIES, study / "Z")
    edit(files(study, "Z"), darken)
    (read,) = read_studies(study, "composite")
    assert find_t2_folders(read) == {T2_SERIES}
    (problem,) = read.problems
    assert problem == (
        "2 T2 images show the same slices as others and were left out: 2 of series 4 (other images of the same series "
        "at the same positions and time, later by file name); if they are of several patients, give each as a "
        "separate input"
    )


def test_the_later_repeat_within_a_series_is_used(study: Path) -> None:
    shutil.copytree(study / T2_SERIES, study / "Z")
    edit(files(study, T2_SERIES), lambda dataset: setattr(dataset, "AcquisitionTime", "110000"))
    edit(files(study, "Z"), lambda dataset: setattr(dataset, "AcquisitionTime", "120000"))
    edit(files(study, "Z"), darken)
    (read,) = read_studies(study, "composite")
    assert find_t2_folders(read) == {"Z"}
    assert read.problems == ()
    assert read.remarks[0].endswith("2 of series 4 (acquired earlier).")


@pytest.mark.parametrize(
    "image_type",
    [
        ["ORIGINAL", "PRIMARY", "PHASE MAP", "ND"],
        ["ORIGINAL", "PRIMARY", "P_SE", "P", "SE"],
        ["ORIGINAL", "PRIMARY", "R"],
    ],
)
def test_phase_and_complex_images_of_a_series_are_not_used(image_type: list[str], study: Path) -> None:
    shutil.copytree(study / T2_SERIES, study / "A")
    edit(files(study, "A"), lambda dataset: setattr(dataset, "ImageType", image_type))
    edit(files(study, "A"), darken)
    (read,) = read_studies(study, "composite")
    assert (find_t2_folders(read), read.problems, read.remarks) == ({T2_SERIES}, (), ())
    for series in (SAGITTAL, T2_SERIES, T1_SERIES, LOCALISER):
        shutil.rmtree(study / series)
    with pytest.raises(UserError, match=r"2 axial with '.*' in ImageType \(a phase, real or imaginary part\)"):
        read_studies(study, "t2")


def test_the_refusal_for_a_missing_weighting_says_what_else_there_is(study: Path) -> None:
    def quicken(dataset: pydicom.FileDataset) -> None:
        dataset.RepetitionTime, dataset.EchoTime = 6.8, 2.4

    edit(files(study, T1_SERIES), quicken)
    with pytest.raises(
        UserError, match=r"no axial T1 images, only T2; .*; not used are 2 axial with RepetitionTime 6.8"
    ):
        read_studies(study, "composite")
