from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from lss_lightning.reporting import plot_patients, style
from lss_lightning.reporting.patients import draw_patients

NAMES = [f"{number:04d}" for number in range(30)]
POOLED = np.random.default_rng(0).permutation(np.linspace(0.3, 0.9, 30))
SLICES = [np.array([score - 0.1, score, score + 0.1]) for score in POOLED]


def draw(names, pooled, slices):
    return draw_patients(names, pooled, slices, caption="c")


def tick_labels(axes):
    return [tick.get_text() for tick in axes.get_yticklabels()]


def test_all_patients_are_in_order_and_the_lowest_scores_have_names():
    all_axes, worst_axes = draw(NAMES, POOLED, SLICES).axes
    np.testing.assert_array_equal(all_axes.lines[0].get_ydata(), np.sort(POOLED))
    assert tick_labels(worst_axes) == [NAMES[index] for index in np.argsort(POOLED)[:15]]
    assert worst_axes.get_ylim()[0] > worst_axes.get_ylim()[1]  # lowest score at the top
    assert [axes.get_title() for axes in (all_axes, worst_axes)] == ["All 30 patients", "15 lowest scores"]


def test_every_slice_has_a_dot_in_the_row_of_its_patient():
    _, axes = draw(NAMES, POOLED, SLICES).axes
    *slices, pooled = (dots.get_offsets() for dots in axes.collections)
    order = np.argsort(POOLED)[:15]
    for row, (index, dots) in enumerate(zip(order, slices, strict=True)):
        np.testing.assert_allclose(dots, [(score, row) for score in SLICES[index]])
    np.testing.assert_allclose(pooled, [(POOLED[index], row) for row, index in enumerate(order)])


@pytest.mark.parametrize("count", [1, 15])
def test_few_patients_all_have_names(count):
    (axes,) = draw(NAMES[:count], POOLED[:count], SLICES[:count]).axes
    assert sorted(tick_labels(axes)) == NAMES[:count]


def test_patients_without_anatomy_are_left_out_and_long_names_are_shortened():
    scores = np.array([np.nan, 0.5])
    (axes,) = draw(["undefined", "a name of more than twenty letters"], scores, SLICES[:2]).axes
    assert tick_labels(axes) == ["a name of more than…"]


def test_png_has_the_page_width(tmp_path):
    plot_patients(NAMES, POOLED, SLICES, tmp_path / "patients.png", caption="c")
    with Image.open(tmp_path / "patients.png") as image:
        assert image.width == round(style.WIDTH * style.DPI)
