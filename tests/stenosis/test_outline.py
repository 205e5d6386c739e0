"""Outlines of masks and probabilities with known curves."""

import numpy as np
import pytest
from shapely import affinity

from lss_lightning.stenosis.components import fill_holes, find_components
from lss_lightning.stenosis.outline import outline_mask, outline_probability, smooth_mask
from tests.stenosis.anatomy import DISC, ellipse, fractions


def cover(shape, **placement):
    """Fraction of each 1 mm pixel that a shape covers."""
    return 1 - fractions({DISC: shape}, spacing=(1.0, 1.0), shape=(64, 64), **placement)[-1]


def centre(outline):
    return affinity.translate(outline, -31.5, -31.5)


@pytest.mark.parametrize("sigma", [0.8, 1.25, 2.0])
def test_smoothing_does_not_move_a_straight_edge(sigma):
    mask = np.zeros((40, 40), dtype=bool)
    mask[:, 13:] = True
    np.testing.assert_allclose(smooth_mask(mask, sigma)[20, [12, 13]].sum(), 1, atol=1e-9)


@pytest.mark.parametrize("radius", [5.0, 8.0, 16.0])
def test_smoothing_does_not_shrink_a_circle(radius):
    rng = np.random.default_rng(1)
    areas = []
    for _ in range(30):
        mask = cover(ellipse(0, 0, radius, radius), offset=rng.uniform(-0.5, 0.5, 2)) > 0.5
        areas.append(outline_mask(mask, 1.25).area)
    assert np.mean(areas) == pytest.approx(np.pi * radius**2, rel=0.01)


@pytest.mark.parametrize("offset", [(0.0, 0.0), (0.3, -0.2), (0.5, 0.5)])
def test_outlines_follow_the_curve(offset):
    coverage = cover(ellipse(0, 0, 14, 9), offset=offset)
    curve = affinity.translate(ellipse(0, 0, 14, 9), *offset)
    soft = centre(outline_probability(coverage, coverage > 0.5))
    smoothed = centre(outline_mask(coverage > 0.5, 1.25))
    assert soft.hausdorff_distance(curve) < 0.25
    assert smoothed.hausdorff_distance(curve) < 0.6


def test_probabilities_are_outlined_only_around_the_mask():
    coverage = np.maximum(cover(ellipse(-15, 0, 8, 8)), cover(ellipse(15, 0, 8, 8)))
    components = find_components(coverage > 0.5)
    assert len(components.sizes) == 2
    outline = outline_probability(coverage, components.numbers == 1)
    assert centre(outline).bounds == pytest.approx((-23, -8, -7, 8), abs=0.2)


def test_filled_holes_are_inside():
    coverage = cover(ellipse(0, 0, 15, 15)) - cover(ellipse(0, 0, 4, 4))
    outline = outline_probability(coverage, fill_holes(coverage > 0.5))
    assert outline.area == pytest.approx(np.pi * 15**2, rel=0.01)


def test_a_single_pixel_has_no_outline():
    mask = np.zeros((20, 20), dtype=bool)
    mask[10, 10] = True
    assert outline_mask(mask, 1.25).is_empty
