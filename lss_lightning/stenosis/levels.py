"""Which disc a group of slices shows, as far as its place in the study tells.

Axial slices are mostly planned as a group along each disc. The sacrum tilts the lowest disc most, so where the lowest
group is tilted clearly more than the one above it, it is taken for L5/S1, and the groups above are counted upwards as
long as they follow at the distance of neighbouring discs. A transitional vertebra, which 4 to 30 % of people have
(Konin and Walz, AJNR 31:1778, 2010), makes every such count wrong by one, and goes unnoticed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

DISCS = ("L1/2", "L2/3", "L3/4", "L4/5", "L5/S1")
"""The lumbar discs, from head to feet."""

# Our choices, not published: the sacrum's slope lies at 30 to 45° and L4/5 mostly within 15° of the horizontal; discs
# follow each other at 30 to 42 mm; and a group through one disc is no longer than a vertebra.
_LEAST_TILT = 12.0
_MORE_TILTED = 5.0
_DISTANCES = 22.0, 50.0
_LONGEST_GROUP = 32.0


@dataclass(frozen=True)
class SliceGroup:
    """Parallel neighbours.

    Attributes:
        tilt: Degrees by which the rear edge lies nearer to the head than the front edge.
        height: Of its middle, towards the head, mm.
        length: From its first slice to its last, mm.
    """

    tilt: float
    height: float
    length: float


def assign_levels(groups: Sequence[SliceGroup]) -> tuple[list[str | None], str]:
    """Name the disc that each group is planned along.

    Args:
        groups: From head to feet.

    Returns:
        A level of :data:`DISCS` or None for each, and a sentence on how they were assigned, or why not.
    """
    unknown: list[str | None] = [None] * len(groups)
    if any(group.length > _LONGEST_GROUP for group in groups):
        return unknown, "Levels are unknown: the slices lie in one block and not in a group for each disc."
    if len(groups) < 2:
        return unknown, "Levels are unknown: a single group of slices does not tell which disc it follows."
    lowest, above = groups[-1], groups[-2]
    if lowest.tilt < _LEAST_TILT or lowest.tilt - above.tilt < _MORE_TILTED:
        return unknown, (
            f"Levels are unknown: the lowest group of slices is tilted by {lowest.tilt:.0f}°, the one above it by "
            f"{above.tilt:.0f}°, which does not mark it as L5/S1."
        )
    levels = list(unknown)
    for steps, level in enumerate(reversed(DISCS)):
        place = len(groups) - 1 - steps
        if place < 0 or (steps and not _neighbours(groups[place], groups[place + 1])):
            break
        levels[place] = level
    return levels, (
        f"Levels are assumed: the lowest group of slices, tilted by {lowest.tilt:.0f}°, is taken for L5/S1, and the "
        "groups above it are counted upwards; a transitional vertebra would go unnoticed."
    )


def _neighbours(upper: SliceGroup, lower: SliceGroup) -> bool:
    return _DISTANCES[0] <= upper.height - lower.height <= _DISTANCES[1]
