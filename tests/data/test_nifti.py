from __future__ import annotations

import numpy as np
import pytest
import SimpleITK

from lss_lightning.errors import UserError
from tests.data.image_files import folder_source, load, mask, picture, save


def test_a_volume_of_one_plane_is_a_slice(tmp_path):
    save(tmp_path / "images/a.nii", picture(0)[None], (0.5, 0.5, 4.0))
    save(tmp_path / "masks/a.nii", mask(0)[None], (0.5, 0.5, 4.0))
    (slice_,) = load(folder_source(tmp_path))
    assert (slice_.slice.name, slice_.spacing) == ("a", 0.5)
    np.testing.assert_array_equal(slice_.image[0], picture(0))


def test_a_series_in_one_file_is_refused(tmp_path):
    series = SimpleITK.JoinSeries([SimpleITK.GetImageFromArray(picture(n)[None]) for n in range(2)])
    (tmp_path / "images").mkdir()
    SimpleITK.WriteImage(series, str(tmp_path / "images/a.nii"))
    save(tmp_path / "masks/a.nii", mask(0))
    with pytest.raises(UserError, match=r"a.nii: a volume of 30 × 20 × 1 × 2 with 1 value\(s\) each"):
        load(folder_source(tmp_path, pixel_size=0.5))


def test_planes_are_upright_for_any_stored_orientation(tmp_path):
    volume = SimpleITK.GetImageFromArray(np.random.default_rng(0).integers(0, 256, (2, 20, 24), dtype=np.uint8))
    codes = SimpleITK.GetImageFromArray(np.random.default_rng(1).integers(0, 2, (2, 20, 24), dtype=np.uint8))
    for name, orientation in (("a", "LPS"), ("b", "RAS"), ("c", "LAS"), ("d", "RPS")):
        for kind, content in (("images", volume), ("masks", codes)):
            path = tmp_path / kind / f"{name}.nii.gz"
            path.parent.mkdir(exist_ok=True)
            SimpleITK.WriteImage(SimpleITK.DICOMOrient(content, orientation), str(path))
    slices = load(folder_source(tmp_path, classes={"background": 0, "disc": 1}))
    assert len(slices) == 8
    for index, loaded in enumerate(slices):
        plane = index % 2
        np.testing.assert_array_equal(loaded.image[0], SimpleITK.GetArrayFromImage(volume)[plane])
        np.testing.assert_array_equal(loaded.label, SimpleITK.GetArrayFromImage(codes)[plane])


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_a_truncated_file_is_refused(name, tmp_path):
    # SimpleITK takes the missing voxels for 0.
    save(tmp_path / "images" / name, np.stack([picture(n) for n in range(4)]), (0.5, 0.5, 4.0))
    save(tmp_path / "masks" / name, np.stack([mask(n) for n in range(4)]), (0.5, 0.5, 4.0))
    assert len(load(folder_source(tmp_path))) == 4
    for folder in ("masks", "images"):
        path = tmp_path / folder / name
        content = path.read_bytes()
        path.write_bytes(content[:-20])
        with pytest.raises(UserError, match=rf"{path}: not a NIfTI file that can be read \(ValueError: truncated, it "):
            load(folder_source(tmp_path))
        path.write_bytes(content)


def test_complex_numbers_are_refused(tmp_path):
    save(tmp_path / "images/a.nii", picture(0).astype(np.complex64))
    save(tmp_path / "masks/a.nii", mask(0))
    with pytest.raises(UserError, match="a volume of complex numbers; save their magnitude"):
        load(folder_source(tmp_path, pixel_size=0.5))
