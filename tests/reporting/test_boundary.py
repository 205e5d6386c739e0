import numpy as np
import pytest

from lss_lightning.labels import LUMBAR, Label, LabelSet
from lss_lightning.metrics.calibration import BINS
from lss_lightning.reporting import style
from lss_lightning.reporting.boundary import draw_boundary
from lss_lightning.reporting.reliability import draw_reliability


def many(size):
    return LabelSet(tuple(Label(f"Class {i}", f"c{i}", f"C{i}", i, "#0072b2", anatomical=True) for i in range(size)))


def calibration(labels):
    frequency = [None] * BINS
    probability = [None] * BINS
    probability[0], probability[14], frequency[0], frequency[14] = 0.02, 0.97, 0.05, 0.8
    pixels = [300, *[0] * 13, 100]
    diagram = {"pixels": pixels, "probability": probability, "frequency": frequency}
    return {
        "ece": {key: None if index == 0 else 0.1234 for index, key in enumerate(labels.keys)},
        "reliability": dict.fromkeys(labels.keys, diagram),
    }


def test_boxes_show_the_median_and_a_missing_class_a_dash():
    distances = np.repeat(np.arange(1.0, 12.0)[:, None], 6, axis=1)
    distances[:, 1] = np.nan
    distances[3, 2] = np.nan
    left, right = draw_boundary(2 * distances, distances, LUMBAR, unit="px", caption="c").subfigs[0].axes
    assert (left.get_xlabel(), right.get_xlabel()) == ("Average surface distance (px)", "95 % Hausdorff distance (px)")
    assert [tick.get_text() for tick in left.get_yticklabels()] == [label.name for label in LUMBAR if label.anatomical]
    assert [text.get_text() for text in left.texts] == ["–"]
    medians = [line.get_xdata()[0] for line in left.lines if line.get_color() == "black"]
    assert medians == [6.5, 6, 6]


def test_a_panel_shows_frequencies_shares_and_error():
    axes = draw_reliability(calibration(LUMBAR), LUMBAR, caption="c").subfigs[0].axes
    assert len(axes) == 6
    assert axes[0].texts[0].get_text() == "No pixel of it in the band"
    assert axes[1].get_title() == "Intervertebral Disc: ECE 0.123"
    np.testing.assert_allclose(axes[1].lines[1].get_xydata(), [[0.02, 0.05], [0.97, 0.8]])
    assert [bar.get_height() for bar in axes[1].patches][::14] == [0.75, 0.25]


@pytest.mark.parametrize("size", [2, 4, 60])
def test_any_number_of_classes_makes_pictures_of_bounded_size(size):
    labels = many(size)
    for figure in (
        draw_reliability(calibration(labels), labels, caption="c"),
        draw_boundary(np.ones((3, size)), np.ones((3, size)), labels, unit="mm", caption="c"),
    ):
        assert figure.get_figwidth() == style.WIDTH
        assert figure.get_figheight() <= 13


def texts(figure):
    return [text.get_text() for text in figure.subfigs[0].texts] + [figure.subfigs[0].get_suptitle()]


def test_only_anatomical_classes_have_boxes_however_far_off_others_lie():
    distances = np.ones((5, 6))
    distances[:, [0, 5]] = 80
    figure = draw_boundary(distances, distances, LUMBAR, unit="mm", caption="c")
    assert figure.subfigs[0].axes[0].get_xlim()[1] < 2
    assert any(text.startswith("Anatomical classes\n") for text in texts(figure))


def test_classes_without_room_are_spoken_of():
    labels = LabelSet((LUMBAR[0], *many(60).labels[1:]))
    boundary = draw_boundary(np.ones((3, 60)), np.ones((3, 60)), labels, unit="mm", caption="c")
    assert len(boundary.subfigs[0].axes[0].get_yticklabels()) == 30
    assert any(text.startswith("The first 30 of 59 anatomical classes\n") for text in texts(boundary))
    panels = draw_reliability(calibration(labels), labels, caption="c")
    titles = [axes.get_title() for axes in panels.subfigs[0].axes]
    assert titles[0].startswith("Class 1:")
    assert len(titles) == 12
    assert "12 of 60 classes; metrics.json holds all" in texts(panels)
    assert not any("metrics.json" in text for text in texts(draw_reliability(calibration(LUMBAR), LUMBAR, caption="c")))
