"""Which slices lie side by side, and in which order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from lss_lightning.data.dicom.geometry import Plane

_SAME_DIRECTION = math.cos(math.radians(2))
# Steps between neighbours of one stack are alike; a gap of this many of the least of them parts two stacks.
_GAP = 1.8


def find_stacks(planes: Sequence[Plane]) -> list[list[int]]:
    """Group axial planes into stacks of parallel neighbours.

    Args:
        planes: All that one weighting has, none twice.

    Returns:
        Indices by stack; stacks, and slices in each, from head to feet.
    """
    from_head = sorted(range(len(planes)), key=lambda index: -float(planes[index].centre[2]))
    directions: list[list[int]] = []
    for index in from_head:
        alike = (group for group in directions if _parallel(planes[group[0]], planes[index]))
        group = next(alike, None)
        if group is None:
            directions.append([index])
        else:
            group.append(index)
    stacks = [stack for group in directions for stack in _parted(planes, group)]
    return sorted(stacks, key=lambda stack: -sum(float(planes[index].centre[2]) for index in stack) / len(stack))


def _parallel(one: Plane, other: Plane) -> bool:
    return bool(abs(one.normal @ other.normal) > _SAME_DIRECTION)


def _parted(planes: Sequence[Plane], group: list[int]) -> list[list[int]]:
    """Part parallel slices, from head to feet, where a gap is."""
    first = planes[group[0]]
    upwards = 1 if first.normal[2] > 0 else -1
    heights = {index: upwards * first.height_of(planes[index]) for index in group}
    ordered = sorted(group, key=lambda index: -heights[index])
    steps = [heights[one] - heights[other] for one, other in pairwise(ordered)]
    least = min((step for step in steps if step > 0), default=0.0)
    stacks = [[ordered[0]]]
    for index, step in zip(ordered[1:], steps, strict=True):
        if step > _GAP * least:
            stacks.append([])
        stacks[-1].append(index)
    return stacks
