"""Measures of shapes whose values are known: no pixels involved."""

import numpy as np
import pytest
import shapely
from shapely import affinity

from lss_lightning.stenosis.axes import find_axes, second_moments
from lss_lightning.stenosis.canal import canal_area, canal_depth
from lss_lightning.stenosis.chords import ALONG_U, ALONG_V, crossings, edges_of, longest_chord
from lss_lightning.stenosis.distances import LEFTWARDS, RIGHTWARDS, disc_bulge, foraminal_gap
from tests.stenosis.anatomy import ellipse

DISC = ellipse(0, -18, 25, 18)
SAC = ellipse(0, 7, 8, 5)
ARCH = shapely.Polygon([(0, 20), (15, 5), (15, 40), (-15, 40), (-15, 5)])  # walls at 45 degrees
AAP = np.array([(-12.0, 3.0), (12.0, 3.0)])


def test_second_moments_of_a_rectangle():
    moments = second_moments(shapely.box(3, -1, 9, 1))
    np.testing.assert_allclose(moments, [[2 * 6**3 / 12, 0], [0, 6 * 2**3 / 12]], atol=1e-9)


@pytest.mark.parametrize("reverse", [False, True])
def test_second_moments_of_a_triangle_turn_with_it(reverse):
    triangle = shapely.Polygon([(0, 0), (6, 0), (0, 3)][:: -1 if reverse else 1])
    turned = affinity.rotate(triangle, 90, origin=(5, 7))
    expected = np.array([[18.0, -4.5], [-4.5, 4.5]])  # b³h/36, −b²h²/72, bh³/36
    np.testing.assert_allclose(second_moments(triangle), expected, atol=1e-9)
    np.testing.assert_allclose(second_moments(turned), [[4.5, 4.5], [4.5, 18.0]], atol=1e-9)


@pytest.mark.parametrize("turn", [-80, -30, 0, 10, 60])
def test_axes_follow_the_disc_and_point_to_what_lies_behind(turn):
    disc, arch = (affinity.rotate(shape, turn, origin=(0, 0)) for shape in (DISC, ARCH))
    axes = find_axes(disc, arch)
    angle = np.radians(turn)
    np.testing.assert_allclose(axes.u, (np.cos(angle), np.sin(angle)), atol=1e-6)
    np.testing.assert_allclose(axes.v, (-np.sin(angle), np.cos(angle)), atol=1e-6)
    assert axes.rotation == pytest.approx(turn, abs=1e-4)
    np.testing.assert_allclose(axes.undo(axes.coordinates(AAP)), AAP)


def test_axes_of_a_slice_upside_down():
    axes = find_axes(affinity.scale(DISC, 1, -1, origin=(0, 0)), affinity.scale(ARCH, 1, -1, origin=(0, 0)))
    np.testing.assert_allclose((axes.u, axes.v), ((1, 0), (0, -1)), atol=1e-6)
    assert abs(axes.rotation) == pytest.approx(180, abs=1e-4)


def test_a_disc_deeper_than_wide_still_has_its_back_behind():
    axes = find_axes(ellipse(0, -25, 18, 25), ARCH)
    np.testing.assert_allclose(axes.v, (0, 1), atol=1e-6)


def test_a_line_crosses_an_annulus_four_times():
    annulus = ellipse(0, 0, 5, 5).difference(ellipse(0, 0, 3, 3))
    np.testing.assert_allclose(crossings(edges_of(annulus), 0.0, ALONG_V), [-5, -3, 3, 5], atol=1e-3)
    np.testing.assert_allclose(crossings(edges_of(annulus), 4.0, ALONG_U), [-3, 3], atol=1e-3)
    assert len(crossings(edges_of(annulus), 5.1, ALONG_U)) == 0


@pytest.mark.parametrize(("along", "expected"), [(ALONG_U, 16.0), (ALONG_V, 10.0)])
def test_longest_chords_of_an_ellipse(along, expected):
    chord = longest_chord(SAC, along)
    assert chord.value == pytest.approx(expected, abs=1e-3)
    assert chord.ends[1, along] - chord.ends[0, along] == pytest.approx(expected, abs=1e-3)
    assert chord.ends[0, 1 - along] == chord.ends[1, 1 - along]


def test_a_chord_does_not_jump_over_a_gap():
    pincer = shapely.box(0, 0, 10, 10).difference(shapely.box(4, 2, 12, 7))
    assert longest_chord(pincer, ALONG_V).value == pytest.approx(10)
    right = pincer.intersection(shapely.box(4.5, 0, 10, 10))
    chord = longest_chord(right, ALONG_V)
    assert chord.value == pytest.approx(3)
    np.testing.assert_allclose(chord.ends[:, 1], [7, 10])


@pytest.mark.parametrize("shift", [0.0, 2.0])
def test_canal_depth(shift):
    sac = affinity.translate(SAC, shift, 0)
    depth, least = canal_depth(DISC, ARCH, sac, sac)
    rear = -18 + 18 * np.sqrt(1 - (shift / 25) ** 2)
    assert depth.value == pytest.approx(20 - shift - rear, abs=2e-3)
    np.testing.assert_allclose(depth.ends, [(shift, rear), (shift, 20 - shift)], atol=2e-3)
    aside = shift + 3
    assert least.value == pytest.approx(20 - aside - (-18 + 18 * np.sqrt(1 - (aside / 25) ** 2)), abs=2e-3)
    assert depth.doubt is None


