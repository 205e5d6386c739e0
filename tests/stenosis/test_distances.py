"""Bulge and disc-facet gap of shapes with known dimensions."""

import numpy as np
import pytest
import shapely
from shapely import affinity

from lss_lightning.stenosis.distances import LEFTWARDS, RIGHTWARDS, measure_bulge, measure_foraminal_gap
from tests.stenosis.anatomy import ellipse
from tests.stenosis.shapes import AAP, ARCH, DISC, SAC, defined


@pytest.mark.parametrize(("side", "sign"), [(RIGHTWARDS, 1), (LEFTWARDS, -1)])
def test_foraminal_gap_of_circles(side, sign):
    disc = ellipse(0, -18, 18, 18)
    facets = ellipse(14, 4, 4, 4).union(ellipse(-14, 6, 4, 4))
    gap = defined(measure_foraminal_gap(disc, facets, SAC, AAP, side))
    expected = np.hypot(14, 22 if sign > 0 else 24) - 18 - 4
    assert gap.value == pytest.approx(expected, abs=1e-3)
    assert np.hypot(*(defined(gap.ends)[1] - defined(gap.ends)[0])) == pytest.approx(gap.value)
    assert (np.sign(defined(gap.ends)[:, 0]) == sign).all()


def test_foraminal_gap_is_lateral_to_the_sac():
    # The part nearest to the disc is a spur within the width of the sac.
    arch = shapely.box(9, 6, 20, 20).union(shapely.box(-4, 1, 4, 20))
    margin = shapely.get_coordinates(DISC)
    expected = np.hypot(*(margin[margin[:, 0] > 8] - (9, 6)).T).min()
    assert defined(measure_foraminal_gap(DISC, arch, SAC, AAP, RIGHTWARDS)).value == pytest.approx(expected, abs=0.02)


def test_foraminal_gap_is_zero_if_disc_and_arch_touch():
    assert defined(measure_foraminal_gap(DISC, shapely.box(10, -5, 20, 20), SAC, AAP, RIGHTWARDS)).value == 0


@pytest.mark.parametrize(
    ("arch", "aap"), [(shapely.box(-20, 2, -10, 20), AAP), (ARCH, AAP[:1])], ids=["no arch", "no AAP"]
)
def test_foraminal_gap_needs_arch_and_aap(arch, aap):
    assert measure_foraminal_gap(DISC, arch, SAC, aap, RIGHTWARDS) is None


@pytest.mark.parametrize("turn", [0, 7])
def test_an_ellipse_does_not_bulge(turn):
    assert defined(measure_bulge(affinity.rotate(DISC, turn))).value == pytest.approx(0, abs=1e-2)


@pytest.mark.parametrize("height", [1.0, 2.5, 5.0])
def test_bulge_is_the_protrusion_from_the_ellipse(height):
    bulge = defined(measure_bulge(DISC.union(ellipse(0, 0, 5, height))))
    assert bulge.value == pytest.approx(height, abs=0.1)
    np.testing.assert_allclose(defined(bulge.ends), [(0, 0), (0, height)], atol=0.2)
    u, v = defined(bulge.outline).T
    np.testing.assert_allclose(np.hypot(u / 25, (v + 18) / 18), 1, atol=5e-3)


def test_a_concave_disc_does_not_bulge():
    concave = DISC.difference(ellipse(0, 2, 8, 4))
    assert defined(measure_bulge(concave)).value == pytest.approx(0, abs=0.05)
