"""Tests of the sampling grid."""

from __future__ import annotations

import numpy as np
import pytest
from shapely import MultiPolygon, Polygon, contains_xy

from lss_lightning.data.alkafri_layout import FIELD_OF_VIEW
from lss_lightning.labels import LUMBAR
from lss_lightning.phantom.canvas import Canvas
from lss_lightning.phantom.shapes import Blob


def test_region_mask_agrees_with_shapely() -> None:
    canvas = Canvas(96, shift=(3.0, 5.0), rotation=0.1)
    ring = Polygon(Blob((0.0, 0.0), 21.3, 17.1).outline, [Blob((1.0, 2.0), 5.2, 6.1).outline])
    region = MultiPolygon([ring, Polygon(Blob((60.0, -9.0), 8.0, 12.0).outline)])
    for window in (canvas.window_over(region), canvas.window_over(ring), canvas.window((10.0, 10.0), 12.0)):
        expected = contains_xy(region, canvas.x[window].astype(float), canvas.y[window].astype(float))
        assert 0.1 < expected.mean() < 0.9
        np.testing.assert_array_equal(canvas.region_mask(region, window), expected)


def test_smooth_distance_agrees_with_the_shapes_distance() -> None:
    canvas, shape = Canvas(96, shift=(3.0, 5.0), rotation=0.1), Blob((0.0, -20.0), 150.0, 90.0)
    exact = shape.distance(canvas.x, canvas.y)
    near = np.abs(exact) < 20
    np.testing.assert_allclose(canvas.smooth_distance(shape)[near], exact[near], atol=0.06)


def test_pixel_mean_is_the_share_of_the_pixel_that_a_shape_covers() -> None:
    circle = Blob((8.0, -5.0), 6.0, 6.0)
    canvas = Canvas(128, shift=(3.0, 10.0), rotation=0.1)
    window = canvas.window_around(circle)
    inside = np.zeros((canvas.samples, canvas.samples), dtype=np.float32)
    inside[window] = canvas.distance(circle, window) < 0
    canvas.classify(window, inside[window] > 0, "thecal_sac")
    share = canvas.pixel_mean(inside)
    spacing = FIELD_OF_VIEW / 128
    assert share.sum() * spacing**2 == pytest.approx(circle.area, rel=0.02)
    assert ((share > 0.1) & (share < 0.9)).any()
    np.testing.assert_array_equal(canvas.pixel_labels() == LUMBAR.keys.index("thecal_sac"), share > 0.5)
    # The body's point (8, -5), rotated by 0.1 and shifted by (3, 10).
    rows, columns = np.nonzero(share)
    weights = share[rows, columns]
    across = (np.average(columns, weights=weights) + 0.5) * spacing - FIELD_OF_VIEW / 2
    down = (np.average(rows, weights=weights) + 0.5) * spacing - FIELD_OF_VIEW / 2
    cos, sin = np.cos(0.1), np.sin(0.1)
    assert (across, down) == pytest.approx((3 + 8 * cos + 5 * sin, 10 + 8 * sin - 5 * cos), abs=0.1)
