from __future__ import annotations

import math

import numpy as np
import pytest

from lss_lightning.metrics import agreement_counts, iou, shift_iou
from lss_lightning.metrics.ceiling import shift_counts

DISTANCES = (0.0, 0.5, 1.0, 1.7, 2.0)


def square(side: int, size: int = 40) -> np.ndarray:
    label = np.zeros((size, size), dtype=np.uint8)
    label[10 : 10 + side, 12 : 12 + side] = 1
    return label


@pytest.mark.parametrize("side", [3, 12])
def test_iou_of_a_shifted_square(side):
    expected = []
    for distance in DISTANCES:
        diagonal = distance / math.sqrt(2)
        common = (side * (side - distance) + (side - diagonal) ** 2) / 2  # half of the directions are diagonal
        expected.append(common / (2 * side**2 - common))
    np.testing.assert_allclose(shift_iou([square(side)], 2, DISTANCES)[:, 1], expected, rtol=1e-9)


def test_half_a_pixel_is_interpolated_linearly():
    label = np.tile(np.repeat(np.array([0, 1, 0], dtype=np.uint8), (8, 5, 8)), (4, 1))
    unshifted, half, full = (counts[1, 1] for counts in shift_counts(label, 2, (0.0, 0.5, 1.0)))
    # All rows are equal, so only the horizontal component of the shift matters, which is linear up to a pixel.
    assert unshifted == 20
    assert half == pytest.approx((unshifted + full) / 2)


@pytest.mark.parametrize("distance", [0.5, 1.0, 2.0])
def test_maps_are_padded_with_their_edge_values(distance):
    label = np.zeros((30, 17), dtype=np.uint8)
    label[12:] = 1
    lost = distance * (1 + math.sqrt(2)) / 8  # mean vertical component over the directions
    found = shift_iou([label], 2, [distance])[0]
    np.testing.assert_allclose(found, [(12 - lost) / (12 + lost), (18 - lost) / (18 + lost)], rtol=1e-9)


def test_a_zero_shift_changes_nothing_and_an_absent_class_is_undefined():
    np.testing.assert_array_equal(shift_iou([square(5)], 3, [0.0]), [[1, 1, np.nan]])


def test_areas_are_pooled_before_they_are_divided():
    small, large = square(3), square(20)
    counts = shift_counts(small, 2, [1.0])[0] + shift_counts(large, 2, [1.0])[0]
    common = counts[1, 1]
    pooled = common / (counts[1].sum() + counts[:, 1].sum() - common)
    assert shift_iou([small, large], 2, [1.0])[0, 1] == pytest.approx(pooled)


def test_all_pixels_are_counted():
    rng = np.random.default_rng(0)
    label = rng.integers(0, 4, (11, 23), dtype=np.uint8)
    counts = shift_counts(label, 4, (0.5, 2.0))
    np.testing.assert_allclose(counts.sum(axis=2), np.bincount(label.ravel(), minlength=4) * np.ones((2, 1)))


def test_agreement_of_annotators_is_pairwise():
    maps = [np.zeros((10, 10), dtype=np.uint8) for _ in range(3)]
    maps[0][:, :4] = 1
    maps[1][:, :4] = 1
    maps[2][:, 2:8] = 1
    found = iou(agreement_counts(maps, 2))
    # One pair agrees in all 40 pixels; two pairs share 20 pixels of 80.
    assert found[1] == pytest.approx((40 + 20 + 20) / (40 + 80 + 80))
    np.testing.assert_array_equal(agreement_counts(maps, 2), agreement_counts(maps[::-1], 2))
    assert agreement_counts(maps[:1], 2).sum() == 0
