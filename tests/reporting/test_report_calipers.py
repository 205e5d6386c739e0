import numpy as np
import pytest
from matplotlib.text import Text
from PIL import Image

from lss_lightning.labels import LUMBAR
from lss_lightning.reporting import plot_calipers
from lss_lightning.reporting.calipers import draw_calipers
from lss_lightning.stenosis import MEASURES, measure
from tests.stenosis.anatomy import SIZE, SPACING, Spine, label_map

SAC = LUMBAR.keys.index("thecal_sac")


@pytest.fixture(scope="module")
def label():
    return label_map(Spine().shapes, offset=(0, -5))


def figure_of(label, image_left="right"):
    image = np.random.default_rng(0).integers(0, 200, (SIZE, SIZE), dtype=np.uint8)
    measured = measure(label, LUMBAR, (SPACING, SPACING), image_left=image_left)
    return measured, draw_calipers(image, measured, LUMBAR, title="Patient 1, D4", caption="Made by a test")


def texts_of(figure):
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def test_every_measure_is_listed_with_its_value_and_unit(label):
    measured, figure = figure_of(label)
    texts = texts_of(figure)
    assert {"Patient 1, D4", "Made by a test"} <= set(texts)
    for name, value in measured.values().items():
        unit = MEASURES[name].unit
        assert MEASURES[name].title in texts
        assert (f"{value:.1f} {unit}" if unit else f"{value:.2f}") in texts


def test_every_caliper_is_drawn_where_it_was_taken_and_lettered(label):
    measured, figure = figure_of(label)
    picture = figure.axes[0]
    drawn = {tuple(np.round(line.get_xydata().ravel(), 6)) for line in picture.lines}
    for caliper in measured.calipers.values():
        assert tuple(np.round((*caliper.start, *caliper.end), 6)) in drawn
    letters = [text.get_text() for text in picture.texts]
    assert sorted(letters) == list("ABCDEFGH")
    assert all(texts_of(figure).count(letter) == 2 for letter in letters)


def test_the_view_holds_the_anatomy(label):
    _, figure = figure_of(label)
    rows, columns = np.nonzero(label != LUMBAR.keys.index("other"))
    (left, right), (bottom, top) = figure.axes[0].get_xlim(), figure.axes[0].get_ylim()
    assert left < columns.min() < columns.max() < right
    assert top < rows.min() + 3 < rows.max() - 3 < bottom


def test_what_is_withheld_has_a_dash_and_its_reason(label):
    _, figure = figure_of(np.where(label == SAC, 4, label), image_left=None)
    texts = texts_of(figure)
    assert texts.count("–") == len([name for name in MEASURES if "thecal_sac" in MEASURES[name].needs])
    assert texts.count("no thecal sac found") == 1
    assert "left and right are assumed: the image's left" in texts
    assert [text.get_text() for text in figure.axes[0].texts] == ["G", "H"]


def test_a_slice_without_anatomy_is_shown_whole(tmp_path):
    measured = measure(np.full((50, 40), 5), LUMBAR, (1.0, 1.0))
    image = np.zeros((50, 40, 3), dtype=np.uint8)
    figure = draw_calipers(image, measured, LUMBAR, title="t", caption="c")
    assert figure.axes[0].get_xlim() == (-0.5, 39.5)
    plot_calipers(image, measured, LUMBAR, tmp_path / "calipers.png", title="t", caption="c")
    with Image.open(tmp_path / "calipers.png") as picture:
        assert picture.width > 1000
