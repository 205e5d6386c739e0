"""Grouping of slices into stacks of parallel neighbours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from lss_lightning.data.dicom.geometry import Plane

_SAME_DIRECTION = math.cos(math.radians(2))
# Slices of one stack are evenly spaced; a gap of more than this many times the smallest step separates two stacks.
_GAP = 1.8


def find_stacks(planes: Sequence[Plane]) -> list[list[int]]:
    """Group axial planes into stacks of parallel neighbours.

    Args:
        planes: All planes of one weighting, without repeats.

    Returns:
        Indices of the planes by stack. Stacks, and the slices of each stack, are ordered from head to feet.
    """
    from_head = sorted(range(len(planes)), key=lambda index: -float(planes[index].centre[2]))
    groups: list[list[int]] = []
    for index in from_head:
        parallel_groups = (group for group in groups if _is_parallel(planes[group[0]], planes[index]))
        group = next(parallel_groups, None)
        if group is None:
            groups.append([index])
        else:
            group.append(index)
    stacks = [stack for group in groups for stack in _split_at_gaps(planes, group)]
    return sorted(stacks, key=lambda stack: -sum(float(planes[index].centre[2]) for index in stack) / len(stack))


def _is_parallel(first: Plane, second: Plane) -> bool:
    return bool(abs(first.normal @ second.normal) > _SAME_DIRECTION)


def _split_at_gaps(planes: Sequence[Plane], group: list[int]) -> list[list[int]]:
    """Split parallel slices, ordered from head to feet, at gaps between them."""
    first = planes[group[0]]
    upwards = 1 if first.normal[2] > 0 else -1
    heights = {index: upwards * first.height_of(planes[index]) for index in group}
    ordered = sorted(group, key=lambda index: -heights[index])
    steps = [heights[upper] - heights[lower] for upper, lower in pairwise(ordered)]
    smallest = min((step for step in steps if step > 0), default=0.0)
    stacks = [[ordered[0]]]
    for index, step in zip(ordered[1:], steps, strict=True):
        if step > _GAP * smallest:
            stacks.append([])
        stacks[-1].append(index)
    return stacks
