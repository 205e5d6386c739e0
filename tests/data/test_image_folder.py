from __future__ import annotations

import os
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import SimpleITK
from PIL import Image

from lss_lightning.config.data import data_source
from lss_lightning.data import formats
from lss_lightning.data.formats import read_image, read_mask
from lss_lightning.data.image_folder import FolderSource
from lss_lightning.data.loading import load_slices
from lss_lightning.errors import UserError

CLASSES = {"background": 0, "disc": 7, "Thecal Sac": 255}
SIZE = (20, 30)


def folder(root: Path, **settings) -> FolderSource:
    section = {"_target_": "lss_lightning.data.image_folder.FolderSource", "name": "folder", "root": str(root)}
    source = data_source({**section, "classes": CLASSES, **settings})
    assert isinstance(source, FolderSource)
    return source


def save(path: Path, pixels: np.ndarray, spacing: tuple[float, ...] | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, pixels)
    elif ".nii" in path.name:
        image = SimpleITK.GetImageFromArray(pixels, isVector=pixels.shape[-1] == 3)
        image.SetSpacing(spacing or (0.5,) * image.GetDimension())
        SimpleITK.WriteImage(image, str(path))
    elif spacing is not None:
        Image.fromarray(pixels).save(
            path, resolution_unit="cm", x_resolution=10 / spacing[0], y_resolution=10 / spacing[1]
        )
    else:
        Image.fromarray(pixels).save(path)
    return path


def picture(seed: int, *channels: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*SIZE, *channels), dtype=np.uint8)


def mask(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).choice(np.array([0, 7, 255], np.uint8), SIZE)


@pytest.fixture
def data(tmp_path) -> Path:
    """Two patients of two grey slices each."""
    for number, name in enumerate(("p01_L3", "p01_L4", "p02_L3", "p02_L4")):
        save(tmp_path / f"images/{name}.png", picture(number))
        save(tmp_path / f"masks/{name}.png", mask(number))
    return tmp_path


def load(source: FolderSource):
    return load_slices(source.find().slices, source.channels, source.labels)


def refusal(source_or_root, **settings) -> str:
    with pytest.raises(UserError) as refused:
        folder(source_or_root, **settings).find()
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_slices_are_paired_by_name_and_patients_found_in_it(data):
    save(data / "images/.hidden.png", picture(9))
    (data / "images/sub").mkdir()
    slices = load(folder(data, patient=r"^(p\d+)", pixel_size=0.5))
    assert [(one.slice.patient, one.slice.level) for one in slices] == [
        ("p01", "L3"), ("p01", "L4"), ("p02", "L3"), ("p02", "L4")]  # fmt: skip
    for number, one in enumerate(slices):
        np.testing.assert_array_equal(one.image, picture(number)[None])
        codes = np.array(list(CLASSES.values()))[one.label]
        np.testing.assert_array_equal(codes, mask(number))
        assert one.spacing == 0.5


def test_what_the_stars_match_names_a_slice(tmp_path):
    for patient in ("a", "b"):
        save(tmp_path / patient / "t2_1.png", picture(0))
        save(tmp_path / patient / "seg-1.npy", mask(0))
    source = folder(tmp_path, images="*/t2_*.png", masks="*/seg-*", patient="^([^_]+)")
    assert [piece.name for piece in source.find().slices] == ["a_1", "b_1"]
    assert [piece.patient for piece in source.find().slices] == ["a", "b"]


def test_patterns_may_be_absolute_or_lead_elsewhere(data, tmp_path):
    (tmp_path / "else").mkdir()
    source = folder(tmp_path / "else", images=f"{data}/images/*.png", masks="../masks/*.png")
    assert len(source.find().slices) == 4


def test_names_that_differ_only_around_the_patient_stay_apart(tmp_path):
    for name in ("x_p1", "p1_x"):
        save(tmp_path / f"images/{name}.png", picture(0))
        save(tmp_path / f"masks/{name}.png", mask(0))
    slices = folder(tmp_path, patient=r"(p\d)").find().slices
    assert {piece.patient for piece in slices} == {"p1"}
    assert len({piece.name for piece in slices}) == 2


