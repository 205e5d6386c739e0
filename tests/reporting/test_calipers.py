from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from lss_lightning.labels import LUMBAR
from lss_lightning.reporting import plot_calipers
from lss_lightning.reporting.calipers import CALIPER_STYLES, find_view, list_measurements, list_notes
from lss_lightning.stenosis import MEASUREMENTS, Flag, MeasurementInterval, measure_slice
from tests.stenosis.anatomy import SIZE, SPACING, Spine, label_map

SAC = LUMBAR.keys.index("thecal_sac")


@pytest.fixture(scope="module")
def label():
    return label_map(Spine().shapes, offset=(0, -5))


def measure(label, image_left="right"):
    return measure_slice(label, LUMBAR, (SPACING, SPACING), image_left=image_left)


def plot(path, measurements, image=None, **options):
    image = np.full((SIZE, SIZE), 40, dtype=np.uint8) if image is None else image
    options = {"title": "Patient 1, D4", "caption": "Made by a test"} | options
    plot_calipers(image, measurements, LUMBAR, path, **options)
    with Image.open(path) as picture:
        return np.array(picture)


def find_pixels(picture, colour):
    """Find the positions (row, column) of pixels of a colour."""
    rgb = np.array(list(bytes.fromhex(colour[1:])))
    return np.argwhere((np.abs(picture.astype(int) - rgb) <= 2).all(axis=-1))


def test_list_has_the_letter_title_value_and_unit_of_every_measurement(label):
    measurements = measure(label)
    rows = list_measurements(measurements)
    for (letter, title, text), (name, value) in zip(rows, measurements.values().items(), strict=True):
        assert title == MEASUREMENTS[name].title
        assert text == MEASUREMENTS[name].format(value)
        assert letter == (CALIPER_STYLES[name].letter if name in measurements.calipers else "")
    assert sorted(letter for letter, _, _ in rows if letter) == list("ABCDEFGH")


def test_errors_follow_the_values_or_are_stated_as_unknown(label):
    measurements = measure(label)
    intervals = {"sac_area_mm2": MeasurementInterval(120.4, 160.6, {})}
    rows = list_measurements(measurements, intervals)
    values = rows[::2]
    assert [title for _, title, _ in values] == [measurement.title for measurement in MEASUREMENTS.values()]
    errors = dict(zip(MEASUREMENTS, (text for _, _, text in rows[1::2]), strict=True))
    assert errors.pop("sac_area_mm2") == "120 to 161 mm²"
    assert set(errors.values()) == {"no error known"}
    assert list_notes(measurements, intervals)[0].startswith("95 % intervals: spread of models")
    assert list_measurements(measurements, {}) == list_measurements(measurements) == values
    assert list_notes(measurements, {})[0] == "values: no error known"


def test_view_contains_the_anatomy(label):
    (top, bottom), (left, right) = find_view(measure(label), label.shape)
    rows, columns = np.nonzero(label != LUMBAR.keys.index("other"))
    assert left < columns.min() < columns.max() < right
    assert top < rows.min() + 3 < rows.max() - 3 < bottom


