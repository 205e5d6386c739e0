"""Connected components of small masks."""

import numpy as np

from lss_lightning.stenosis.components import fill_holes, find_components


def mask(*rows):
    return np.array([[character == "#" for character in row] for row in rows])


ISLANDS = mask(
    "##...#",
    "##...#",
    "..#...",
    "....##",
    "....##",
)


def test_pixels_that_touch_at_a_corner_are_connected():
    components = find_components(ISLANDS)
    assert components.sizes.tolist() == [5, 2, 4]


def test_largest_component():
    components = find_components(ISLANDS)
    expected = ISLANDS.copy()
    expected[:2, 5] = False
    expected[3:, 4:] = False
    np.testing.assert_array_equal(components.to_mask(components.largest()), expected)


def test_components_larger_than_a_size():
    components = find_components(ISLANDS)
    assert components.larger_than(2).tolist() == [True, False, True]


def test_components_that_touch_a_mask():
    components = find_components(ISLANDS)
    touched = np.zeros_like(ISLANDS)
    touched[2:4, 2:5] = True
    assert components.touching(touched).tolist() == [True, False, True]


def test_an_empty_mask_has_no_components():
    components = find_components(np.zeros((3, 4), dtype=bool))
    assert len(components.sizes) == 0
    assert not components.to_mask(components.largest()).any()


def test_fill_holes_leaves_bays_open():
    ring = mask("####.", "#..#.", "#..#.", "####.")
    bay = mask("####.", "#..#.", "#....", "####.")
    np.testing.assert_array_equal(fill_holes(ring), mask("####.", "####.", "####.", "####."))
    np.testing.assert_array_equal(fill_holes(bay), bay)