def test_without_an_expression_each_file_is_a_patient_and_pages_say_so(data):
    source = folder(data)
    found = source.find()
    assert (found.slices[0].patient, found.slices[0].name) == ("p01_L3", "p01_L3")
    assert any("data.patient is not set" in note for note in found.notes)
    assert source.disclaimer == "Patients unknown: each file counts as one. Research use only."
    assert folder(data, patient=r"(p\d+)").disclaimer == "Research use only."
    assert not folder(data, patient=r"(p\d+)").find().notes


@pytest.mark.parametrize("channels", [(), (3,)])
@pytest.mark.parametrize("ending", ["png", "tif", "tiff", "npy", "nii", "nii.gz", "PNG"])
def test_formats_hold_the_same_pixels(ending, channels, tmp_path):
    pixels = picture(1, *channels)
    image = save(tmp_path / f"images/a.{ending}", pixels)
    label = save(tmp_path / f"masks/a.{ending}", mask(1))
    if "nii" in ending and channels:
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(pixels, isVector=True), str(image))
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(mask(1)), str(label))
    (slice_,) = load(folder(tmp_path))
    np.testing.assert_array_equal(slice_.image, np.atleast_3d(pixels).transpose(2, 0, 1))
    np.testing.assert_array_equal(slice_.label, folder(tmp_path).labels.to_indices(mask(1), ""))


def test_files_state_their_pixel_size(tmp_path):
    save(tmp_path / "images/a.nii.gz", picture(0), (0.6, 0.6))
    save(tmp_path / "masks/a.nii.gz", mask(0), (0.6, 0.6))
    save(tmp_path / "images/b.tif", picture(0), (0.7, 0.7))
    save(tmp_path / "masks/b.tif", mask(0))
    assert [one.spacing for one in load(folder(tmp_path))] == pytest.approx([0.6, 0.7], rel=1e-3)


@pytest.mark.parametrize("dots", [72, 96])
def test_a_screen_s_resolution_is_no_pixel_size(dots, tmp_path):
    (tmp_path / "images").mkdir()
    Image.fromarray(picture(0)).save(tmp_path / "images/a.tif", dpi=(dots, dots))
    save(tmp_path / "masks/a.tif", mask(0))
    assert load(folder(tmp_path))[0].spacing is None
    Image.fromarray(picture(0)).save(tmp_path / "images/a.tif", dpi=(50.8, 50.8))
    assert load(folder(tmp_path))[0].spacing == pytest.approx(0.5)


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
    slices = load(folder(tmp_path, patient="(.*)"))
    assert [one.slice.name for one in slices] == ["p1_000", "p1_001", "p1_002"]
    assert {one.slice.patient for one in slices} == {"p1"}
    assert len({str(one.slice.label) for one in slices}) == 3
    for number, one in enumerate(slices):
        np.testing.assert_array_equal(one.image[0], images[number])
        np.testing.assert_array_equal(one.label, folder(tmp_path).labels.to_indices(masks[number], ""))


def test_a_volume_of_one_slice_is_a_slice(tmp_path):
    save(tmp_path / "images/a.nii", picture(0)[None], (0.5, 0.5, 4.0))
    save(tmp_path / "masks/a.nii", mask(0)[None], (0.5, 0.5, 4.0))
    (slice_,) = load(folder(tmp_path))
    assert (slice_.slice.name, slice_.spacing) == ("a", 0.5)
    np.testing.assert_array_equal(slice_.image[0], picture(0))


@pytest.mark.parametrize("ending", ["png", "tif", "npy", "nii"])
def test_more_than_8_bits_are_stretched_and_said_once(ending, tmp_path):
    ramp = np.arange(600, dtype=np.uint16).reshape(SIZE) * 7 + 1000
    for name in ("a", "b"):
        save(tmp_path / f"images/{name}.{ending}", ramp)
        save(tmp_path / f"masks/{name}.{ending}", mask(0))
    source = folder(tmp_path, patient="(.)")
    for one in load(source):
        low, high = np.percentile(ramp, (0.5, 99.5))
        np.testing.assert_array_equal(one.image[0], np.rint(np.clip((ramp - low) / (high - low), 0, 1) * 255))
    (note,) = source.find().notes
    assert note.startswith("2 of 2 image files hold more than 8 bits")


