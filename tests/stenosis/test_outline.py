import numpy as np
import pytest
from shapely import affinity

from lss_lightning.stenosis.components import fill_holes, find_parts
from lss_lightning.stenosis.outline import outline_of_mask, outline_of_probability, smooth
from tests.stenosis.anatomy import DISC, ellipse, fractions


def covered(shape, **placement):
    """Share of each pixel of 1 mm that a shape covers."""
    return 1 - fractions({DISC: shape}, spacing=(1.0, 1.0), shape=(64, 64), **placement)[-1]


def at_image_middle(outline):
    return affinity.translate(outline, -31.5, -31.5)


@pytest.mark.parametrize("sigma", [0.8, 1.25, 2.0])
def test_a_straight_edge_stays_where_it_is(sigma):
    mask = np.zeros((40, 40), dtype=bool)
    mask[:, 13:] = True
    np.testing.assert_allclose(smooth(mask, sigma)[20, [12, 13]].sum(), 1, atol=1e-9)


@pytest.mark.parametrize("radius", [5.0, 8.0, 16.0])
def test_smoothing_does_not_shrink_a_circle(radius):
    rng = np.random.default_rng(1)
    areas = []
    for _ in range(30):
        mask = covered(ellipse(0, 0, radius, radius), offset=rng.uniform(-0.5, 0.5, 2)) > 0.5
        areas.append(outline_of_mask(mask, 1.25).area)
    assert np.mean(areas) == pytest.approx(np.pi * radius**2, rel=0.01)


@pytest.mark.parametrize("offset", [(0.0, 0.0), (0.3, -0.2), (0.5, 0.5)])
def test_an_outline_lies_on_the_curve(offset):
    share = covered(ellipse(0, 0, 14, 9), offset=offset)
    curve = affinity.translate(ellipse(0, 0, 14, 9), *offset)
    soft = at_image_middle(outline_of_probability(share, share > 0.5))
    stairs = at_image_middle(outline_of_mask(share > 0.5, 1.25))
    assert soft.hausdorff_distance(curve) < 0.25
    assert stairs.hausdorff_distance(curve) < 0.6


def test_a_probability_is_followed_only_around_the_mask():
    share = np.maximum(covered(ellipse(-15, 0, 8, 8)), covered(ellipse(15, 0, 8, 8)))
    parts = find_parts(share > 0.5)
    assert len(parts.sizes) == 2
    outline = outline_of_probability(share, parts.numbers == 1)
    assert at_image_middle(outline).bounds == pytest.approx((-23, -8, -7, 8), abs=0.2)


def test_what_was_a_hole_is_inside():
    share = covered(ellipse(0, 0, 15, 15)) - covered(ellipse(0, 0, 4, 4))
    outline = outline_of_probability(share, fill_holes(share > 0.5))
    assert outline.area == pytest.approx(np.pi * 15**2, rel=0.01)


def test_a_single_pixel_has_no_outline():
    mask = np.zeros((20, 20), dtype=bool)
    mask[10, 10] = True
    assert outline_of_mask(mask, 1.25).is_empty
