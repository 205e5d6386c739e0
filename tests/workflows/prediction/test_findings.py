"""What is reported of slices whose anatomy is known: measures, findings, levels, and what is not measured."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lss_lightning.data.dicom.geometry import Plane
from lss_lightning.data.studies import AxialSlice
from lss_lightning.labels import LUMBAR
from lss_lightning.stenosis import Flag
from lss_lightning.workflows.prediction.findings import judge, measured
from tests.stenosis.anatomy import SIZE, SPACING, Spine, fractions

NARROW = Spine(sac_a=5.5, sac_b=3.5, apex=13.0)  # of 60 mm² and a canal of less than 12 mm
DISC = LUMBAR.keys.index("intervertebral_disc")


@pytest.fixture(scope="module")
def anatomy():
    """Class probabilities of a narrow canal, (K, H, W)."""
    return fractions(NARROW.shapes, offset=(0, -5))


def plane(height, tilt=0.0):
    angle = np.radians(tilt)
    down = np.array((0, np.cos(angle), np.sin(angle)))
    corner = np.array((0.0, 0.0, height)) - SIZE / 2 * SPACING * down
    return Plane(corner, np.array((1.0, 0, 0)), down, (SPACING, SPACING), (SIZE, SIZE))


def slice_of(number, stack, height, tilt, bright):
    """A slice in which the disc is dark on T1, or bright as marrow is."""
    inside = fractions(NARROW.shapes, offset=(0, -5))[DISC] > 0.5
    image = np.where(inside, 180 if bright else 90, 60).astype(np.uint8)
    return AxialSlice(
        name=f"slice_{number:02d}",
        images={"T1": image, "T2": image},
        spacing=(SPACING, SPACING),
        image_left="right",
        plane=plane(height, tilt),
        thickness=4.0,
        stack=stack,
        sources=(),
    )


@pytest.fixture(scope="module")
def segmented(anatomy):
    """Three groups of three, the disc in the middle of each, at the distances and tilts of a lumbar spine."""
    pieces = []
    for stack, (middle, tilt) in enumerate(((36, -4), (0, 5), (-35, 20))):
        for step in (1, 0, -1):
            number = len(pieces) + 1
            pieces.append(slice_of(number, stack, middle + 4.4 * step, tilt, bright=step != 0))
    members = np.stack((anatomy, anatomy))
    made = [measured(piece, piece.images["T1"][None], members, LUMBAR) for piece in pieces]
    # Flat pictures are no plausible images, which is tried elsewhere.
    return [replace(one, flags=()) for one in made]


def test_discs_are_measured_and_named_and_vertebrae_are_not(segmented):
    results, remarks = judge(segmented, LUMBAR, {})
    assert [piece.level for piece in results] == [None, "L3/4", None, None, "L4/5", None, None, "L5/S1", None]
    assert [piece.level_source for piece in results] == ["unknown", "assigned", "unknown"] * 3
    for piece in results:
        assert (piece.not_measured is None) == (piece.measurements is not None) == (piece.level is not None)
        assert (piece.classes == piece.probabilities.argmax(axis=0)).all()
        if piece.not_measured:
            assert "passes through a vertebral body" in piece.not_measured
            assert (piece.findings, piece.sites, dict(piece.intervals)) == ((), (), {})
    assert remarks[0].startswith("Levels are assumed")


def test_findings_and_sites_follow_the_level(segmented):
    results, _ = judge(segmented, LUMBAR, {})
    by_level = {piece.level: piece for piece in results if piece.level}
    middle = by_level["L4/5"]
    assert middle.measurements.sac_area_mm2 == pytest.approx(np.pi * 5.5 * 3.5, rel=0.02)
    assert {finding.criterion.below for finding in middle.findings if finding.criterion.measure == "sac_area_mm2"} == {
        75,
        100,
        111.09,  # which is L4/5's own
    }
    assert "central" in middle.sites
    interval = middle.intervals["sac_area_mm2"]
    assert interval.low < middle.measurements.sac_area_mm2 < interval.high
    lowest = by_level["L5/S1"]
    assert {finding.reliable for finding in lowest.findings if finding.criterion.measure == "sac_area_mm2"} == {False}
    assert "unreliable_here" in [flag.key for flag in lowest.flags]


def test_a_level_given_by_the_user_beats_all_signs(segmented):
    results, remarks = judge(segmented, LUMBAR, {"slice_01": "L2/3"})
    assert [(piece.level, piece.level_source) for piece in results[:3]] == [
        ("L2/3", "given"),
        ("L2/3", "given"),  # the disc of the same group
        (None, "unknown"),
    ]
    assert results[0].measurements is not None
    assert {piece.level for piece in results[3:]} == {None}
    assert remarks == ("Levels are given; of 6 of 9 slices none is, and it is unknown.",)
    all_named = {"slice_01": "L2/3", "slice_05": "L3/4", "slice_07": "L4/5"}
    assert judge(segmented, LUMBAR, all_named)[1] == ()


def test_what_cannot_be_told_is_measured_and_flagged(segmented):
    cases = {
        "no T1 image": lambda piece: replace(piece, images={"T2": piece.images["T2"]}),
        "equally bright": lambda piece: replace(
            piece, images={kind: piece.images[kind] * 0 + 90 for kind in ("T1", "T2")}
        ),
        "stands alone": lambda piece: replace(piece, stack=None),
    }
    for reason, change in cases.items():
        changed = [replace(one, slice=change(one.slice)) for one in segmented]
        results, _ = judge(changed, LUMBAR, {})
        for piece in results:
            assert piece.measurements is not None
            (flag,) = [flag for flag in piece.flags if flag.key == "disc_unclear"]
            assert reason in flag.message
    results, remarks = judge([replace(one, slice=replace(one.slice, stack=None)) for one in segmented], LUMBAR, {})
    assert {piece.level for piece in results} == {None}
    assert remarks == ("Levels are unknown: the files do not say where the slices lie.",)


def test_doubts_about_the_images_withhold_what_they_undermine(segmented):
    doubt = Flag("shift_large", "T2 lay far off T1", ("sac_area_mm2",))
    changed = [replace(one, slice=replace(one.slice, flags=(doubt,))) for one in segmented]
    results, _ = judge(changed, LUMBAR, {})
    piece = results[1]
    assert piece.measurements.sac_area_mm2 is None
    assert piece.measurements.withheld["sac_area_mm2"] == "T2 lay far off T1"
    assert "sac_area_mm2" not in piece.intervals
    assert not [finding for finding in piece.findings if finding.criterion.measure == "sac_area_mm2"]
    assert all(doubt in piece.flags for piece in results)


def test_flat_pictures_are_no_plausible_slices(anatomy):
    piece = slice_of(1, None, 0, 0, bright=False)
    shown = np.random.default_rng(0).integers(0, 256, (2, SIZE, SIZE), dtype=np.uint8)
    (result,), _ = judge([measured(piece, shown, anatomy[None], LUMBAR)], LUMBAR, {})
    assert "implausible" in [flag.key for flag in result.flags]
    assert set(result.measurements.values().values()) == {None}


def test_geometry_is_the_plane_s(segmented):
    results, _ = judge(segmented, LUMBAR, {})
    for piece, one in zip(results, segmented, strict=True):
        assert np.allclose(piece.geometry.origin, one.slice.plane.corner)
        assert np.allclose(piece.geometry.column, one.slice.plane.down)
        assert piece.geometry.thickness == 4.0
