"""The SVG drawing of a slice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lss_lightning.labels import LUMBAR
from lss_lightning.reporting.study.picture import draw_slice, trace_outline, trace_pixels


def test_pixels_are_traced_as_rectangles_of_each_row():
    mask = np.array([[0, 1, 1, 0, 1], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1]], dtype=bool)
    assert trace_pixels(mask) == "M1 0h2v1h-2zM4 0h1v1h-1zM0 2h5v1h-5z"
    assert trace_pixels(np.zeros((2, 2), dtype=bool)) == ""


def test_outlines_start_at_the_corner_of_the_first_pixel_and_are_scaled_by_its_aspect():
    assert trace_outline((np.array([[0.0, 0.0], [2.0, 1.0]]),), 2.0) == "M0.50 1.00L2.50 3.00z"


def test_non_square_pixels_keep_the_proportions_of_the_slice(study):
    first = study.slices[0]
    flat = replace(first, spacing=(first.spacing[0], 2 * first.spacing[1]))
    picture = draw_slice(flat, LUMBAR)
    assert picture.size == (160, 80)
    assert picture.scale_bar == pytest.approx(10 / flat.spacing[1])
