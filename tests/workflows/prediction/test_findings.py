"""The results of slices with known anatomy: measurements, findings, levels, and reasons for not measuring."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lss_lightning.data.dicom.geometry import Plane
from lss_lightning.data.studies import AxialSlice
from lss_lightning.labels import LUMBAR, LabelSet
from lss_lightning.stenosis import MEASUREMENTS, Finding, Flag, SliceMeasurements, SliceResult
from lss_lightning.stenosis.held_out import HeldOutErrors, MeasurementError
from lss_lightning.workflows.prediction.findings import SegmentedSlice, measure_study
from tests.stenosis.anatomy import SIZE, SPACING, Spine, fractions

NARROW = Spine(sac_a=5.5, sac_b=3.5, apex=13.0)  # a sac of 60 mm² and a canal of less than 12 mm
DISC = LUMBAR.keys.index("intervertebral_disc")


@pytest.fixture(scope="module")
def anatomy():
    """Class probabilities of a narrow canal, (K, H, W)."""
    return fractions(NARROW.shapes, offset=(0, -5))


def make_plane(height, tilt=0.0):
    angle = np.radians(tilt)
    down = np.array((0, np.cos(angle), np.sin(angle)))
    corner = np.array((0.0, 0.0, height)) - SIZE / 2 * SPACING * down
    return Plane(corner, np.array((1.0, 0, 0)), down, (SPACING, SPACING), (SIZE, SIZE))


def make_slice(number, stack, height, tilt, bright):
    """Return a slice in which the disc is dark on T1, or as bright as marrow."""
    inside = fractions(NARROW.shapes, offset=(0, -5))[DISC] > 0.5
    image = np.where(inside, 180 if bright else 90, 60).astype(np.uint8)
    return AxialSlice(
        name=f"slice_{number:02d}",
        images={"T1": image, "T2": image},
        spacing=(SPACING, SPACING),
        image_left="right",
        plane=make_plane(height, tilt),
        thickness=4.0,
        stack=stack,
        sources=(),
    )


@pytest.fixture(scope="module")
def study(anatomy):
    """Three groups of three slices with the disc in the middle slice, spaced and tilted as in a lumbar spine."""
    slices: list[AxialSlice] = []
    for stack, (middle, tilt) in enumerate(((36, -4), (0, 5), (-35, 20))):
        for step in (1, 0, -1):
            number = len(slices) + 1
            slices.append(make_slice(number, stack, middle + 4.4 * step, tilt, bright=step != 0))
    members = np.stack((anatomy, anatomy))
    segmented = [
        SegmentedSlice.from_probabilities(slice_, slice_.images["T1"][None], members, LUMBAR) for slice_ in slices
    ]
    # Images of two grey values are flagged as implausible, which is tested elsewhere.
    return [replace(slice_, flags=()) for slice_ in segmented]


def measured(result: SliceResult) -> SliceMeasurements:
    assert result.measurements is not None
    return result.measurements


def sac_area_findings(result: SliceResult) -> list[Finding]:
    return [finding for finding in result.findings if finding.criterion.measurement == "sac_area_mm2"]


def test_discs_are_measured_and_vertebrae_are_not(study):
    results, _, remarks = measure_study(study, LUMBAR, {})
    assert [result.level for result in results] == [None, "L3/4", None, None, "L4/5", None, None, "L5/S1", None]
    assert [result.level_source for result in results] == ["unknown", "assigned", "unknown"] * 3
    for result in results:
        assert (result.not_measured is None) == (result.measurements is not None) == (result.level is not None)
        predicted = result.probabilities.argmax(axis=0)
        assert (result.classes != DISC)[predicted != DISC].all()
        if result.not_measured:
            assert "passes through a vertebral body" in result.not_measured
            assert (result.findings, result.sites, dict(result.intervals)) == ((), (), {})
    assert remarks[0].startswith("Levels are assumed")


def test_findings_and_sites_depend_on_the_level(study):
    results, _, _ = measure_study(study, LUMBAR, {})
    by_level = {result.level: result for result in results if result.level}
    middle = by_level["L4/5"]
    assert measured(middle).sac_area_mm2 == pytest.approx(np.pi * 5.5 * 3.5, rel=0.02)
    assert {finding.criterion.below for finding in sac_area_findings(middle)} == {
        75,
        100,
        111.09,  # the threshold of L4/5
    }
    assert "central" in middle.sites
    interval = middle.intervals["sac_area_mm2"]
    sac_area = measured(middle).sac_area_mm2
    assert sac_area is not None
    assert interval.low < sac_area < interval.high
    lowest = by_level["L5/S1"]
    assert {finding.reliable for finding in sac_area_findings(lowest)} == {False}
    assert "unreliable_here" in [flag.key for flag in lowest.flags]


def test_levels_given_by_the_user_take_precedence(study):
    results, _, remarks = measure_study(study, LUMBAR, {"slice_01": "L2/3"})
    assert [(result.level, result.level_source) for result in results[:3]] == [
        ("L2/3", "given"),
        ("L2/3", "given"),  # the disc of the same group
        (None, "unknown"),
    ]
    assert results[0].measurements is not None
    assert {result.level for result in results[3:]} == {None}
    assert remarks == ("Levels are given, but 6 of 9 slices have none, so their level is unknown.",)
    all_groups = {"slice_01": "L2/3", "slice_05": "L3/4", "slice_07": "L4/5"}
    assert measure_study(study, LUMBAR, all_groups)[2] == ()


def test_a_disc_is_coded_only_on_slices_through_a_disc(study):
    results, labels, _ = measure_study(study, LUMBAR, {})
    assert [label.key for label in labels] == [*LUMBAR.keys, "vertebral_body"]
    assert labels[-1].code == 25
    for result, content in zip(results, ["vertebra", "disc", "vertebra"] * 3, strict=True):
        inside = result.probabilities.argmax(axis=0) == DISC
        assert result.content == content
        assert {labels.keys[index] for index in np.unique(result.classes[inside])} == {
            "intervertebral_disc" if content == "disc" else "vertebral_body"
        }
        if result.measurements:
            assert "intervertebral_disc" in result.measurements.outlines
    without_t1 = [
        replace(segmented, slice=replace(segmented.slice, images={"T2": segmented.slice.images["T2"]}))
        for segmented in study
    ]
    results, labels, _ = measure_study(without_t1, LUMBAR, {"slice_02": "L3/4"})
    assert [label.code for label in labels[len(LUMBAR) :]] == [75]
    keys = [labels.keys[result.classes[result.probabilities.argmax(axis=0) == DISC][0]] for result in results]
    assert keys == ["disc_or_vertebral_body", "intervertebral_disc", *["disc_or_vertebral_body"] * 7]
    assert "intervertebral_disc" not in measured(results[0]).outlines
    assert "disc_or_vertebral_body" in measured(results[0]).outlines


def test_codes_that_a_label_set_uses_are_not_given_to_the_vertebral_body(study):
    custom = LabelSet(
        tuple(replace(label, code=code) for label, code in zip(LUMBAR, (0, 25, 75, 3, 4, 5), strict=True))
    )
    _, labels, _ = measure_study(study, custom, {})
    assert labels.codes[:6] == custom.codes
    assert labels[-1].key == "vertebral_body"
    assert labels[-1].code not in custom.codes


def test_slices_that_may_not_show_a_disc_are_measured_but_not_compared_with_thresholds(study):
    cases = {
        "no T1 image": lambda slice_: replace(slice_, images={"T2": slice_.images["T2"]}),
        "equally bright": lambda slice_: replace(
            slice_, images={kind: slice_.images[kind] * 0 + 90 for kind in ("T1", "T2")}
        ),
        "not part of a group": lambda slice_: replace(slice_, stack=None),
    }
    for reason, change in cases.items():
        changed = [replace(segmented, slice=change(segmented.slice)) for segmented in study]
        results, _, _ = measure_study(changed, LUMBAR, {})
        for result in results:
            assert result.measurements is not None
            (flag,) = [flag for flag in result.flags if flag.key == "disc_unclear"]
            assert reason in flag.message
            assert f"levels={{{result.name}: …}}" in flag.message
            assert result.content == "unknown"
            assert (result.findings, result.sites, result.criteria) == ((), (), ())
        # The user knows that the slice passes through a disc.
        given = measure_study(changed, LUMBAR, {"slice_05": "L4/5"})[0][4]
        assert given.content == "disc"
        assert given.findings
    ungrouped = [replace(segmented, slice=replace(segmented.slice, stack=None)) for segmented in study]
    results, _, remarks = measure_study(ungrouped, LUMBAR, {})
    assert {result.level for result in results} == {None}
    assert remarks == ("Levels are unknown: the files do not contain the positions of the slices.",)


def test_doubts_about_the_images_withhold_the_affected_measurements(study):
    doubt = Flag("shift_large", "T2 lay far off T1", ("sac_area_mm2",))
    changed = [replace(segmented, slice=replace(segmented.slice, flags=(doubt,))) for segmented in study]
    results, _, _ = measure_study(changed, LUMBAR, {})
    result = results[1]
    assert measured(result).sac_area_mm2 is None
    assert measured(result).withheld["sac_area_mm2"] == "T2 lay far off T1"
    assert "sac_area_mm2" not in result.intervals
    assert not sac_area_findings(result)
    assert all(doubt in result.flags for result in results)


def test_noise_is_not_a_plausible_slice(anatomy):
    slice_ = make_slice(1, None, 0, 0, bright=False)
    noise = np.random.default_rng(0).integers(0, 256, (2, SIZE, SIZE), dtype=np.uint8)
    segmented = SegmentedSlice.from_probabilities(slice_, noise, anatomy[None], LUMBAR)
    (result,), _, _ = measure_study([segmented], LUMBAR, {})
    assert "implausible" in [flag.key for flag in result.flags]
    assert (result.is_plausible, result.content, result.measurements) == (False, "unknown", None)
    assert result.not_measured is not None
    assert result.not_measured.startswith("every measurement is withheld: this may not be an axial lumbar slice")


def test_a_slice_of_which_every_measurement_is_withheld_is_not_measured(study):
    doubt = Flag("turn_large", "T2 was rotated by 9°", tuple(MEASUREMENTS))
    changed = [replace(segmented, slice=replace(segmented.slice, flags=(doubt,))) for segmented in study]
    results, _, _ = measure_study(changed, LUMBAR, {})
    assert {result.measurements for result in results} == {None}
    assert results[1].not_measured == "every measurement is withheld: T2 was rotated by 9°"
    assert (results[1].content, results[1].level, dict(results[1].intervals)) == ("disc", "L3/4", {})


def test_findings_within_the_error_are_borderline(study):
    area = measured(measure_study(study, LUMBAR, {})[0][4]).sac_area_mm2
    assert area is not None
    wide, narrow = (HeldOutErrors({"sac_area_mm2": MeasurementError(0.0, sd, 60, 20)}) for sd in (15.0, 1.0))
    for errors, borderline in ((wide, [True, False, False]), (narrow, [False, False, False])):
        intervals = errors.compute_intervals({"sac_area_mm2": area})
        changed = [replace(segmented, intervals=intervals) for segmented in study]
        result = measure_study(changed, LUMBAR, {})[0][4]
        assert [finding.is_borderline for finding in sac_area_findings(result)] == borderline


def test_geometry_is_that_of_the_plane(study):
    results, _, _ = measure_study(study, LUMBAR, {})
    for result, segmented in zip(results, study, strict=True):
        assert result.geometry is not None
        assert segmented.slice.plane is not None
        assert np.allclose(result.geometry.origin, segmented.slice.plane.corner)
        assert np.allclose(result.geometry.column, segmented.slice.plane.down)
        assert result.geometry.thickness == 4.0
