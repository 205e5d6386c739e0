import numpy as np

from lss_lightning.stenosis.components import fill_holes, find_parts


def mask(*rows):
    return np.array([[character == "#" for character in row] for row in rows])


ISLANDS = mask(
    "##...#",
    "##...#",
    "..#...",
    "....##",
    "....##",
)


def test_pixels_that_touch_at_a_corner_belong_together():
    parts = find_parts(ISLANDS)
    assert parts.sizes.tolist() == [5, 2, 4]


def test_the_largest_part():
    parts = find_parts(ISLANDS)
    expected = ISLANDS.copy()
    expected[:2, 5] = False
    expected[3:, 4:] = False
    np.testing.assert_array_equal(parts.mask(parts.largest()), expected)


def test_parts_over_a_size():
    parts = find_parts(ISLANDS)
    assert parts.over(2).tolist() == [True, False, True]


def test_parts_that_touch_a_mask():
    parts = find_parts(ISLANDS)
    touched = np.zeros_like(ISLANDS)
    touched[2:4, 2:5] = True
    assert parts.touching(touched).tolist() == [True, False, True]


def test_an_empty_mask_has_no_parts():
    parts = find_parts(np.zeros((3, 4), dtype=bool))
    assert len(parts.sizes) == 0
    assert not parts.mask(parts.largest()).any()


def test_holes_are_filled_but_bays_are_not():
    ring = mask("####.", "#..#.", "#..#.", "####.")
    bay = mask("####.", "#..#.", "#....", "####.")
    np.testing.assert_array_equal(fill_holes(ring), mask("####.", "####.", "####.", "####."))
    np.testing.assert_array_equal(fill_holes(bay), bay)
