"""Tests of the image formation: readout, motion, point spread, noise and slice thickness."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lss_lightning.phantom.encoding import SLICE_THICKNESS, Encoding, average_through_plane, encode

IDEAL = Encoding(readout=1, chemical_shift=0.0, moved_lines=0.0, motion_shift=(0.0, 0.0), blur=0.0, noise=0.0)


def make_square() -> np.ndarray:
    """A bright square of 16 × 16 pixels in the centre of 64 × 64."""
    image = np.zeros((64, 64), dtype=np.float32)
    image[24:40, 24:40] = 1
    return image


def read_out(water: np.ndarray, fat: np.ndarray, spacing: float = 1.0, **changes: Any) -> np.ndarray:
    return encode(water, fat, replace(IDEAL, **changes), spacing, np.random.default_rng(0))


def test_ideal_readout_gives_the_sum_of_water_and_fat() -> None:
    image = read_out(make_square(), 0.5 * make_square())
    assert image.dtype == np.float32
    np.testing.assert_allclose(image, 1.5 * make_square(), atol=1e-6)


@pytest.mark.parametrize("axis", [0, 1])
def test_chemical_shift_moves_only_fat_along_the_readout_axis(axis: int) -> None:
    square = make_square()
    empty = np.zeros_like(square)
    shift = {"readout": axis, "chemical_shift": 3.0, "spacing": 1.5}
    np.testing.assert_allclose(read_out(square, empty, **shift), square, atol=1e-6)
    np.testing.assert_allclose(read_out(empty, square, **shift), np.roll(square, 2, axis), atol=1e-6)


def test_only_lines_acquired_during_motion_show_the_displaced_patient() -> None:
    square = make_square()
    displaced = np.roll(square, (3, -2), (0, 1))
    image = read_out(square, 0 * square, moved_lines=1.0, motion_shift=(3.0, -2.0))
    np.testing.assert_allclose(image, displaced, atol=1e-6)
    image = read_out(square, 0 * square, moved_lines=0.1, motion_shift=(3.0, -2.0))
    difference = np.abs(image - square)
    assert 0.02 < difference.max() < 1
    # The readout axis runs across, so ghosts spread along the columns of the two squares.
    ghosts = difference[:20].max(axis=0)
    assert ghosts[20:40].max() > 0.005


def test_point_spread_widens_by_its_sigma_and_keeps_the_signal() -> None:
    point = np.zeros((64, 64), dtype=np.float32)
    point[32, 32] = 1
    blurred = read_out(point, 0 * point, blur=2.0)
    assert blurred.sum() == pytest.approx(1, abs=1e-3)
    offset = np.arange(64) - 32
    for profile in (blurred.sum(axis=0), blurred.sum(axis=1)):
        assert (profile * offset**2).sum() == pytest.approx(4.0, rel=0.01)


def test_noise_is_rician() -> None:
    empty = np.zeros((256, 256), dtype=np.float32)
    background, bright = read_out(empty, empty, noise=0.04), read_out(empty + 1, empty, noise=0.04)
    # Without signal the noise has a Rayleigh distribution; far above the noise level it is normal.
    assert background.mean() == pytest.approx(0.04 * np.sqrt(np.pi / 2), rel=0.01)
    assert background.std() == pytest.approx(0.04 * np.sqrt(2 - np.pi / 2), rel=0.02)
    assert bright.std() == pytest.approx(0.04, rel=0.02)


def test_oblique_surfaces_are_blurred_by_the_slice_thickness() -> None:
    square = make_square()
    signal = square.astype(np.complex64)
    level, steep = np.zeros_like(square), np.full_like(square, 0.75)
    np.testing.assert_allclose(average_through_plane(signal, (level, level), 1.0), signal, atol=1e-6)
    averaged = average_through_plane(signal, (level, steep), 1.0).real
    assert averaged.sum() == pytest.approx(square.sum())
    # The surface moves 0.75 mm per mm, and sub-slices are at most 8/3 mm apart, so the edge is 2 mm wide.
    assert SLICE_THICKNESS == 4.0
    edge = averaged[32, 20:28]
    assert ((edge > 0.01) & (edge < 0.99)).sum() == 2
    np.testing.assert_allclose(averaged[24], averaged[32], atol=1e-6)