def test_a_stack_is_stretched_as_one_and_once(tmp_path, monkeypatch):
    stretch = Mock(wraps=formats.to_bytes)
    monkeypatch.setattr(formats, "to_bytes", stretch)
    ramp = np.linspace(-5, 5, 1200, dtype=np.float32).reshape(2, *SIZE)
    save(tmp_path / "images/a.nii.gz", ramp, (1, 1, 1))
    save(tmp_path / "masks/a.nii.gz", np.stack([mask(0)] * 2), (1, 1, 1))
    first, second = load(folder(tmp_path))
    assert (first.image.min(), second.image.max()) == (0, 255)
    assert first.image.max() <= 128 <= second.image.min() + 1
    stretch.assert_called_once()


def test_what_is_no_number_in_an_image_is_black(tmp_path):
    pixels = np.linspace(0, 1, 600).reshape(SIZE)
    pixels[0, -1], pixels[0, -2] = np.nan, np.inf
    path = save(tmp_path / "a.npy", pixels)
    read = read_image(path, "image")[..., 0]
    assert (read[0, -1], read[0, -2]) == (0, 0)
    assert read[-1, -1] == 255


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [("rgb", (), (*SIZE, 3)), ("composite", (), (*SIZE, 3)), ("grey", (), (*SIZE, 1)), ("image", (3,), (*SIZE, 3))],
)
def test_channels_by_kind(kind, given, expected, tmp_path):
    path = save(tmp_path / "a.png", picture(0, *given))
    read = read_image(path, kind)
    assert read.shape == expected
    np.testing.assert_array_equal(read[..., -1], picture(0, *given).reshape(*SIZE, -1)[..., -1])


def test_mixed_grey_and_colour_are_read_as_chosen(data):
    save(data / "images/p02_L3.png", np.dstack([picture(2)] * 3))
    said = refusal(data)
    assert "p01_L3.png is grey and" in said or "p02_L4.png is grey and" in said
    assert "p02_L3.png is RGB: choose one for all by data.channels=rgb" in said
    assert {one.image.shape for one in load(folder(data, channels="grey"))} == {(1, *SIZE)}
    assert {one.image.shape for one in load(folder(data, channels="rgb"))} == {(3, *SIZE)}
    save(data / "images/p02_L3.png", picture(2, 3))
    with pytest.raises(UserError, match=r"p02_L3.png: a colour image where 8-bit grey is expected"):
        load(folder(data, channels="grey"))


def test_masks_with_a_palette_hold_their_places_in_it(tmp_path):
    places = np.array([[0, 1, 2]], np.uint8)
    image = Image.fromarray(places, "P")
    image.putpalette([0, 0, 0, 200, 0, 0, 0, 200, 0])
    image.save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png"), places)
    # A palette of greys is but a shorter way to store grey values.
    image.putpalette([0, 0, 0, 50, 50, 50, 250, 250, 250])
    image.save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png"), [[0, 50, 250]])


@pytest.mark.parametrize("kind", [bool, np.int16, np.float64, ">i4"])
@pytest.mark.parametrize("ending", ["npy", "nii"])
def test_masks_of_any_type_hold_whole_numbers(kind, ending, tmp_path):
    if ending == "nii" and kind in (bool, ">i4"):
        pytest.skip("SimpleITK does not write it")
    path = save(tmp_path / f"a.{ending}", (mask(0) > 0).astype(kind))
    assert read_mask(path).dtype == np.uint8
    np.testing.assert_array_equal(read_mask(path), mask(0) > 0)


