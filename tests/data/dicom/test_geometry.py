"""Tests of image planes in patient coordinates."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lss_lightning.data.dicom.geometry import Plane, find_facing_plane
from lss_lightning.data.orientation import Turn
from tests.data.dicom.planes import ACROSS, DOWN, make_plane

SHAPE = (8, 6)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["", "transposed"])
@pytest.mark.parametrize("flips", [(), (0,), (1,), (0, 1)], ids=str)
def test_images_are_turned_upright_at_their_position(flips: tuple[int, ...], order: tuple[int, int]) -> None:
    """The image is rotated in its plane, and tilted like a disc."""
    angle, tilt = np.radians(12), np.radians(30)
    tilted = np.array(((1, 0, 0), (0, np.cos(tilt), -np.sin(tilt)), (0, np.sin(tilt), np.cos(tilt))))
    across, down = tilted[:, :2] @ (np.cos(angle), np.sin(angle)), tilted[:, :2] @ (-np.sin(angle), np.cos(angle))
    upright = Plane(np.array((-3.0, 5.0, 7.0)), across, down, (0.5, 0.7), SHAPE)
    corner, directions = upright.corner, [down, across]
    for axis in flips:
        corner = corner + (SHAPE[axis] - 1) * upright.spacing[axis] * directions[axis]
        directions[axis] = -directions[axis]
    first, second = order
    spacing, shape = (upright.spacing[first], upright.spacing[second]), (SHAPE[first], SHAPE[second])
    result, turn = Plane(corner, directions[1 - first], directions[1 - second], spacing, shape).upright()
    assert turn == Turn(order, flips)
    for name in ("corner", "across", "down", "spacing"):
        assert getattr(result, name) == pytest.approx(getattr(upright, name))
    assert result.shape == SHAPE


def test_facing_plane_is_parallel_and_within_the_distance() -> None:
    stack = [make_plane(10, 10, centre=(3, 3, height)) for height in (0.0, -4.4, -8.8)]
    assert find_facing_plane(make_plane(10, 10, centre=(0, 0, -3.0)), stack, 2.2) == 1
    assert find_facing_plane(make_plane(10, 10, centre=(0, 0, -2.1)), stack, 2.2) == 0
    assert find_facing_plane(make_plane(10, 10, centre=(0, 0, 2.1)), stack, 2.2) == 0
    assert find_facing_plane(make_plane(10, 10, centre=(0, 0, 2.3)), stack, 2.2) is None
    assert find_facing_plane(make_plane(10, 10, centre=(0, 0, -5.0)), stack, 6.0) == 1
    tilted = Plane(stack[1].corner, ACROSS, np.array((0, math.cos(0.3), math.sin(0.3))), (1, 1), (10, 10))
    assert find_facing_plane(make_plane(10, 10, centre=(0, 0, -4.4)), [tilted], 2.2) is None
    assert find_facing_plane(make_plane(10, 10), [], 2.2) is None


def test_points_are_projected_perpendicularly_onto_another_plane() -> None:
    cos, sin = math.cos(0.1), math.sin(0.1)
    rotated = Plane(np.array((5.0, 0.0, 1.0)), np.array((cos, sin, 0)), np.array((-sin, cos, 0)), (2.0, 2.0), (11, 11))
    plane = make_plane(20, 20, centre=(1, 2, 0))
    matrix, shift = plane.map_to(rotated)
    point = np.array((3.0, -4.0))
    world = plane.centre + 3.0 * ACROSS - 4.0 * DOWN
    mapped = matrix @ point + shift
    projected = rotated.centre + mapped[0] * rotated.across + mapped[1] * rotated.down
    assert projected == pytest.approx(world + (rotated.centre - world) @ rotated.normal * rotated.normal)
    assert plane.height_of(rotated) == pytest.approx(1.0)
    assert plane.is_axial
    assert not Plane(rotated.corner, np.array((0.0, 1, 0)), np.array((0.0, 0, -1)), (1, 1), (4, 4)).is_axial
