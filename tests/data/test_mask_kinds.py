"""The kinds of masks that people have: 0 and 255, colours, palettes of greys, JPEG; and files that are none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lss_lightning.data.cache import load_cached_slices
from lss_lightning.errors import UserError
from tests.data.image_files import folder_source, load, picture, refusal, save

INDICES = np.resize(np.array([0, 1, 2, 2], np.uint8), (20, 30))
BINARY = np.where(INDICES > 0, 255, 0).astype(np.uint8)
GREYS, CODES = np.array([0, 127, 255], np.uint8), np.array([0, 3, 5], np.uint8)
RGB = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0]], np.uint8)
THREE = {"background": 0, "disc": 1, "sac": 2}
COLOURS = {"background": "#000000", "disc": "#FF0000", "sac": "#00ff00"}


def write_mask(root: Path, mask: np.ndarray | Image.Image, ending: str = "png") -> Path:
    save(root / "images/a.png", picture(0))
    path = root / f"masks/a.{ending}"
    path.parent.mkdir(parents=True, exist_ok=True)
    (mask if isinstance(mask, Image.Image) else Image.fromarray(mask)).save(path)
    return path


def with_palette(colours: np.ndarray) -> Image.Image:
    image = Image.fromarray(INDICES, "P")
    image.putpalette(colours.ravel().tolist())
    return image


def advice(root: Path, classes: dict) -> str:
    with pytest.raises(UserError) as error:
        load(folder_source(root, classes=classes))
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("mask", "classes", "message"),
    [
        (BINARY, {"background": 0, "disc": 1}, "set data.classes={background: 0, disc: 255}"),
        (BINARY, THREE, "for two classes set data.classes={background: 0, structure: 255}; for"),
        (GREYS[INDICES], THREE, "set data.classes={background: 0, disc: 127, sac: 255}"),
        (with_palette(np.stack([GREYS] * 3, axis=1)), THREE, "{background: 0, disc: 127, sac: 255}"),
        (CODES[INDICES], {"background": 0, "disc": 3}, "The file holds the codes 0, 3, 5: give each code"),
        (np.arange(600).reshape(20, 30).astype(np.uint8), THREE, "probably resampled or saved by another program"),
        (RGB[INDICES], THREE, "a mask of colours (#00ff00 (300 px), #000000 (150 px), #ff0000 (150 px)) where"),
        (RGB[INDICES], THREE, "give the colour of each class, e.g. data.classes={background: '#000000', disc: '#"),
    ],
)
def test_advice_names_what_the_mask_holds(mask, classes, message, tmp_path):
    write_mask(tmp_path, mask)
    assert message in advice(tmp_path, classes)


@pytest.mark.parametrize("ending", ["png", "tif"])
@pytest.mark.parametrize(
    "mask", [RGB[INDICES], with_palette(RGB), np.dstack([RGB[INDICES], np.full((20, 30), 255, np.uint8)])]
)
def test_classes_by_colour(mask, ending, tmp_path):
    write_mask(tmp_path, mask, ending)
    source = folder_source(tmp_path, classes=COLOURS)
    assert source.labels.codes == (0, 1, 2)
    assert source.labels.anatomical == (1, 2)
    np.testing.assert_array_equal(load(source)[0].label, INDICES)


def test_greys_may_be_given_as_colours(tmp_path):
    write_mask(tmp_path, GREYS[INDICES])
    classes = {"background": "#000000", "disc": "#7f7f7f", "sac": "#ffffff"}
    np.testing.assert_array_equal(load(folder_source(tmp_path, classes=classes))[0].label, INDICES)


def test_colours_of_the_pages_of_a_stack(tmp_path):
    Image.fromarray(picture(0)).save(
        save(tmp_path / "images/a.tif", picture(0)), save_all=True, append_images=[Image.fromarray(picture(1))]
    )
    pages = [Image.fromarray(RGB[INDICES]), Image.fromarray(RGB[INDICES[::-1]])]
    (tmp_path / "masks").mkdir()
    pages[0].save(tmp_path / "masks/a.tif", save_all=True, append_images=pages[1:])
    first, second = load(folder_source(tmp_path, classes=COLOURS))
    np.testing.assert_array_equal(first.label, INDICES)
    np.testing.assert_array_equal(second.label, INDICES[::-1])


def test_other_colours_are_named(tmp_path):
    pixels = RGB[INDICES].copy()
    pixels[0, :3] = (1, 2, 255)
    write_mask(tmp_path, pixels)
    assert "colours #0102ff (3 px) belong to no class; allowed: #000000, #ff0000, #00ff00" in advice(tmp_path, COLOURS)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ({"background": 0, "disc": "#ff0000"}, "not of the allowed type"),
        ({"background": "#000000", "disc": "red"}, "data.classes"),
        ({"background": "#000", "disc": "#ff0000"}, "data.classes"),
        ({"a": "#ff0000", "b": "#FF0000"}, "one colour is given to two classes; give each class its own"),
    ],
)
def test_colours_that_are_not_allowed(classes, message, tmp_path):
    write_mask(tmp_path, RGB[INDICES])
    assert message in refusal(tmp_path, classes=classes)


def test_other_colours_for_the_classes_do_not_reuse_the_cache(tmp_path):
    write_mask(tmp_path, RGB[INDICES])
    swapped = {"background": "#000000", "disc": "#00ff00", "sac": "#ff0000"}
    labels = []
    for classes in (COLOURS, swapped):
        source = folder_source(tmp_path, classes=classes)
        slices = source.find().slices
        [loaded] = load_cached_slices(slices, source.channels, source.labels, "mean", folder=tmp_path / "cache")
        labels.append(loaded.label.copy())
    np.testing.assert_array_equal(labels[0], INDICES)
    np.testing.assert_array_equal(labels[1], np.array([0, 2, 1])[INDICES])


@pytest.mark.parametrize("name", ["a.jpg", "a.JPEG", "a.jfif"])
@pytest.mark.parametrize("folder", ["images", "masks"])
def test_jpeg_files_are_refused_with_advice(folder, name, tmp_path):
    write_mask(tmp_path, INDICES)
    (tmp_path / folder / name).write_bytes(b"")
    assert f"{folder}/{name}: a JPEG file, whose compression changes" in refusal(tmp_path, classes=THREE)


@pytest.mark.parametrize(
    "name", ["Thumbs.db", "desktop.ini", ".DS_Store", "._a.png", ".ipynb_checkpoints/a.png", "@eaDir/a.png"]
)
def test_hidden_and_thumbnail_files_are_skipped(name, tmp_path):
    write_mask(tmp_path, INDICES)
    for folder in ("images", "masks"):
        path = tmp_path / folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
    assert len(load(folder_source(tmp_path, classes=THREE))) == 1
    # With a star for the folder, too.
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "__MACOSX/a.png").write_bytes(b"")
    nested = tmp_path / "images/p1"
    nested.mkdir()
    (tmp_path / "images/a.png").rename(nested / "a.png")
    (tmp_path / "masks/p1").mkdir()
    (tmp_path / "masks/a.png").rename(tmp_path / "masks/p1/a.png")
    source = folder_source(tmp_path, classes=THREE, images="images/*/*.png", masks="masks/*/*.png")
    assert len(load(source)) == 1
