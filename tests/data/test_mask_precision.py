"""Masks whose whole numbers were stored inexactly: with a NIfTI scale factor, or as floating-point numbers."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

from lss_lightning.data.formats import StackPlane, read_mask
from lss_lightning.errors import UserError


def write_scaled(path: Path, mask: np.ndarray, dtype: type) -> Path:
    """Write a (W, H, N) mask of floats. nibabel chooses a scale factor for whole-number types."""
    image = nibabel.Nifti1Image(mask, np.diag([-1.0, -1, 4, 1]))
    image.set_data_dtype(dtype)
    nibabel.save(image, path)
    return path


def read_planes(path: Path, count: int) -> np.ndarray:
    return np.stack([read_mask(StackPlane(path, index)) for index in range(count)])


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.float32])
@pytest.mark.parametrize("codes", [[0, 1, 2], [1, 2], [0, 255], [0, 50, 100, 150, 200, 250], [*range(256)]], ids=str)
def test_codes_are_rounded_within_the_slope(codes, dtype, tmp_path):
    if dtype is np.int8 and len(codes) > 200:
        pytest.skip("has too few values")
    mask = np.random.default_rng(0).permutation(np.resize(codes, 600)).reshape(20, 30).astype(float)
    mask = np.stack([mask, mask[::-1]], axis=2)
    path = write_scaled(tmp_path / "mask.nii.gz", mask, dtype)
    np.testing.assert_array_equal(read_planes(path, 2), mask.transpose(2, 1, 0))


def test_single_plane_is_rounded(tmp_path):
    mask = np.resize([0.0, 1, 2], (20, 30))[..., None]
    path = write_scaled(tmp_path / "mask.nii", mask, np.int16)
    np.testing.assert_array_equal(read_mask(path), mask[..., 0].T)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16])
@pytest.mark.parametrize("values", [[0, 0.5, 1], [0, 0.3, 2], [0, 1, 255.4], [-1, 0, 1], [0, 1, 256]], ids=str)
def test_values_that_the_slope_does_not_explain_are_refused(values, dtype, tmp_path):
    mask = np.resize(values, (20, 30))[..., None].astype(float)
    path = write_scaled(tmp_path / "mask.nii", mask, dtype)
    if dtype is np.uint8 and max(values) > 200:
        pytest.skip("the slope is about 1")
    with pytest.raises(UserError, match=r"in a mask; it must hold class codes, whole numbers from 0 to 255"):
        read_mask(path)


def test_slope_that_loses_codes_does_not_widen_the_tolerance(tmp_path):
    mask = np.resize([0, 1.5, 3], (20, 30))[..., None]
    image = nibabel.Nifti1Image((mask / 1.5).astype(np.uint8), np.diag([-1.0, -1, 4, 1]))
    path = tmp_path / "mask.nii"
    nibabel.save(image, path)
    with nibabel.openers.Opener(str(path), "r+b") as stream:  # nibabel resets the slope when it writes
        stream.seek(112)
        stream.write(np.array([1.5, 0], "<f4").tobytes())
    with pytest.raises(UserError, match="values 0 to 3 in a mask"):
        read_mask(path)


@pytest.mark.parametrize(("dtype", "error"), [(np.float32, 1e-5), (np.float64, 1e-14)])
def test_floating_point_codes_are_rounded_within_their_precision(dtype, error, tmp_path):
    mask = np.resize([0, 50, 250], (20, 30)).astype(dtype)
    np.save(tmp_path / "near.npy", (mask + error).astype(dtype))
    np.testing.assert_array_equal(read_mask(tmp_path / "near.npy"), mask)
    np.save(tmp_path / "far.npy", (mask + 100 * error).astype(dtype))
    with pytest.raises(UserError, match="in a mask"):
        read_mask(tmp_path / "far.npy")
