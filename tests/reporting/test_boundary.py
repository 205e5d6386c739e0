import numpy as np
import pytest

from lss_lightning.labels import LUMBAR, LabelSet
from lss_lightning.reporting import style
from lss_lightning.reporting.boundary import draw_boundary
from tests.reporting.class_sets import make_label_set


def draw(hd95, assd, labels=LUMBAR, unit="mm"):
    return draw_boundary(hd95, assd, labels, unit=unit, caption="c")


def texts_of(figure):
    return [text.get_text() for text in figure.subfigs[0].texts] + [figure.subfigs[0].get_suptitle()]


def test_boxes_have_the_median_and_classes_without_distances_a_dash():
    distances = np.repeat(np.arange(1.0, 12.0)[:, None], 6, axis=1)
    distances[:, 1] = np.nan
    distances[3, 2] = np.nan
    left, right = draw(2 * distances, distances, unit="px").subfigs[0].axes
    assert left.get_xlabel() == "Average symmetric surface distance (px)"
    assert right.get_xlabel() == "95 % Hausdorff distance (px)"
    assert [tick.get_text() for tick in left.get_yticklabels()] == [label.name for label in LUMBAR if label.anatomical]
    assert [text.get_text() for text in left.texts] == ["–"]
    medians = [line.get_xdata()[0] for line in left.lines if line.get_color() == "black"]
    assert medians == [6.5, 6, 6]


@pytest.mark.parametrize("size", [2, 4, 60])
def test_figure_size_is_bounded_for_any_number_of_classes(size):
    figure = draw(np.ones((3, size)), np.ones((3, size)), make_label_set(size))
    assert figure.get_figwidth() == style.WIDTH
    assert figure.get_figheight() <= 13


def test_only_anatomical_classes_have_boxes():
    distances = np.ones((5, 6))
    distances[:, [0, 5]] = 80
    figure = draw(distances, distances)
    assert figure.subfigs[0].axes[0].get_xlim()[1] < 2
    assert any(text.startswith("Anatomical classes\n") for text in texts_of(figure))


def test_figure_states_the_number_of_classes_if_some_are_left_out():
    labels = LabelSet((LUMBAR[0], *make_label_set(60).labels[1:]))
    figure = draw(np.ones((3, 60)), np.ones((3, 60)), labels)
    assert len(figure.subfigs[0].axes[0].get_yticklabels()) == 30
    assert any(text.startswith("The first 30 of 59 anatomical classes\n") for text in texts_of(figure))
