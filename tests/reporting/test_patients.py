from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from lss_lightning.reporting import plot_patients, style
from lss_lightning.reporting.patients import draw_patients

NAMES = [f"{number:04d}" for number in range(30)]
POOLED = np.random.default_rng(0).permutation(np.linspace(0.3, 0.9, 30))
SLICES = [np.array([score - 0.1, score, score + 0.1]) for score in POOLED]


def named(axes):
    return [tick.get_text() for tick in axes.get_yticklabels()]


def test_all_patients_in_order_and_the_worst_by_name():
    every, worst = draw_patients(NAMES, POOLED, SLICES, caption="c").axes
    np.testing.assert_array_equal(every.lines[0].get_ydata(), np.sort(POOLED))
    assert named(worst) == [NAMES[place] for place in np.argsort(POOLED)[:15]]
    assert worst.get_ylim()[0] > worst.get_ylim()[1]  # the worst on top
    assert [axes.get_title() for axes in (every, worst)] == ["All 30 patients", "The worst 15"]


def test_every_slice_is_a_dot_beside_its_patient():
    _, worst = draw_patients(NAMES, POOLED, SLICES, caption="c").axes
    *slices, pooled = (dots.get_offsets() for dots in worst.collections)
    order = np.argsort(POOLED)[:15]
    for row, (place, dots) in enumerate(zip(order, slices, strict=True)):
        np.testing.assert_allclose(dots, [(score, row) for score in SLICES[place]])
    np.testing.assert_allclose(pooled, [(POOLED[place], row) for row, place in enumerate(order)])


@pytest.mark.parametrize("count", [1, 15])
def test_few_patients_are_all_named(count):
    (axes,) = draw_patients(NAMES[:count], POOLED[:count], SLICES[:count], caption="c").axes
    assert sorted(named(axes)) == NAMES[:count]


def test_patients_without_anatomy_are_not_drawn_and_long_names_are_cut():
    scores = np.array([np.nan, 0.5])
    (axes,) = draw_patients(["gone", "a name of more than twenty letters"], scores, SLICES[:2], caption="c").axes
    assert named(axes) == ["a name of more than…"]


def test_file_is_a_png_of_the_page_width(tmp_path):
    plot_patients(NAMES, POOLED, SLICES, tmp_path / "patients.png", caption="c")
    with Image.open(tmp_path / "patients.png") as image:
        assert image.width == round(style.WIDTH * style.DPI)
