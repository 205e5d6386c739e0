from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lss_lightning.errors import UserError
from tests.data.image_files import CLASSES, SIZE, folder_source, load, mask, picture, refusal, save, write_pair


@pytest.fixture
def data(tmp_path) -> Path:
    """Two patients of two grey slices each."""
    for number, name in enumerate(("p01_L3", "p01_L4", "p02_L3", "p02_L4")):
        save(tmp_path / f"images/{name}.png", picture(number))
        save(tmp_path / f"masks/{name}.png", mask(number))
    return tmp_path


def test_files_are_paired_by_name_and_patients_found_in_names(data):
    save(data / "images/.hidden.png", picture(9))
    (data / "images/sub").mkdir()
    slices = load(folder_source(data, patient=r"^(p\d+)", pixel_size=0.5))
    assert [(loaded.slice.patient, loaded.slice.level) for loaded in slices] == [
        ("p01", "L3"), ("p01", "L4"), ("p02", "L3"), ("p02", "L4")]  # fmt: skip
    for number, loaded in enumerate(slices):
        np.testing.assert_array_equal(loaded.image, picture(number)[None])
        codes = np.array(list(CLASSES.values()))[loaded.label]
        np.testing.assert_array_equal(codes, mask(number))
        assert loaded.spacing == 0.5


def test_matched_text_names_a_slice(tmp_path):
    for patient in ("a", "b"):
        save(tmp_path / patient / "t2_1.png", picture(0))
        save(tmp_path / patient / "seg-1.npy", mask(0))
    source = folder_source(tmp_path, images="*/t2_*.png", masks="*/seg-*", patient="^([^_]+)")
    assert [slice_.name for slice_ in source.find().slices] == ["a_1", "b_1"]
    assert [slice_.patient for slice_ in source.find().slices] == ["a", "b"]


def test_patterns_may_be_absolute_or_outside_the_root(data, tmp_path):
    (tmp_path / "else").mkdir()
    source = folder_source(tmp_path / "else", images=f"{data}/images/*.png", masks="../masks/*.png")
    assert len(source.find().slices) == 4


def test_names_that_differ_only_around_the_patient_stay_distinct(tmp_path):
    for name in ("x_p1", "p1_x"):
        save(tmp_path / f"images/{name}.png", picture(0))
        save(tmp_path / f"masks/{name}.png", mask(0))
    slices = folder_source(tmp_path, patient=r"(p\d)").find().slices
    assert {slice_.patient for slice_ in slices} == {"p1"}
    assert len({slice_.name for slice_ in slices}) == 2


def test_without_an_expression_each_file_is_a_patient(data):
    source = folder_source(data)
    listing = source.find()
    assert (listing.slices[0].patient, listing.slices[0].name) == ("p01_L3", "p01_L3")
    assert any("data.patient is not set" in note for note in listing.notes)
    assert source.disclaimer == "Patients unknown: each file counts as one. Research use only."
    assert folder_source(data, patient=r"(p\d+)").disclaimer == "Research use only."
    assert not folder_source(data, patient=r"(p\d+)").find().notes


def test_mixed_grey_and_colour_need_a_choice(data):
    save(data / "images/p02_L3.png", np.dstack([picture(2)] * 3))
    message = refusal(data)
    assert "p01_L3.png is grey and" in message or "p02_L4.png is grey and" in message
    assert "p02_L3.png is RGB: set data.channels=rgb" in message
    assert {loaded.image.shape for loaded in load(folder_source(data, channels="grey"))} == {(1, *SIZE)}
    assert {loaded.image.shape for loaded in load(folder_source(data, channels="rgb"))} == {(3, *SIZE)}
    save(data / "images/p02_L3.png", picture(2, 3))
    with pytest.raises(UserError, match=r"p02_L3.png: a colour image where 8-bit grey is expected"):
        load(folder_source(data, channels="grey"))