def test_classes_follow_the_settings(data):
    labels = folder(data).labels
    assert labels.keys == ("background", "disc", "thecal_sac")
    assert [label.name for label in labels] == ["Background", "Disc", "Thecal Sac"]
    assert labels.codes == (0, 7, 255)
    assert labels.anatomical == (1, 2)
    assert folder(data, background=["disc"]).labels.anatomical == (0, 2)
    assert folder(data, background=[]).labels.anatomical == (0, 1, 2)
    assert folder(data, classes={"disc": 1, "sac": 2}).labels.anatomical == (0, 1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"classes": {"disc": 1}}, "data.classes={disc: 1}: give at least two, the background too"),
        ({"classes": {}}, "data.classes={}: give at least two"),
        ({"classes": {"a": 1, "b": 1}}, "data.classes={a: 1, b: 1}: class code 1 is given to two classes"),
        ({"classes": {"a b": 1, "A_B": 2}}, "data.classes={a b: 1, A_B: 2}: class key a_b is given to two classes"),
        ({"classes": {"a": 1, "b": 256}}, "data.classes={a: 1, b: 256}: class b: code 256 is outside 0-255"),
        ({"classes": {"a": 1, "b": -1}}, "data.classes={a: 1, b: -1}: class b: code -1 is outside"),
        ({"classes": {"a": 1, "b": "x"}}, "data.classes={a: 1, b: x}: not of the allowed type; give {name: value, …}"),
        ({"classes": {"a": 1, "b": 1.5}}, "data.classes={a: 1, b: 1.5}: not of the allowed type"),
        ({"classes": {"a": 1, "4": 2}}, "data.classes={a: 1, 4: 2}: class name '4': it must begin with a Latin letter"),
        ({"classes": {"a": 1, 41 * "b": 2}}, f"data.classes={{a: 1, {41 * 'b'}: 2}}: class {41 * 'b'}: 41 characters"),
        ({"classes": "disc"}, "data.classes=disc: not of the allowed type; give {name: value, …}"),
        ({"background": ["dics"]}, "data.background: no class 'dics'; did you mean 'disc'?; classes: background"),
        ({"background": list(CLASSES)}, "data.background=[background, disc, Thecal Sac]: leaves no class to score"),
        ({"background": "disc"}, "data.background=disc: not of the allowed type"),
        ({"channels": "t1_t2"}, "data.channels=t1_t2: unknown"),
        ({"pixel_size": 0}, "data.pixel_size=0: out of range; it must be above 0"),
        ({"patient": "(p"}, "data.patient=(p: no regular expression (missing )"),
        ({"patient": r"p\d+"}, r"data.patient=p\d+: no group; put what names the patient in ()"),
        ({"patient": r"^(q\d+)"}, r"data.patient=^(q\d+): finds no patient in the name 'p01_L3'"),
        ({"patient": r"^(q\d+)?"}, r"data.patient=^(q\d+)?: finds no patient in the name 'p01_L3'"),
        ({"images": "images/p01_L3.png"}, "data.images=images/p01_L3.png: give a path in which * stands for"),
        ({"images": "**/*.png"}, "data.images=**/*.png: give a path in which * stands for"),
        ({"masks": "masks/p0?_*.png"}, "data.masks=masks/p0?_*.png: give a path in which"),
        ({"images": "*/*.png"}, "data.images=*/*.png has 2 stars and data.masks=masks/* has 1"),
        ({"images": "images/*.jpg"}, "data.images=images/*.jpg: matches no file (data.root="),
        ({"masks": "labels/*"}, "data.masks=labels/*: there is no folder "),
        ({"masks": "images/*"}, "data.images and data.masks both match "),
        ({"root": "nowhere"}, "data.root=nowhere: no such folder"),
    ],
    ids=str,
)  # fmt: skip
def test_settings_are_refused(settings, message, data):
    assert refusal(settings.pop("root", data), **settings).startswith(message)


def test_files_without_a_partner_are_named(data):
    (data / "masks/p01_L4.png").unlink()
    for number in range(7):
        save(data / f"masks/q{number}.png", mask(0))
    said = refusal(data)
    assert "4 images and 10 masks do not pair by name: without mask (1: p01_L4); without image (7: q0, q1, " in said
    assert "q4 and 2 more)" in said
    with pytest.raises(UserError, match="do not pair"):
        folder(data).check()


def test_two_files_of_one_name_are_refused(data):
    save(data / "images/p01_L3.npy", picture(0))
    assert "are both named 'p01_L3'; keep one of the two" in refusal(data)


