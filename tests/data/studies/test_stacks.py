"""Tests of the grouping of slices into stacks."""

from __future__ import annotations

import numpy as np

from lss_lightning.data.dicom.geometry import Plane
from lss_lightning.data.studies.stacks import find_stacks


def make_plane(height: float, tilt: float = 0.0) -> Plane:
    angle = np.radians(tilt)
    down = np.array((0, np.cos(angle), np.sin(angle)))
    return Plane(np.array((0.0, 0.0, height)), np.array((1.0, 0, 0)), down, (1.0, 1.0), (2, 2))


def test_slices_are_stacked_by_direction_and_gaps_from_head_to_feet() -> None:
    planes = [make_plane(height) for height in (0, 4, 8, 40, 44)] + [make_plane(height, 15) for height in (-40, -36)]
    order = [3, 6, 0, 5, 2, 4, 1]
    shuffled = [planes[index] for index in order]
    stacks = [[order[index] for index in stack] for stack in find_stacks(shuffled)]
    assert stacks == [[4, 3], [2, 1, 0], [6, 5]]
    assert find_stacks([make_plane(3)]) == [[0]]
    assert find_stacks([make_plane(height) for height in (0, 4, 9, 13)]) == [[3, 2, 1, 0]]
