import numpy as np
import pytest

from lss_lightning.labels import LUMBAR, LabelSet
from lss_lightning.metrics.calibration import RELIABILITY_BINS
from lss_lightning.reporting import style
from lss_lightning.reporting.reliability import draw_reliability
from tests.reporting.class_sets import make_label_set


def make_calibration(labels):
    frequency: list[float | None] = [None] * RELIABILITY_BINS
    probability: list[float | None] = [None] * RELIABILITY_BINS
    probability[0], probability[14], frequency[0], frequency[14] = 0.02, 0.97, 0.05, 0.8
    pixels = [300, *[0] * 13, 100]
    diagram = {"pixels": pixels, "probability": probability, "frequency": frequency}
    return {
        "ece": {key: None if index == 0 else 0.1234 for index, key in enumerate(labels.keys)},
        "reliability": dict.fromkeys(labels.keys, diagram),
    }


def draw(labels):
    return draw_reliability(make_calibration(labels), labels, caption="c")


def texts_of(figure):
    return [text.get_text() for text in figure.subfigs[0].texts] + [figure.subfigs[0].get_suptitle()]


def test_panels_show_frequencies_fractions_of_pixels_and_ece():
    axes = draw(LUMBAR).subfigs[0].axes
    assert len(axes) == 6
    assert axes[0].texts[0].get_text() == "No pixels in the band"
    assert axes[1].get_title() == "Intervertebral Disc: ECE 0.123"
    np.testing.assert_allclose(axes[1].lines[1].get_xydata(), [[0.02, 0.05], [0.97, 0.8]])
    assert [bar.get_height() for bar in axes[1].patches][::14] == [0.75, 0.25]


@pytest.mark.parametrize("size", [2, 4, 60])
def test_figure_size_is_bounded_for_any_number_of_classes(size):
    figure = draw(make_label_set(size))
    assert figure.get_figwidth() == style.WIDTH
    assert figure.get_figheight() <= 13


def test_figure_states_the_number_of_classes_if_some_are_left_out():
    figure = draw(LabelSet((LUMBAR[0], *make_label_set(60).labels[1:])))
    titles = [axes.get_title() for axes in figure.subfigs[0].axes]
    assert titles[0].startswith("Class 1:")
    assert len(titles) == 12
    assert "12 of 60 classes; metrics.json has all of them" in texts_of(figure)
    assert not any("metrics.json" in text for text in texts_of(draw(LUMBAR)))