def test_an_unsupported_format_is_named(data):
    (data / "masks/notes.txt").write_text("")
    said = refusal(data)
    assert said.startswith(str(data / "masks/notes.txt"))
    assert ": no supported format (.nii.gz, .nii, .npy, .png, .tif, .tiff)" in said


def test_a_code_of_no_class_is_named_with_its_file(data):
    pixels = mask(2)
    pixels[3, :4] = 9
    save(data / "masks/p02_L3.png", pixels)
    with pytest.raises(
        UserError, match=r"masks/p02_L3.png: label codes 9 \(4 px\) belong to no class; allowed are 0, 7"
    ):
        load(folder(data))


def test_sizes_that_differ_are_refused(data):
    save(data / "masks/p02_L3.png", mask(2)[:, :-1])
    with pytest.raises(UserError, match=r"p02_L3.png: 30 × 20 pixels, but its label .*p02_L3.png has 29 × 20"):
        load(folder(data))


def stated(root: Path, image: dict, label: dict | None = None) -> Path:
    """One NIfTI image and its mask, each with what SimpleITK sets by these names."""
    for name, pixels, more in (("images", picture(0)[None], image), ("masks", mask(0)[None], label or image)):
        volume = SimpleITK.GetImageFromArray(np.repeat(pixels, more.get("planes", 1), axis=0))
        volume.SetSpacing(more.get("spacing", (0.5, 0.5, 4.0)))
        volume.SetOrigin(more.get("origin", (0, 0, 0)))
        volume.SetDirection(more.get("direction", (1, 0, 0, 0, 1, 0, 0, 0, 1)))
        (root / name).mkdir()
        SimpleITK.WriteImage(volume, str(root / f"{name}/a.nii"))
    return root


@pytest.mark.parametrize(
    ("image", "label", "settings", "says"),
    [
        ({"spacing": (0.5, 0.7, 4)}, None, {}, "a.nii: pixels of 0.5 × 0.7 mm; resample image and mask to square ones"),
        ({}, None, {"pixel_size": 0.7}, "data.pixel_size=0.7: "),
        ({"planes": 3}, {"planes": 2}, {}, "a.nii: a stack of 3, but its mask "),
        *(
            ({"planes": 2}, {"planes": 2, **label}, {}, "differ in origin, direction or spacing")
            for label in (
                {"direction": (-1, 0, 0, 0, -1, 0, 0, 0, 1)},
                {"direction": (0, 1, 0, 1, 0, 0, 0, 0, -1)},
                {"spacing": (0.25, 0.25, 4)},
                {"spacing": (0.5, 0.5, 8)},
                {"origin": (0.25, 0, 0)},
                {"origin": (0, 0, 4)},
            )
        ),
    ],
    ids=str,
)
def test_headers_that_contradict_are_refused(image, label, settings, says, tmp_path):
    assert says in refusal(stated(tmp_path, image, label), **settings)


def test_a_large_mask_that_faces_the_other_way_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.data.test_image_folder.SIZE", (320, 320))
    turned = {"direction": (-1, 0, 0, 0, -1, 0, 0, 0, 1)}
    assert "differ in origin, direction or spacing" in refusal(stated(tmp_path, {}, turned))


def test_headers_may_differ_by_rounding(tmp_path):
    root = stated(tmp_path, {}, {"origin": (0.01, 0, 0), "spacing": (0.5001, 0.5, 4)})
    assert len(folder(root).find().slices) == 1


def test_a_pixel_size_may_agree_with_the_files(tmp_path):
    (slice_,) = load(folder(stated(tmp_path, {}), pixel_size=0.5))
    assert slice_.spacing == 0.5


