from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from lss_lightning.labels import LUMBAR
from lss_lightning.reporting.comparison import SegmentedExample, plot_figure13
from lss_lightning.reporting.comparison.figure13 import draw_figure13


@pytest.mark.parametrize("models", [1, 3, 9])
def test_each_image_has_a_panel_for_each_model(models, tmp_path):
    label = np.full((60, 80), 5, dtype=np.uint8)
    label[20:40, 30:60] = 1
    image = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    names = [f"model {number}" for number in range(models)]
    ious = {**dict.fromkeys(names, 0.5), names[0]: math.nan}
    row = SegmentedExample("Best: patient 1", image, label, dict.fromkeys(names, label), ious)
    figure = draw_figure13([row, replace(row, title="Worst: patient 2")], LUMBAR, caption="c")
    panels = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title().strip() for axes in panels] == ["Image", "Label", *names] * 2
    assert [axes.get_xlabel() for axes in panels[:3]] == ["", "", "IoU –"]
    assert len({axes.get_xlim() for axes in panels}) == 1
    plot_figure13([row], LUMBAR, tmp_path / "one.png", caption="c")
    assert (tmp_path / "one.png").stat().st_size > 5000
