"""Crossings and chords of shapes with known dimensions."""

import numpy as np
import pytest
import shapely

from lss_lightning.stenosis.chords import ALONG_U, ALONG_V, find_crossings, find_edges, find_longest_chord
from tests.stenosis.anatomy import ellipse
from tests.stenosis.shapes import SAC, defined


def test_a_line_crosses_an_annulus_four_times():
    annulus = ellipse(0, 0, 5, 5).difference(ellipse(0, 0, 3, 3))
    np.testing.assert_allclose(find_crossings(find_edges(annulus), 0.0, ALONG_V), [-5, -3, 3, 5], atol=1e-3)
    np.testing.assert_allclose(find_crossings(find_edges(annulus), 4.0, ALONG_U), [-3, 3], atol=1e-3)
    assert len(find_crossings(find_edges(annulus), 5.1, ALONG_U)) == 0


@pytest.mark.parametrize(("along", "expected"), [(ALONG_U, 16.0), (ALONG_V, 10.0)])
def test_longest_chords_of_an_ellipse(along, expected):
    chord = find_longest_chord(SAC, along)
    assert chord.value == pytest.approx(expected, abs=1e-3)
    assert defined(chord.ends)[1, along] - defined(chord.ends)[0, along] == pytest.approx(expected, abs=1e-3)
    assert defined(chord.ends)[0, 1 - along] == defined(chord.ends)[1, 1 - along]


def test_chords_do_not_cross_gaps():
    pincer = shapely.box(0, 0, 10, 10).difference(shapely.box(4, 2, 12, 7))
    assert find_longest_chord(pincer, ALONG_V).value == pytest.approx(10)
    right = pincer.intersection(shapely.box(4.5, 0, 10, 10))
    chord = find_longest_chord(right, ALONG_V)
    assert chord.value == pytest.approx(3)
    np.testing.assert_allclose(defined(chord.ends)[:, 1], [7, 10])