def test_a_working_pixel_needs_the_files_pixel_size(data):
    assert "states no pixel size, but a working pixel of 0.6 mm (data.spacing) needs it" in refusal(data, spacing=0.6)
    assert len(folder(data, spacing=0.6, pixel_size=0.5).find().slices) == 4
    save(data / "images/z.nii", picture(0))
    save(data / "masks/z.nii", mask(0))
    assert "p01_L3.png: states no pixel size, but others do; give the files' as data.pixel_size=" in refusal(data)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.png", b"\x89PNG", "not a PNG file"),
        ("a.tif", b"II*\x00", "a.tif: "),
        ("a.npy", b"junk", "not an array as numpy.save writes it"),
        ("a.nii", b"junk", "not a NIfTI file that can be read"),
        ("a.nii.gz", b"junk", "not a NIfTI file that can be read"),
    ],
)
@pytest.mark.parametrize("broken", ["images", "masks"])
def test_broken_files_are_named(name, content, says, broken, data):
    for place, pixels in (("images", picture(0)), ("masks", mask(0))):
        save(data / place / name, pixels)
    (data / broken / name).write_bytes(content)
    with pytest.raises(UserError) as refused:
        load(folder(data, pixel_size=0.5))
    assert f"{broken}/{name}" in str(refused.value)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("pixels", "says"),
    [
        (np.full(SIZE, 300), "values 300 to 300 in a mask; it must hold class codes, whole numbers from 0 to 255"),
        (np.full(SIZE, -1), "values -1 to -1 in a mask"),
        (np.full(SIZE, 0.5), "values 0.5 to 0.5 in a mask"),
        (np.full(SIZE, np.nan), "values nan to nan in a mask"),
        (np.zeros((*SIZE, 3), np.uint8), "a mask of shape (20, 30, 3), with colours"),
        (np.zeros((4, *SIZE), np.uint8), "an array of shape (4, 20, 30) and type uint8; an image has the shape"),
        (np.zeros(SIZE, complex), "and type complex128; an image has the shape (height, width)"),
        (np.array([{}]), "not an array as numpy.save writes it"),
    ],
)
def test_arrays_that_are_no_mask(pixels, says, tmp_path):
    np.save(tmp_path / "a.npy", pixels)
    with pytest.raises(UserError) as refused:
        read_mask(tmp_path / "a.npy")
    assert says in str(refused.value)


def test_a_series_in_one_file_is_refused(data):
    series = SimpleITK.JoinSeries([SimpleITK.GetImageFromArray(picture(n)[None]) for n in range(2)])
    SimpleITK.WriteImage(series, str(data / "images/a.nii"))
    save(data / "masks/a.nii", mask(0))
    with pytest.raises(UserError, match=r"a.nii: a volume of 30 × 20 × 1 × 2 with 1 value\(s\) each"):
        load(folder(data, pixel_size=0.5))


def test_a_changed_stack_is_read_anew(tmp_path):
    path = stated(tmp_path, {"planes": 2}) / "images/a.nii"
    before = load(folder(tmp_path))[0]
    np.testing.assert_array_equal(before.image[0], picture(0))
    save(path, np.stack([picture(5)] * 2), (0.5, 0.5, 4.0))
    os.utime(path, ns=(1, 1))
    np.testing.assert_array_equal(load(folder(tmp_path))[0].image[0], picture(5))


def test_nifti_planes_are_upright_whichever_way_they_are_stored(tmp_path):
    volume = SimpleITK.GetImageFromArray(np.random.default_rng(0).integers(0, 256, (2, 20, 24), dtype=np.uint8))
    codes = SimpleITK.GetImageFromArray(np.random.default_rng(1).integers(0, 2, (2, 20, 24), dtype=np.uint8))
    for name, orientation in (("a", "LPS"), ("b", "RAS"), ("c", "LAS"), ("d", "RPS")):
        for kind, whole in (("images", volume), ("masks", codes)):
            path = tmp_path / kind / f"{name}.nii.gz"
            path.parent.mkdir(exist_ok=True)
            SimpleITK.WriteImage(SimpleITK.DICOMOrient(whole, orientation), str(path))
    slices = load(folder(tmp_path, classes={"background": 0, "disc": 1}))
    assert len(slices) == 8
    for place, loaded in enumerate(slices):
        plane = place % 2
        np.testing.assert_array_equal(loaded.image[0], SimpleITK.GetArrayFromImage(volume)[plane])
        np.testing.assert_array_equal(loaded.label, SimpleITK.GetArrayFromImage(codes)[plane])
