"""Anatomical axes of shapes with known orientation."""

import numpy as np
import pytest
import shapely
from shapely import affinity

from lss_lightning.stenosis.axes import compute_second_moments, find_axes
from tests.stenosis.anatomy import ellipse
from tests.stenosis.shapes import AAP, ARCH, DISC


def test_second_moments_of_a_rectangle():
    moments = compute_second_moments(shapely.box(3, -1, 9, 1))
    np.testing.assert_allclose(moments, [[2 * 6**3 / 12, 0], [0, 6 * 2**3 / 12]], atol=1e-9)


@pytest.mark.parametrize("reverse", [False, True])
def test_second_moments_rotate_with_the_shape(reverse):
    triangle = shapely.Polygon([(0, 0), (6, 0), (0, 3)][:: -1 if reverse else 1])
    turned = affinity.rotate(triangle, 90, origin=(5, 7))
    expected = np.array([[18.0, -4.5], [-4.5, 4.5]])  # b³h/36, −b²h²/72, bh³/36
    np.testing.assert_allclose(compute_second_moments(triangle), expected, atol=1e-9)
    np.testing.assert_allclose(compute_second_moments(turned), [[4.5, 4.5], [4.5, 18.0]], atol=1e-9)


@pytest.mark.parametrize("turn", [-80, -30, 0, 10, 60])
def test_axes_follow_the_disc_and_point_to_the_arch(turn):
    disc, arch = (affinity.rotate(shape, turn, origin=(0, 0)) for shape in (DISC, ARCH))
    axes = find_axes(disc, arch)
    angle = np.radians(turn)
    np.testing.assert_allclose(axes.u, (np.cos(angle), np.sin(angle)), atol=1e-6)
    np.testing.assert_allclose(axes.v, (-np.sin(angle), np.cos(angle)), atol=1e-6)
    assert axes.rotation == pytest.approx(turn, abs=1e-4)
    np.testing.assert_allclose(axes.points_to_xy(axes.points_to_uv(AAP)), AAP)


def test_axes_of_an_upside_down_slice():
    axes = find_axes(affinity.scale(DISC, 1, -1, origin=(0, 0)), affinity.scale(ARCH, 1, -1, origin=(0, 0)))
    np.testing.assert_allclose((axes.u, axes.v), ((1, 0), (0, -1)), atol=1e-6)
    assert abs(axes.rotation) == pytest.approx(180, abs=1e-4)


def test_axes_of_a_disc_that_is_deeper_than_wide():
    axes = find_axes(ellipse(0, -25, 18, 25), ARCH)
    np.testing.assert_allclose(axes.v, (0, 1), atol=1e-6)