def test_canal_between_laminae_ends_with_its_content():
    halves = ARCH.difference(shapely.box(-3.5, 0, 3.5, 50))
    content = SAC.union(shapely.box(-3.5, 7, 3.5, 17))
    depth, least = canal_depth(DISC, halves, SAC, content)
    assert depth.value == pytest.approx(17, abs=1e-3)
    assert least.value == pytest.approx(17, abs=0.02)  # the disc's margin falls away from the midline, so little more
    assert "no posterior element" in depth.doubt


def test_least_canal_depth_leaves_out_a_gap_beside_the_midline():
    arch = shapely.box(-30, 15, 30, 30).difference(shapely.box(1.5, 0, 2.9, 40))
    _, least = canal_depth(DISC, arch, SAC, SAC)
    assert least.value == pytest.approx(15, abs=1e-3)


def test_canal_without_a_disc_in_front():
    assert canal_depth(affinity.translate(DISC, 60, 0), ARCH, SAC, SAC) is None


def test_canal_of_an_arch_that_touches_the_disc_is_closed():
    arch = shapely.box(-30, -1, 30, 20).difference(shapely.box(-2, -2, 2, 15))
    depth, least = canal_depth(DISC, arch, SAC, SAC)
    assert depth.value == pytest.approx(15, abs=1e-3)
    assert least.value == 0


def test_canal_area_ends_at_the_medial_edges():
    # Beside the sac's centroid, at v = 7, the walls are 13 mm off the midline.
    content = shapely.box(-40, 2, 40, 12).difference(ARCH)
    expected = content.intersection(shapely.box(-13, 0, 13, 30)).area
    area = canal_area(ARCH, SAC, content)
    assert area.value == pytest.approx(expected, abs=1e-2)
    assert shapely.Polygon(area.outline).bounds == pytest.approx((-13, 2, 13, 12), abs=2e-3)


def test_canal_area_of_an_arch_that_begins_behind_the_sac():
    low = affinity.translate(ARCH, 0, 6)  # its frontmost points, (±15, 11), lie behind the sac's centroid
    content = shapely.box(-40, 2, 40, 10)
    assert canal_area(low, SAC, content).value == pytest.approx(30 * 8, abs=1e-2)


def test_the_sac_belongs_to_the_canal_even_where_it_is_wider():
    tight = shapely.box(-30, 4, 30, 40).difference(shapely.box(-5, 0, 5, 20))
    assert canal_area(tight, SAC, SAC).value == pytest.approx(SAC.area)


def test_canal_area_needs_an_arch_on_both_sides():
    assert canal_area(shapely.box(10, 0, 20, 30), SAC, SAC) is None


@pytest.mark.parametrize(("side", "sign"), [(RIGHTWARDS, 1), (LEFTWARDS, -1)])
def test_foraminal_gap_of_circles(side, sign):
    disc = ellipse(0, -18, 18, 18)
    facets = ellipse(14, 4, 4, 4).union(ellipse(-14, 6, 4, 4))
    gap = foraminal_gap(disc, facets, SAC, AAP, side)
    expected = np.hypot(14, 22 if sign > 0 else 24) - 18 - 4
    assert gap.value == pytest.approx(expected, abs=1e-3)
    assert np.hypot(*(gap.ends[1] - gap.ends[0])) == pytest.approx(gap.value)
    assert (np.sign(gap.ends[:, 0]) == sign).all()


def test_foraminal_gap_counts_only_beyond_the_sac():
    # Nearest to the disc is a spur in front of the sac's own width.
    arch = shapely.box(9, 6, 20, 20).union(shapely.box(-4, 1, 4, 20))
    margin = shapely.get_coordinates(DISC)
    expected = np.hypot(*(margin[margin[:, 0] > 8] - (9, 6)).T).min()
    assert foraminal_gap(DISC, arch, SAC, AAP, RIGHTWARDS).value == pytest.approx(expected, abs=0.02)


def test_foraminal_gap_is_nil_where_disc_and_arch_touch():
    assert foraminal_gap(DISC, shapely.box(10, -5, 20, 20), SAC, AAP, RIGHTWARDS).value == 0


@pytest.mark.parametrize(
    ("arch", "aap"), [(shapely.box(-20, 2, -10, 20), AAP), (ARCH, AAP[:1])], ids=["no arch", "no AAP"]
)
def test_no_foramen_on_a_side(arch, aap):
    assert foraminal_gap(DISC, arch, SAC, aap, RIGHTWARDS) is None


@pytest.mark.parametrize("turn", [0, 7])
def test_an_ellipse_does_not_bulge(turn):
    assert disc_bulge(affinity.rotate(DISC, turn)).value == pytest.approx(0, abs=1e-2)


@pytest.mark.parametrize("height", [1.0, 2.5, 5.0])
def test_bulge_is_what_protrudes_from_the_ellipse(height):
    bulge = disc_bulge(DISC.union(ellipse(0, 0, 5, height)))
    assert bulge.value == pytest.approx(height, abs=0.1)
    np.testing.assert_allclose(bulge.ends, [(0, 0), (0, height)], atol=0.2)
    np.testing.assert_allclose(np.hypot(bulge.outline[:, 0] / 25, (bulge.outline[:, 1] + 18) / 18), 1, atol=5e-3)


def test_a_hollow_disc_does_not_bulge():
    hollow = DISC.difference(ellipse(0, 2, 8, 4))
    assert disc_bulge(hollow).value == pytest.approx(0, abs=0.05)
