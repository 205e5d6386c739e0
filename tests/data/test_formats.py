from __future__ import annotations

import os
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import SimpleITK
from PIL import Image

from lss_lightning.data import formats
from lss_lightning.data.formats import read_image, read_mask
from lss_lightning.errors import UserError
from tests.data.image_files import SIZE, folder_source, load, mask, picture, save, write_pair


@pytest.fixture
def data(tmp_path) -> Path:
    """Two patients of two grey slices each."""
    for number, name in enumerate(("p01_L3", "p01_L4", "p02_L3", "p02_L4")):
        save(tmp_path / f"images/{name}.png", picture(number))
        save(tmp_path / f"masks/{name}.png", mask(number))
    return tmp_path


@pytest.mark.parametrize("channels", [(), (3,)])
@pytest.mark.parametrize("ending", ["png", "tif", "tiff", "npy", "nii", "nii.gz", "PNG"])
def test_formats_hold_the_same_pixels(ending, channels, tmp_path):
    pixels = picture(1, *channels)
    image = save(tmp_path / f"images/a.{ending}", pixels)
    label = save(tmp_path / f"masks/a.{ending}", mask(1))
    if "nii" in ending and channels:
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(pixels, isVector=True), str(image))
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(mask(1)), str(label))
    (slice_,) = load(folder_source(tmp_path))
    np.testing.assert_array_equal(slice_.image, np.atleast_3d(pixels).transpose(2, 0, 1))
    np.testing.assert_array_equal(slice_.label, folder_source(tmp_path).labels.to_indices(mask(1), ""))


@pytest.mark.parametrize("ending", ["png", "tif", "npy", "nii"])
def test_more_than_8_bits_are_stretched_with_one_note(ending, tmp_path):
    ramp = np.arange(600, dtype=np.uint16).reshape(SIZE) * 7 + 1000
    for name in ("a", "b"):
        save(tmp_path / f"images/{name}.{ending}", ramp)
        save(tmp_path / f"masks/{name}.{ending}", mask(0))
    source = folder_source(tmp_path, patient="(.)")
    for loaded in load(source):
        low, high = np.percentile(ramp, (0.5, 99.5))
        np.testing.assert_array_equal(loaded.image[0], np.rint(np.clip((ramp - low) / (high - low), 0, 1) * 255))
    (note,) = source.find().notes
    assert note.startswith("2 of 2 image files hold more than 8 bits")


def test_nan_and_infinity_in_an_image_become_black(tmp_path):
    pixels = np.linspace(0, 1, 600).reshape(SIZE)
    pixels[0, -1], pixels[0, -2] = np.nan, np.inf
    path = save(tmp_path / "a.npy", pixels)
    image = read_image(path, "image")[..., 0]
    assert (image[0, -1], image[0, -2]) == (0, 0)
    assert image[-1, -1] == 255


@pytest.mark.parametrize(
    ("kind", "channels", "shape"),
    [("rgb", (), (*SIZE, 3)), ("composite", (), (*SIZE, 3)), ("grey", (), (*SIZE, 1)), ("image", (3,), (*SIZE, 3))],
)
def test_channels_by_kind(kind, channels, shape, tmp_path):
    path = save(tmp_path / "a.png", picture(0, *channels))
    image = read_image(path, kind)
    assert image.shape == shape
    np.testing.assert_array_equal(image[..., -1], picture(0, *channels).reshape(*SIZE, -1)[..., -1])


def test_masks_with_a_palette_hold_palette_indices(tmp_path):
    indices = np.array([[0, 1, 2]], np.uint8)
    image = Image.fromarray(indices, "P")
    image.putpalette([0, 0, 0, 200, 0, 0, 0, 200, 0])
    image.save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png"), indices)
    # A palette of greys is a compact way to store grey values.
    image.putpalette([0, 0, 0, 50, 50, 50, 250, 250, 250])
    image.save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png"), [[0, 50, 250]])