@pytest.mark.parametrize("aspect", [1.0, 1.5])
def test_outlines_and_calipers_are_drawn_in_place(label, tmp_path, aspect):
    measurements = measure(label)
    # A brighter band becomes white, and the rest grey.
    image = np.full((SIZE, SIZE), 40, dtype=np.uint8)
    image[SIZE // 2 - 3 : SIZE // 2 + 3] = 80
    sheet = plot(tmp_path / "outlines.png", replace(measurements, calipers={}), image, aspect=aspect)
    (top, bottom), (left, right) = find_view(measurements, label.shape)
    panel = find_pixels(sheet[:, :570], "#7f7f7f")
    panel = panel[(panel[:, 0] > 35) & (panel[:, 0] < 635)]
    (first, start), (last, end) = panel.min(axis=0), panel.max(axis=0) + 1
    assert (last - first) / (end - start) == pytest.approx(aspect * (bottom - top) / (right - left), rel=0.01)

    def to_picture(points):
        scale = (end - start) / (right - left), (last - first) / (bottom - top)
        return (start, first) + (points - (left, top)) * scale

    (ring,) = measurements.outlines["intervertebral_disc"]
    outline = find_pixels(sheet, LUMBAR[1].colour)[:, ::-1]
    np.testing.assert_allclose(outline.min(axis=0), to_picture(ring.min(axis=0)), atol=3)
    np.testing.assert_allclose(outline.max(axis=0), to_picture(ring.max(axis=0)), atol=3)
    # Some calipers overlap, so each is drawn alone.
    for name, caliper in measurements.calipers.items():
        alone = plot(tmp_path / f"{name}.png", replace(measurements, calipers={name: caliper}), image, aspect=aspect)
        style = CALIPER_STYLES[name]
        line = np.rint(to_picture(np.linspace(caliper.start, caliper.end, 21))).astype(int)
        drawn = [len(find_pixels(alone[y - 2 : y + 3, x - 2 : x + 3], style.colour)) > 0 for x, y in line]
        assert drawn[0], name
        assert drawn[-1], name
        assert np.mean(drawn) > (0.5 if style.dashed else 0.95), name


def test_letters_of_the_patient_s_sides_are_at_the_edges(label, tmp_path):
    measurements = replace(measure(label), calipers={})
    (_, bottom), _ = find_view(measurements, label.shape)
    image = np.full((SIZE, SIZE), 40, dtype=np.uint8)
    image[int(bottom) - 4 :] = 80  # The rest is grey, so only the letters are white.

    def count_letter_pixels(image_left):
        sheet = plot(tmp_path / f"{image_left}.png", measurements, image, image_left=image_left)[:, :570]
        panel = find_pixels(sheet, "#7f7f7f")
        panel = panel[(panel[:, 0] > 35) & (panel[:, 0] < 635)]
        (top, left), (bottom, right) = panel.min(axis=0), panel.max(axis=0)
        white = find_pixels(sheet[top:bottom, left + 3 : right - 3], "#ffffff")
        columns = white[np.abs(white[:, 0] - (bottom - top) / 2) < 40, 1]
        return [np.count_nonzero(columns < 60), np.count_nonzero(columns > right - left - 66)]

    usual, mirrored, assumed = (count_letter_pixels(side) for side in ("right", "left", None))
    assert usual[0] > usual[1] > 10  # An R has more pixels than an L.
    assert mirrored[1] > mirrored[0] > 10
    assert assumed[0] > usual[0] + 10  # a question mark
    assert assumed[1] > usual[1] + 10


def test_withheld_measurements_have_a_dash_and_a_reason(label):
    measurements = measure(np.where(label == SAC, 4, label), image_left=None)
    rows = list_measurements(measurements)
    withheld = [name for name in MEASUREMENTS if "thecal_sac" in MEASUREMENTS[name].needs]
    assert [text for _, _, text in rows].count("–") == len(withheld)
    assert [letter for letter, _, _ in rows if letter] == ["G", "H"]
    notes = list_notes(measurements)
    assert notes.count("no thecal sac found") == 1
    assert "left and right are assumed: the image's left is taken for the" in " ".join(" ".join(notes).split())


def test_many_flags_or_a_long_caption_make_the_sheet_higher(label, tmp_path):
    measurements = measure(label)
    usual = plot(tmp_path / "usual.png", measurements)
    captioned = plot(tmp_path / "captioned.png", measurements, caption="Made by a test. " * 40)
    assert captioned.shape[0] > usual.shape[0] + 100
    assert captioned.shape[1] == usual.shape[1] > 1000
    flagged = measurements.withhold([Flag("doubt", f"doubt number {number}") for number in range(20)])
    higher = plot(tmp_path / "flagged.png", flagged)
    assert higher.shape[0] > usual.shape[0] + 100
    # The last line of the caption is inside the sheet.
    for sheet in (usual, captioned, higher):
        assert (sheet[-12:] == 255).all()


def test_slice_without_anatomy_is_shown_completely(tmp_path):
    measurements = measure_slice(np.full((50, 40), 5), LUMBAR, (1.0, 1.0))
    assert find_view(measurements, (50, 40)) == ((-0.5, 49.5), (-0.5, 39.5))
    image = np.zeros((50, 40, 3), dtype=np.uint8)
    assert plot(tmp_path / "calipers.png", measurements, image).shape[1] > 1000
