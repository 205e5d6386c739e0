from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from lss_lightning.labels import LUMBAR
from lss_lightning.reporting import plot_calipers
from lss_lightning.reporting.calipers import LOOKS, list_measurements, list_notes, visible
from lss_lightning.stenosis import MEASUREMENTS, Flag, measure_slice
from tests.stenosis.anatomy import SIZE, SPACING, Spine, label_map

SAC = LUMBAR.keys.index("thecal_sac")


@pytest.fixture(scope="module")
def label():
    return label_map(Spine().shapes, offset=(0, -5))


def measured_on(label, image_left="right"):
    return measure_slice(label, LUMBAR, (SPACING, SPACING), image_left=image_left)


def picture_of(path, measured, image=None, **more):
    image = np.full((SIZE, SIZE), 40, dtype=np.uint8) if image is None else image
    plot_calipers(image, measured, LUMBAR, path, **{"title": "Patient 1, D4", "caption": "Made by a test"} | more)
    with Image.open(path) as picture:
        return np.array(picture)


def rgb(colour):
    return np.array(list(bytes.fromhex(colour[1:])))


def pixels_in(picture, colour):
    return np.argwhere((np.abs(picture.astype(int) - rgb(colour)) <= 2).all(axis=-1))


def test_every_measure_is_listed_with_its_value_unit_and_letter(label):
    measured = measured_on(label)
    listed = list_measurements(measured)
    for (letter, title, number), (name, value) in zip(listed, measured.values().items(), strict=True):
        unit = MEASUREMENTS[name].unit
        assert title == MEASUREMENTS[name].title
        assert number == (f"{value:.1f} {unit}" if unit else f"{value:.2f}")
        assert letter == (LOOKS[name].letter if name in measured.calipers else "")
    assert sorted(letter for letter, _, _ in listed if letter) == list("ABCDEFGH")


def test_the_view_holds_the_anatomy(label):
    (top, bottom), (left, right) = visible(measured_on(label), label.shape)
    rows, columns = np.nonzero(label != LUMBAR.keys.index("other"))
    assert left < columns.min() < columns.max() < right
    assert top < rows.min() + 3 < rows.max() - 3 < bottom


@pytest.mark.parametrize("aspect", [1.0, 1.5])
def test_outlines_and_calipers_are_drawn_where_they_were_taken(label, tmp_path, aspect):
    measured = measured_on(label)
    # Grey but for a band, which is the brightest and so white.
    image = np.full((SIZE, SIZE), 40, dtype=np.uint8)
    image[SIZE // 2 - 3 : SIZE // 2 + 3] = 80
    sheet = picture_of(tmp_path / "outlines.png", replace(measured, calipers={}), image, aspect=aspect)
    (top, bottom), (left, right) = visible(measured, label.shape)
    panel = pixels_in(sheet[:, :570], "#7f7f7f")
    panel = panel[(panel[:, 0] > 35) & (panel[:, 0] < 635)]
    (first, start), (last, end) = panel.min(axis=0), panel.max(axis=0) + 1
    assert (last - first) / (end - start) == pytest.approx(aspect * (bottom - top) / (right - left), rel=0.01)

    def places(points):
        scale = (end - start) / (right - left), (last - first) / (bottom - top)
        return (start, first) + (points - (left, top)) * scale

    (ring,) = measured.outlines["intervertebral_disc"]
    drawn = pixels_in(sheet, LUMBAR[1].colour)[:, ::-1]
    np.testing.assert_allclose(drawn.min(axis=0), places(ring.min(axis=0)), atol=3)
    np.testing.assert_allclose(drawn.max(axis=0), places(ring.max(axis=0)), atol=3)
    # One by one: some lie on one another.
    for name, caliper in measured.calipers.items():
        alone = picture_of(tmp_path / f"{name}.png", replace(measured, calipers={name: caliper}), image, aspect=aspect)
        look = LOOKS[name]
        line = np.rint(places(np.linspace(caliper.start, caliper.end, 21))).astype(int)
        seen = [len(pixels_in(alone[y - 2 : y + 3, x - 2 : x + 3], look.colour)) > 0 for x, y in line]
        assert seen[0], name
        assert seen[-1], name
        assert np.mean(seen) > (0.5 if look.dashed else 0.95), name


def test_the_patient_s_sides_stand_at_the_edges(label, tmp_path):
    measured = replace(measured_on(label), calipers={})
    (_, bottom), _ = visible(measured, label.shape)
    image = np.full((SIZE, SIZE), 40, dtype=np.uint8)
    image[int(bottom) - 4 :] = 80  # the rest is grey, and only letters are white

    def ink(image_left):
        sheet = picture_of(tmp_path / f"{image_left}.png", measured, image, image_left=image_left)[:, :570]
        panel = pixels_in(sheet, "#7f7f7f")
        panel = panel[(panel[:, 0] > 35) & (panel[:, 0] < 635)]
        (top, left), (bottom, right) = panel.min(axis=0), panel.max(axis=0)
        inside = pixels_in(sheet[top:bottom, left + 3 : right - 3], "#ffffff")
        inside = inside[np.abs(inside[:, 0] - (bottom - top) / 2) < 40, 1]
        return [np.count_nonzero(inside < 60), np.count_nonzero(inside > right - left - 66)]

    usual, turned, assumed = ink("right"), ink("left"), ink(None)
    assert usual[0] > usual[1] > 10  # an R has more ink than an L
    assert turned[1] > turned[0] > 10
    assert assumed[0] > usual[0] + 10  # a question mark
    assert assumed[1] > usual[1] + 10


def test_what_is_withheld_has_a_dash_and_its_reason(label):
    measured = measured_on(np.where(label == SAC, 4, label), image_left=None)
    listed = list_measurements(measured)
    withheld = [name for name in MEASUREMENTS if "thecal_sac" in MEASUREMENTS[name].needs]
    assert [number for _, _, number in listed].count("–") == len(withheld)
    assert [letter for letter, _, _ in listed if letter] == ["G", "H"]
    notes = list_notes(measured)
    assert notes.count("no thecal sac found") == 1
    assert "left and right are assumed: the image's left is taken for the" in " ".join(" ".join(notes).split())


def test_many_doubts_make_the_sheet_longer_and_a_caption_too(label, tmp_path):
    measured = measured_on(label)
    usual = picture_of(tmp_path / "usual.png", measured)
    captioned = picture_of(tmp_path / "captioned.png", measured, caption="Made by a test. " * 40)
    assert captioned.shape[0] > usual.shape[0] + 100
    assert captioned.shape[1] == usual.shape[1] > 1000
    doubted = measured.withhold([Flag("doubt", f"doubt number {number}") for number in range(20)])
    longer = picture_of(tmp_path / "doubted.png", doubted)
    assert longer.shape[0] > usual.shape[0] + 100
    # The last line of the caption lies within the sheet.
    for sheet in (usual, captioned, longer):
        assert (sheet[-12:] == 255).all()


def test_a_slice_without_anatomy_is_shown_whole(tmp_path):
    measured = measure_slice(np.full((50, 40), 5), LUMBAR, (1.0, 1.0))
    assert visible(measured, (50, 40)) == ((-0.5, 49.5), (-0.5, 39.5))
    image = np.zeros((50, 40, 3), dtype=np.uint8)
    assert picture_of(tmp_path / "calipers.png", measured, image).shape[1] > 1000