@pytest.mark.parametrize("dtype", [bool, np.int16, np.float64, ">i4"])
@pytest.mark.parametrize("ending", ["npy", "nii"])
def test_masks_of_any_type_are_read_as_codes(dtype, ending, tmp_path):
    if ending == "nii" and dtype in (bool, ">i4"):
        pytest.skip("SimpleITK does not write it")
    path = save(tmp_path / f"a.{ending}", (mask(0) > 0).astype(dtype))
    assert read_mask(path).dtype == np.uint8
    np.testing.assert_array_equal(read_mask(path), mask(0) > 0)


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.full(SIZE, 300), "values 300 to 300 in a mask; it must hold class codes, whole numbers from 0 to 255"),
        (np.full(SIZE, -1), "values -1 to -1 in a mask"),
        (np.full(SIZE, 0.5), "values 0.5 to 0.5 in a mask"),
        (np.full(SIZE, np.nan), "NaN in a mask; it must hold class codes"),
        (np.zeros((*SIZE, 3), np.uint8), "a mask of shape (20, 30, 3), with colours"),
        (np.zeros((4, *SIZE), np.uint8), "an array of shape (4, 20, 30) and type uint8; an image has the shape"),
        (np.zeros(SIZE, complex), "and type complex128; an image has the shape (height, width)"),
        (np.array([{}]), "not an array as numpy.save writes it"),
    ],
)
def test_arrays_that_are_not_masks_are_refused(pixels, message, tmp_path):
    np.save(tmp_path / "a.npy", pixels)
    with pytest.raises(UserError) as error:
        read_mask(tmp_path / "a.npy")
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.png", b"\x89PNG", "not a PNG file"),
        ("a.tif", b"II*\x00", "a.tif: "),
        ("a.npy", b"junk", "not an array as numpy.save writes it"),
        ("a.nii", b"junk", "not a NIfTI file that can be read"),
        ("a.nii.gz", b"junk", "not a NIfTI file that can be read"),
    ],
)
@pytest.mark.parametrize("broken", ["images", "masks"])
def test_broken_files_are_named(name, content, message, broken, data):
    for folder, pixels in (("images", picture(0)), ("masks", mask(0))):
        save(data / folder / name, pixels)
    (data / broken / name).write_bytes(content)
    with pytest.raises(UserError) as error:
        load(folder_source(data, pixel_size=0.5))
    assert f"{broken}/{name}" in str(error.value)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_files_state_their_pixel_size(tmp_path):
    save(tmp_path / "images/a.nii.gz", picture(0), (0.6, 0.6))
    save(tmp_path / "masks/a.nii.gz", mask(0), (0.6, 0.6))
    save(tmp_path / "images/b.tif", picture(0), (0.7, 0.7))
    save(tmp_path / "masks/b.tif", mask(0))
    assert [loaded.spacing for loaded in load(folder_source(tmp_path))] == pytest.approx([0.6, 0.7], rel=1e-3)


@pytest.mark.parametrize("dots", [72, 96])
def test_screen_resolution_is_not_a_pixel_size(dots, tmp_path):
    (tmp_path / "images").mkdir()
    Image.fromarray(picture(0)).save(tmp_path / "images/a.tif", dpi=(dots, dots))
    save(tmp_path / "masks/a.tif", mask(0))
    assert load(folder_source(tmp_path))[0].spacing is None
    Image.fromarray(picture(0)).save(tmp_path / "images/a.tif", dpi=(50.8, 50.8))
    assert load(folder_source(tmp_path))[0].spacing == pytest.approx(0.5)


@pytest.mark.parametrize("ending", ["nii", "nii.gz", "tif"])
def test_planes_of_a_stack_are_slices(ending, tmp_path):
    images, masks = np.stack([picture(n) for n in range(3)]), np.stack([mask(n) for n in range(3)])
    for name, stack in (("images", images), ("masks", masks)):
        path = tmp_path / f"{name}/p1.{ending}"
        path.parent.mkdir()
        if ending == "tif":
            first, *rest = map(Image.fromarray, stack)
            first.save(path, save_all=True, append_images=rest)
        else:
            save(path, stack, (0.5, 0.5, 4.0))
    slices = load(folder_source(tmp_path, patient="(.*)"))
    assert [loaded.slice.name for loaded in slices] == ["p1_000", "p1_001", "p1_002"]
    assert {loaded.slice.patient for loaded in slices} == {"p1"}
    assert len({str(loaded.slice.label) for loaded in slices}) == 3
    for number, loaded in enumerate(slices):
        np.testing.assert_array_equal(loaded.image[0], images[number])
        np.testing.assert_array_equal(loaded.label, folder_source(tmp_path).labels.to_indices(masks[number], ""))


def test_a_stack_is_stretched_once_as_a_whole(tmp_path, monkeypatch):
    stretch = Mock(wraps=formats.stretch_to_uint8)
    monkeypatch.setattr(formats, "stretch_to_uint8", stretch)
    ramp = np.linspace(-5, 5, 1200, dtype=np.float32).reshape(2, *SIZE)
    save(tmp_path / "images/a.nii.gz", ramp, (1, 1, 1))
    save(tmp_path / "masks/a.nii.gz", np.stack([mask(0)] * 2), (1, 1, 1))
    first, second = load(folder_source(tmp_path))
    assert (first.image.min(), second.image.max()) == (0, 255)
    assert first.image.max() <= 128 <= second.image.min() + 1
    stretch.assert_called_once()


def test_a_changed_stack_is_read_again(tmp_path):
    path = write_pair(tmp_path, {"planes": 2}) / "images/a.nii"
    before = load(folder_source(tmp_path))[0]
    np.testing.assert_array_equal(before.image[0], picture(0))
    save(path, np.stack([picture(5)] * 2), (0.5, 0.5, 4.0))
    os.utime(path, ns=(1, 1))
    np.testing.assert_array_equal(load(folder_source(tmp_path))[0].image[0], picture(5))
