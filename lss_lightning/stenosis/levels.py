"""Assignment of disc levels to groups of axial slices, from their tilt and position in the study.

Axial slices are usually planned as one group along each disc. The sacrum tilts the lowest disc most. If the lowest
group is clearly more tilted than the one above it, it is assumed to be L5/S1, and the groups above it are counted
upwards as long as their distances match those of neighbouring discs. A transitional vertebra, which 4 to 30 % of
people have (Konin and Walz, AJNR 31:1778, 2010), shifts all levels by one and cannot be detected here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

LUMBAR_DISCS = ("L1/2", "L2/3", "L3/4", "L4/5", "L5/S1")
"""The lumbar discs, from head to feet."""

# Our own choices, which are not published. The slope of the sacrum is 30 to 45°, and L4/5 is mostly within 15° of the
# horizontal. Neighbouring discs are 30 to 42 mm apart. A group through one disc is no longer than a vertebra.
_MIN_TILT = 12.0
_MIN_TILT_DIFFERENCE = 5.0
_DISTANCES = 22.0, 50.0
_MAX_GROUP_LENGTH = 32.0


@dataclass(frozen=True)
class SliceGroup:
    """A group of parallel neighbouring slices.

    Attributes:
        tilt: Angle in degrees by which the posterior edge is raised towards the head.
        height: Position of the middle of the group towards the head, mm.
        length: Distance from the first to the last slice, mm.
    """

    tilt: float
    height: float
    length: float


def assign_levels(groups: Sequence[SliceGroup]) -> tuple[list[str | None], str]:
    """Assign a disc level to each group of slices.

    Args:
        groups: The groups, from head to feet.

    Returns:
        - A level of :data:`LUMBAR_DISCS`, or None, for each group.
        - A sentence that explains how the levels were assigned, or why they are unknown.
    """
    unknown: list[str | None] = [None] * len(groups)
    if any(group.length > _MAX_GROUP_LENGTH for group in groups):
        return unknown, "Levels are unknown: the slices form one block instead of one group per disc."
    if len(groups) < 2:
        return unknown, "Levels are unknown: a single group of slices does not show which disc it follows."
    lowest, above = groups[-1], groups[-2]
    if lowest.tilt < _MIN_TILT or lowest.tilt - above.tilt < _MIN_TILT_DIFFERENCE:
        return unknown, (
            f"Levels are unknown: the lowest group of slices is tilted by {lowest.tilt:.0f}°, the one above it by "
            f"{above.tilt:.0f}°, which does not identify it as L5/S1."
        )
    levels = list(unknown)
    for steps, level in enumerate(reversed(LUMBAR_DISCS)):
        index = len(groups) - 1 - steps
        if index < 0 or (steps and not _are_neighbours(groups[index], groups[index + 1])):
            break
        levels[index] = level
    return levels, (
        f"Levels are assumed: the lowest group of slices, tilted by {lowest.tilt:.0f}°, is taken for L5/S1, and the "
        "groups above it are counted upwards; a transitional vertebra would not be noticed."
    )


def _are_neighbours(upper: SliceGroup, lower: SliceGroup) -> bool:
    return _DISTANCES[0] <= upper.height - lower.height <= _DISTANCES[1]
