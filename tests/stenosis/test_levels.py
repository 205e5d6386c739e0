"""Assignment of levels from the tilt and distance of slice groups."""

from __future__ import annotations

import pytest

from lss_lightning.stenosis.levels import SliceGroup, assign_levels


def make_groups(tilts, heights, length=17.6):
    return [SliceGroup(tilt, height, length) for tilt, height in zip(tilts, heights, strict=True)]


def test_groups_are_counted_upwards_from_the_most_tilted_one():
    levels, remark = assign_levels(make_groups((-4, 5, 20), (36, 0, -35)))
    assert levels == ["L3/4", "L4/5", "L5/S1"]
    assert "tilted by 20°" in remark
    assert "transitional vertebra" in remark
    five = assign_levels(make_groups((-8, -6, -4, 5, 25), (108, 72, 36, 0, -35)))[0]
    assert five == ["L1/2", "L2/3", "L3/4", "L4/5", "L5/S1"]
    six = assign_levels(make_groups((-9, -8, -6, -4, 5, 25), (144, 108, 72, 36, 0, -35)))[0]
    assert six == [None, *five]


def test_counting_stops_at_an_implausible_distance():
    assert assign_levels(make_groups((-4, 5, 20), (80, 0, -35)))[0] == [None, "L4/5", "L5/S1"]
    assert assign_levels(make_groups((-4, 5, 20), (10, 0, -35)))[0] == [None, "L4/5", "L5/S1"]


@pytest.mark.parametrize(
    ("groups", "reason"),
    [
        (make_groups((20,), (0,)), "a single group"),
        (make_groups((-4, 0, 10), (36, 0, -35)), "tilted by 10°, the one above it by 0°"),
        (make_groups((-4, 17, 20), (36, 0, -35)), "does not identify it as L5/S1"),
        (make_groups((0, 20), (60, -35), length=60), "form one block"),
    ],
)
def test_levels_are_unknown_unless_the_lowest_group_is_clearly_tilted(groups, reason):
    levels, remark = assign_levels(groups)
    assert levels == [None] * len(groups)
    assert remark.startswith("Levels are unknown: ")
    assert reason in remark
