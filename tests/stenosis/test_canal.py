"""Depth and area of canals with known dimensions."""

import numpy as np
import pytest
import shapely
from shapely import affinity

from lss_lightning.stenosis.canal import measure_canal_area, measure_canal_depth
from tests.stenosis.shapes import ARCH, DISC, SAC, defined


@pytest.mark.parametrize("shift", [0.0, 2.0])
def test_canal_depth(shift):
    sac = affinity.translate(SAC, shift, 0)
    depth, least = defined(measure_canal_depth(DISC, ARCH, sac, sac))
    rear = -18 + 18 * np.sqrt(1 - (shift / 25) ** 2)
    assert depth.value == pytest.approx(20 - shift - rear, abs=2e-3)
    np.testing.assert_allclose(defined(depth.ends), [(shift, rear), (shift, 20 - shift)], atol=2e-3)
    lateral = shift + 3
    assert least.value == pytest.approx(20 - lateral - (-18 + 18 * np.sqrt(1 - (lateral / 25) ** 2)), abs=2e-3)
    assert depth.caveat is None


def test_canal_between_laminae_ends_at_the_rear_of_its_content():
    halves = ARCH.difference(shapely.box(-3.5, 0, 3.5, 50))
    content = SAC.union(shapely.box(-3.5, 7, 3.5, 17))
    depth, least = defined(measure_canal_depth(DISC, halves, SAC, content))
    assert depth.value == pytest.approx(17, abs=1e-3)
    # The disc curves forward beside the midline, so the canal is only deeper there.
    assert least.value == pytest.approx(17, abs=0.02)
    assert "no posterior element" in defined(depth.caveat)


def test_minimum_canal_depth_ignores_a_gap_beside_the_midline():
    arch = shapely.box(-30, 15, 30, 30).difference(shapely.box(1.5, 0, 2.9, 40))
    _, least = defined(measure_canal_depth(DISC, arch, SAC, SAC))
    assert least.value == pytest.approx(15, abs=1e-3)


def test_canal_without_a_disc_in_front():
    assert measure_canal_depth(affinity.translate(DISC, 60, 0), ARCH, SAC, SAC) is None


def test_canal_of_an_arch_that_touches_the_disc_is_closed():
    arch = shapely.box(-30, -1, 30, 20).difference(shapely.box(-2, -2, 2, 15))
    depth, least = defined(measure_canal_depth(DISC, arch, SAC, SAC))
    assert depth.value == pytest.approx(15, abs=1e-3)
    assert least.value == 0


def test_canal_area_ends_at_the_medial_edges():
    # At the level of the sac's centroid, v = 7, the walls are 13 mm from the midline.
    content = shapely.box(-40, 2, 40, 12).difference(ARCH)
    expected = content.intersection(shapely.box(-13, 0, 13, 30)).area
    area = defined(measure_canal_area(ARCH, SAC, content))
    assert area.value == pytest.approx(expected, abs=1e-2)
    assert shapely.Polygon(defined(area.outline)).bounds == pytest.approx((-13, 2, 13, 12), abs=2e-3)


def test_canal_area_of_an_arch_that_begins_behind_the_sac():
    shifted = affinity.translate(ARCH, 0, 6)  # its most anterior points, (±15, 11), are behind the centroid of the sac
    content = shapely.box(-40, 2, 40, 10)
    assert defined(measure_canal_area(shifted, SAC, content)).value == pytest.approx(30 * 8, abs=1e-2)


def test_a_sac_wider_than_the_canal_belongs_to_it():
    tight = shapely.box(-30, 4, 30, 40).difference(shapely.box(-5, 0, 5, 20))
    assert defined(measure_canal_area(tight, SAC, SAC)).value == pytest.approx(SAC.area)


def test_canal_area_needs_an_arch_on_both_sides():
    assert measure_canal_area(shapely.box(10, 0, 20, 30), SAC, SAC) is None