def test_classes_follow_the_settings(data):
    labels = folder_source(data).labels
    assert labels.keys == ("background", "disc", "thecal_sac")
    assert [label.name for label in labels] == ["Background", "Disc", "Thecal Sac"]
    assert labels.codes == (0, 7, 255)
    assert labels.anatomical == (1, 2)
    assert folder_source(data, background=["disc"]).labels.anatomical == (0, 2)
    assert folder_source(data, background=[]).labels.anatomical == (0, 1, 2)
    assert folder_source(data, classes={"disc": 1, "sac": 2}).labels.anatomical == (0, 1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"classes": {"disc": 1}}, "data.classes={disc: 1}: give at least two, the background too"),
        ({"classes": {}}, "data.classes={}: give at least two"),
        ({"classes": {"a": 1, "b": 1}}, "data.classes={a: 1, b: 1}: class code 1: given to two classes"),
        ({"classes": {"a b": 1, "A_B": 2}}, "data.classes={a b: 1, A_B: 2}: class key a_b: given to two classes"),
        ({"classes": {"a": 1, "b": 256}}, "data.classes={a: 1, b: 256}: class b: code 256 is outside 0-255"),
        ({"classes": {"a": 1, "b": -1}}, "data.classes={a: 1, b: -1}: class b: code -1 is outside"),
        ({"classes": {"a": 1, "b": "x"}}, "data.classes={a: 1, b: x}: not of the allowed type; give {name: value, …}"),
        ({"classes": {"a": 1, "b": 1.5}}, "data.classes={a: 1, b: 1.5}: not of the allowed type"),
        ({"classes": {"a": 1, "4": 2}}, "data.classes={a: 1, 4: 2}: class name '4': must begin with a Latin letter"),
        ({"classes": {"a": 1, 41 * "b": 2}}, f"data.classes={{a: 1, {41 * 'b'}: 2}}: class {41 * 'b'}: 41 characters"),
        ({"classes": "disc"}, "data.classes=disc: not of the allowed type; give {name: value, …}"),
        ({"background": ["dics"]}, "data.background: no class 'dics'; did you mean 'disc'?; classes: background"),
        ({"background": list(CLASSES)}, "data.background=[background, disc, Thecal Sac]: leaves no class to score"),
        ({"background": "disc"}, "data.background=disc: not of the allowed type"),
        ({"channels": "t1_t2"}, "data.channels=t1_t2: unknown"),
        ({"pixel_size": 0}, "data.pixel_size=0: out of range; it must be above 0"),
        ({"patient": "(p"}, "data.patient=(p: not a regular expression (missing )"),
        ({"patient": r"p\d+"}, r"data.patient=p\d+: no group; put the patient's id in ()"),
        ({"patient": r"^(q\d+)"}, r"data.patient=^(q\d+): finds no patient in the name 'p01_L3'"),
        ({"patient": r"^(q\d+)?"}, r"data.patient=^(q\d+)?: finds no patient in the name 'p01_L3'"),
        ({"images": "images/p01_L3.png"}, "data.images=images/p01_L3.png: give a path with * in place of"),
        ({"images": "**/*.png"}, "data.images=**/*.png: give a path with * in place of"),
        ({"masks": "masks/p0?_*.png"}, "data.masks=masks/p0?_*.png: give a path with"),
        ({"images": "*/*.png"}, "data.images=*/*.png has 2 stars and data.masks=masks/* has 1"),
        ({"images": "images/*.jpg"}, "data.images=images/*.jpg: matches no file (data.root="),
        ({"masks": "labels/*"}, "data.masks=labels/*: no such folder: "),
        ({"masks": "images/*"}, "data.images and data.masks both match "),
        ({"root": "nowhere"}, "data.root=nowhere: no such folder"),
    ],
    ids=str,
)  # fmt: skip
def test_wrong_settings_are_refused(settings, message, data):
    assert refusal(settings.pop("root", data), **settings).startswith(message)


def test_unpaired_files_are_named(data):
    (data / "masks/p01_L4.png").unlink()
    for number in range(7):
        save(data / f"masks/q{number}.png", mask(0))
    message = refusal(data)
    assert "4 images and 10 masks do not pair by name: without mask (1: p01_L4); without image (7: q0, q1, " in message
    assert "q4 and 2 more)" in message
    with pytest.raises(UserError, match="do not pair"):
        folder_source(data).check()


def test_two_files_of_one_name_are_refused(data):
    save(data / "images/p01_L3.npy", picture(0))
    assert "are both named 'p01_L3'; keep one of the two" in refusal(data)


def test_an_unsupported_format_is_named(data):
    (data / "masks/notes.txt").write_text("")
    message = refusal(data)
    assert message.startswith(str(data / "masks/notes.txt"))
    assert ": unsupported format (supported: .nii.gz, .nii, .mha, .nrrd, .npy, .png, .tif, .tiff)" in message


def test_unknown_codes_are_named_with_their_file(data):
    pixels = mask(2)
    pixels[3, :4] = 9
    save(data / "masks/p02_L3.png", pixels)
    with pytest.raises(UserError, match=r"masks/p02_L3.png: label codes 9 \(4 px\) belong to no class; allowed: 0, 7"):
        load(folder_source(data))


def test_different_sizes_are_refused(data):
    save(data / "masks/p02_L3.png", mask(2)[:, :-1])
    with pytest.raises(UserError, match=r"p02_L3.png: 30 × 20 pixels, but its label .*p02_L3.png has 29 × 20"):
        load(folder_source(data))


@pytest.mark.parametrize(
    ("image", "label", "settings", "message"),
    [
        (
            {"spacing": (0.5, 0.7, 4)},
            None,
            {},
            "a.nii: pixels of 0.5 × 0.7 mm; resample image and mask to square pixels",
        ),
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
def test_contradicting_headers_are_refused(image, label, settings, message, tmp_path):
    assert message in refusal(write_pair(tmp_path, image, label), **settings)


def test_a_large_mask_with_opposite_axes_is_refused(tmp_path):
    turned = {"direction": (-1, 0, 0, 0, -1, 0, 0, 0, 1)}
    assert "differ in origin, direction or spacing" in refusal(write_pair(tmp_path, {}, turned, (320, 320)))


def test_headers_may_differ_by_rounding(tmp_path):
    root = write_pair(tmp_path, {}, {"origin": (0.01, 0, 0), "spacing": (0.5001, 0.5, 4)})
    assert len(folder_source(root).find().slices) == 1


def test_pixel_size_may_equal_that_of_the_files(tmp_path):
    (slice_,) = load(folder_source(write_pair(tmp_path, {}), pixel_size=0.5))
    assert slice_.spacing == 0.5


def test_working_spacing_needs_the_pixel_size_of_files(data):
    assert "states no pixel size, but a working spacing of 0.6 mm (data.spacing) needs it" in refusal(data, spacing=0.6)
    assert len(folder_source(data, spacing=0.6, pixel_size=0.5).find().slices) == 4
    save(data / "images/z.nii", picture(0))
    save(data / "masks/z.nii", mask(0))
    assert "p01_L3.png: states no pixel size, but others do; give it as data.pixel_size=" in refusal(data)
