"""Tests of NIfTI studies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK

from lss_lightning.data.studies import AxialSlice, Study
from lss_lightning.errors import UserError
from lss_lightning.labels import LUMBAR
from lss_lightning.reporting.prediction.label_maps import write_nifti
from lss_lightning.stenosis import ModelIdentity, StudyResult
from lss_lightning.workflows.prediction.findings import SegmentedSlice, measure_study
from tests.data.studies.reading import SHAPE, SPACING, make_volume, read_studies, write_volume


def segment_bright_pixels(study: Study, class_index: int = 2) -> StudyResult:
    """Return a result in which bright pixels have one class and all others the last class."""
    segmented = []
    for slice_ in study.slices:
        image = next(iter(slice_.images.values()))
        bright = image > image.mean()
        members = np.full((1, len(LUMBAR), *image.shape), 0.02, dtype=np.float32)
        members[0, class_index][bright] = 0.9
        members[0, -1][~bright] = 0.9
        segmented.append(SegmentedSlice.from_probabilities(slice_, image[None], members, LUMBAR))
    slices, labels, remarks = measure_study(segmented, LUMBAR, {})
    models = (ModelIdentity("test", "00ff" * 16),)
    return StudyResult(name="study_1", slices=slices, labels=labels, models=models, remarks=remarks)


@pytest.mark.parametrize("orientation", ["LPS", "RAS", "PIR", "LIP"])
def test_volumes_are_read_as_axial_slices_from_head_to_feet(tmp_path: Path, orientation: str) -> None:
    pixels = make_volume()
    (study,) = read_studies(write_volume(tmp_path / "scan.nii.gz", pixels, orientation), "t2")
    assert [slice_.name for slice_ in study.slices] == [f"slice_{number:02d}" for number in range(1, 6)]
    for slice_, expected in zip(study.slices, pixels[::-1], strict=True):
        image = slice_.images["T2"]
        assert image.shape == SHAPE[1:]
        assert np.corrcoef(image.ravel(), expected.ravel())[0, 1] > 0.99
        assert slice_.spacing == pytest.approx((0.9, 0.8))
        assert slice_.image_left == "right"
    plane = study.slices[0].plane
    assert plane is not None
    assert plane.corner == pytest.approx((-20, 7, 100 + 4 * 4.4))
    assert study.orientation == orientation
    assert [slice_.stack for slice_ in study.slices] == [0] * 5


@pytest.mark.parametrize("orientation", ["LPS", "RAS", "PIR"])
def test_label_maps_have_the_grid_of_the_volume(tmp_path: Path, orientation: str) -> None:
    import nibabel

    path = write_volume(tmp_path / "scan.nii.gz", make_volume(), orientation)
    (study,) = read_studies(path, "t2")
    result = segment_bright_pixels(study)
    (written,) = write_nifti(result, tmp_path / "labels.nii.gz", study.orientation)
    source: Any = nibabel.load(path)
    labels: Any = nibabel.load(written)
    assert labels.shape == source.shape
    assert np.allclose(labels.affine, source.affine, atol=1e-4)
    assert b"Research use only" in labels.header["descrip"].tobytes()
    # The class was assigned where the image is bright in its slice.
    bright = np.asarray(labels.dataobj) == result.labels.codes[2]
    values = np.asarray(source.dataobj)
    assert values[bright].mean() > 2 * values[~bright].mean()


def test_t1_and_t2_volumes_are_paired_and_registered(tmp_path: Path) -> None:
    pixels = make_volume()
    write_volume(tmp_path / "sub-1_T1w.nii.gz", pixels)
    write_volume(tmp_path / "sub-1_T2w.nii.gz", np.roll(900 - pixels, 3, axis=2))
    (study,) = read_studies(tmp_path, "composite")
    assert len(study.slices) == 5
    for slice_ in study.slices:
        assert slice_.images.keys() == {"T1", "T2"}
        assert [path.name for path in slice_.sources] == ["sub-1_T1w.nii.gz", "sub-1_T2w.nii.gz"]
        inside = np.s_[8:-8, 8:-8]
        correlation = np.corrcoef(slice_.images["T1"][inside].ravel(), slice_.images["T2"][inside].ravel())[0, 1]
        assert correlation < -0.97


def test_unusable_volumes_are_refused(tmp_path: Path) -> None:
    write_volume(tmp_path / "scan.nii", make_volume())
    with pytest.raises(UserError, match=r"says neither T1 nor T2, but the checkpoint needs T1 and T2"):
        read_studies(tmp_path, "composite")
    sagittal = tmp_path / "sagittal"
    sagittal.mkdir()
    write_volume(sagittal / "t2.nii", make_volume(), spacing=(4.4, 0.9, 0.8))
    with pytest.raises(UserError, match="sagittal or coronal"):
        read_studies(sagittal, "t2")
    four = tmp_path / "four"
    four.mkdir()
    volume = SimpleITK.GetImageFromArray(make_volume())
    SimpleITK.WriteImage(SimpleITK.JoinSeries([volume] * 2), str(four / "t2.nii"))
    with pytest.raises(UserError, match=r"40 × 48 × 5 × 2 voxels"):
        read_studies(four, "t2")
    with pytest.raises(UserError, match=r"no axial T2 images"):
        read_studies(write_volume(tmp_path / "t1.nii", make_volume()), "t2")


def test_eight_bit_volumes_are_not_stretched(tmp_path: Path) -> None:
    pixels = (make_volume() // 16).astype(np.uint8)
    (study,) = read_studies(write_volume(tmp_path / "t1.nii", pixels), "t1")
    assert (study.slices[0].images["T1"] == pixels[-1]).all()


def test_image_left_is_the_patients_right(tmp_path: Path) -> None:
    image = SimpleITK.GetImageFromArray(make_volume())
    image.SetSpacing(SPACING)
    SimpleITK.WriteImage(image, str(tmp_path / "t1.nii"))
    (study,) = read_studies(tmp_path, "t1")
    assert isinstance(study.slices[0], AxialSlice)
    assert study.slices[0].image_left == "right"


def test_volumes_without_usable_voxels_are_refused(tmp_path: Path) -> None:
    pixels, path = make_volume(), tmp_path / "scan_t2.nii.gz"
    blank = np.zeros_like(pixels)
    for voxels, reason in (
        (pixels.astype(np.complex64), "of complex numbers; save their magnitude"),
        (np.full(pixels.shape, np.nan, np.float32), "without any contrast"),
        (blank, "without any contrast"),
    ):
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(voxels), str(path))
        with pytest.raises(UserError, match=f"a NIfTI file {reason}"):
            read_studies(path, "t2")
    write_volume(path, pixels)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match=r"a NIfTI file that is truncated, it should have \d+,\d+ bytes; copy it again"):
        read_studies(path, "t2")
