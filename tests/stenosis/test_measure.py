"""Measurements of label maps and probabilities of a synthetic spine."""

import numpy as np
import pytest
import shapely

from lss_lightning.errors import UserError
from lss_lightning.labels import IGNORE_INDEX, LUMBAR, LabelSet
from lss_lightning.stenosis import MEASUREMENTS, SliceMeasurements, measure_slice
from lss_lightning.stenosis.measurements import AAP, DISC, POSTERIOR, RATIOS, SAC
from tests.stenosis.anatomy import OTHER, SIZE, SPACING, Spine, fractions, label_map, sample_spines

PIXEL = (SPACING, SPACING)
TURNED = {"offset": (1.3, -5.2), "turn": 4.0}
DISC_INDEX, ARCH_INDEX, SAC_INDEX, AAP_INDEX = map(LUMBAR.keys.index, (DISC, POSTERIOR, SAC, AAP))
IN_MM = [name for name in MEASUREMENTS if name not in RATIOS]
AXIAL = [
    "canal_ap_mm",
    "canal_ap_min_mm",
    "canal_area_mm2",
    "sac_canal_area_ratio",
    "foramen_left_mm",
    "foramen_right_mm",
]


def measure(classes, spacing=PIXEL, image_left="right") -> SliceMeasurements:
    return measure_slice(classes, LUMBAR, spacing, image_left=image_left)


def flag_keys(result):
    return [flag.key for flag in result.flags]


@pytest.fixture(scope="module")
def label():
    return label_map(Spine(left=1.0, right=3.0).shapes, **TURNED)


@pytest.mark.parametrize("soft", [False, True], ids=["label map", "probabilities"])
def test_errors_over_random_placements(soft):
    errors: dict[str, list[float]] = {}
    for spine, placement in sample_spines(24):
        shares = fractions(spine.shapes, **placement)
        result = measure(shares if soft else shares.argmax(axis=0).astype(np.uint8))
        assert not result.flags
        for name, true in spine.truth().items():
            error = result.values()[name] - true
            errors.setdefault(name, []).append(error / true if name in RATIOS or name.endswith("mm2") else error)
    mae = {name: np.abs(values).mean() for name, values in errors.items()}
    for name in ("canal_ap_mm", "sac_ap_mm", "sac_transverse_mm", "disc_ap_mm", "foramen_left_mm", "foramen_right_mm"):
        assert mae[name] < (0.1 if soft else 0.3), name
    assert mae["sac_area_mm2"] < (0.01 if soft else 0.02)
    assert mae["disc_area_mm2"] < 0.005
    assert mae["sac_disc_area_ratio"] < (0.01 if soft else 0.02)
    assert mae["bulge_mm"] < (0.1 if soft else 0.3)
    # There is no systematic bias.
    assert abs(np.mean(errors["sac_area_mm2"])) < 0.01
    for name in ("canal_ap_mm", "sac_ap_mm", "sac_transverse_mm", "disc_ap_mm", "foramen_left_mm", "foramen_right_mm"):
        assert abs(np.mean(errors[name])) < 0.15, name


def test_narrow_foraminal_gaps():
    spine = Spine(left=-3.2, right=-1.5)
    result = measure(label_map(spine.shapes, **TURNED))
    assert 0.5 < spine.truth()["foramen_right_mm"] < 2
    assert result.foramen_right_mm == pytest.approx(spine.truth()["foramen_right_mm"], abs=0.4)
    assert result.foramen_left_mm == pytest.approx(spine.truth()["foramen_left_mm"], abs=0.4)


@pytest.mark.parametrize("turn", [-14, -5, 9])
def test_rotation_does_not_change_measurements(label, turn):
    straight = measure(label)
    turned = measure(label_map(Spine(left=1.0, right=3.0).shapes, offset=TURNED["offset"], turn=turn))
    assert turned.rotation_deg == pytest.approx(turn, abs=0.5)
    for name, value in straight.values().items():
        expected = pytest.approx(value, rel=0.03, abs=SPACING if name.endswith("_mm") else 0)
        assert turned.values()[name] == expected, name


def test_mirroring_swaps_left_and_right(label):
    plain, mirrored = measure(label), measure(label[:, ::-1])
    swap = {"foramen_left_mm": "foramen_right_mm", "foramen_right_mm": "foramen_left_mm"}
    assert plain.foramen_left_mm is not None
    assert plain.foramen_right_mm is not None
    assert abs(plain.foramen_left_mm - plain.foramen_right_mm) > 1
    for name, value in plain.values().items():
        assert mirrored.values()[swap.get(name, name)] == pytest.approx(value, abs=0.05), name


def test_image_left_may_be_the_patients_left(label):
    usual, flipped = measure(label), measure(label, image_left="left")
    assert (flipped.foramen_left_mm, flipped.foramen_right_mm) == (usual.foramen_right_mm, usual.foramen_left_mm)
    assert usual.calipers["foramen_right_mm"].start[0] < SIZE / 2 < usual.calipers["foramen_left_mm"].start[0]


@pytest.mark.parametrize("scale", [0.9, 1.2])
def test_lengths_scale_with_the_spacing_and_ratios_do_not(label, scale):
    original, scaled = measure(label), measure(label, (SPACING * scale, SPACING * scale))
    # The minimum canal depth is searched within 3 mm, regardless of the spacing.
    for name in MEASUREMENTS.keys() - {"canal_ap_min_mm"}:
        power = 0 if name in RATIOS else 2 if name.endswith("mm2") else 1
        assert scaled.values()[name] == pytest.approx(original.values()[name] * scale**power), name


@pytest.mark.parametrize("spacing", [(0.5, 0.8), (0.9, 0.55)])
def test_pixels_need_not_be_square(spacing):
    spine = Spine(left=1.0, right=3.0)
    result = measure(label_map(spine.shapes, spacing=spacing, shape=(200, 200), **TURNED), spacing)
    for name, true in spine.truth().items():
        expected = pytest.approx(true, abs=0.02 * true if name in RATIOS or name.endswith("mm2") else 0.7)
        assert result.values()[name] == expected, name


def test_calipers_have_the_measured_length_and_position(label):
    spacing = (0.5, 0.8)
    result = measure(label_map(Spine().shapes, spacing=spacing, shape=(200, 150), **TURNED), spacing)
    assert set(result.calipers) == {name for name in MEASUREMENTS if name.endswith("_mm")}
    for name, caliper in result.calipers.items():
        across, down = np.subtract(caliper.end, caliper.start) * spacing[::-1]
        assert np.hypot(across, down) == pytest.approx(result.values()[name]), name
    canal = result.calipers["canal_ap_mm"]
    middle = np.array((150, 200)) / 2 - 0.5 + np.array(TURNED["offset"]) / spacing[::-1]
    np.testing.assert_allclose(canal.start, middle, atol=1)


def test_outlines_follow_the_structures(label):
    result = measure(label)
    assert set(result.outlines) == {DISC, POSTERIOR, SAC, "canal_area_mm2", "bulge_mm"}
    for key in (DISC, POSTERIOR, SAC):
        (outline,) = result.outlines[key]
        overlap = shapely.contains_xy(shapely.Polygon(outline), *np.mgrid[:SIZE, :SIZE][::-1])
        assert (overlap != (label == LUMBAR.keys.index(key))).mean() < 0.002
    (canal,) = result.outlines["canal_area_mm2"]
    assert shapely.Polygon(canal).area * SPACING**2 == pytest.approx(result.canal_area_mm2)


def test_counted_area_is_that_of_the_pixels(label):
    assert measure(label).sac_area_counted_mm2 == pytest.approx((label == SAC_INDEX).sum() * SPACING**2)


def test_small_components_are_ignored(label):
    littered = label.copy()
    littered[5:9, 5:9] = SAC_INDEX  # 7.6 mm²
    littered[5:12, 20:27] = ARCH_INDEX  # 23 mm²
    littered[3:6, 40:60] = DISC_INDEX
    littered[128:131, 10:13] = IGNORE_INDEX
    assert measure(littered).values() == pytest.approx(measure(label).values())
    littered[5:13, 20:30] = ARCH_INDEX  # 38 mm², as large as a facet
    assert len(measure(littered).outlines[POSTERIOR]) == 2


@pytest.mark.parametrize(
    ("index", "kept"),
    [
        (DISC_INDEX, {"sac_area_mm2"}),
        (SAC_INDEX, {"disc_area_mm2", "disc_ap_mm", "bulge_mm"}),
        (ARCH_INDEX, set(MEASUREMENTS) - set(AXIAL) - {"bulge_mm"}),
        (AAP_INDEX, {"canal_ap_mm", "canal_ap_min_mm"} | (set(MEASUREMENTS) - set(AXIAL))),
    ],
)
def test_measurements_of_a_missing_class_are_withheld(label, index, kept):
    result = measure(np.where(label == index, OTHER, label))
    assert {name for name, value in result.values().items() if value is not None} == kept
    assert set(result.withheld) == set(MEASUREMENTS) - kept
    assert all(reason.startswith("no ") and reason.endswith(" found") for reason in result.withheld.values())
    assert set(result.calipers) <= kept
    assert flag_keys(result) == ["class_missing"]


def test_empty_slice_has_no_measurements():
    result = measure(np.full((40, 40), OTHER))
    assert set(result.values().values()) == {None}
    assert set(result.withheld) == set(MEASUREMENTS)
    assert (result.rotation_deg, result.calipers, result.outlines) == (None, {}, {})
    assert flag_keys(result) == ["class_missing"] * 4


def test_without_a_spacing_only_ratios_are_measured(label):
    known, unknown = measure(label), measure(label, None)
    assert flag_keys(unknown) == ["spacing_unknown"]
    assert set(unknown.withheld) == set(IN_MM)
    for name in RATIOS:
        assert unknown.values()[name] == pytest.approx(known.values()[name])


def test_an_assumed_orientation_is_flagged(label):
    result = measure_slice(label, LUMBAR, PIXEL)
    assert flag_keys(result) == ["sides_assumed"]
    assert result.values() == measure(label).values()


def test_a_large_rotation_is_flagged():
    result = measure(label_map(Spine().shapes, offset=(0, -5), turn=20))
    assert flag_keys(result) == ["rotated"]
    assert result.foramen_left_mm is not None


def test_sides_of_an_upside_down_slice_are_withheld(label):
    result = measure_slice(label[::-1], LUMBAR, PIXEL)
    assert flag_keys(result) == ["sides_assumed", "rotated"]
    assert set(result.withheld) == {"foramen_left_mm", "foramen_right_mm"}
    known = measure(label[::-1])
    assert known.foramen_left_mm == pytest.approx(measure(label).foramen_left_mm, abs=0.05)


def test_a_misplaced_sac_is_flagged(label):
    moved = np.where(label == SAC_INDEX, AAP_INDEX, label)
    moved[10:20, 100:115] = SAC_INDEX
    result = measure(moved)
    assert "sac_misplaced" in flag_keys(result)
    assert set(result.withheld) == set(AXIAL)
    assert result.sac_area_mm2 == pytest.approx(150 * SPACING**2, rel=0.05)


def test_a_second_sac_is_flagged(label):
    count = int((label == SAC_INDEX).sum())
    small, large = label.copy(), label.copy()
    small[2:7, 2 : 2 + count // 25] = SAC_INDEX
    large[2:12, 2 : 2 + count // 15] = SAC_INDEX
    assert flag_keys(measure(small)) == flag_keys(measure(large)) == ["several_sacs"]
    assert not measure(small).withheld
    assert set(measure(large).withheld) == {name for name in MEASUREMENTS if SAC in MEASUREMENTS[name].needs}


@pytest.mark.parametrize(
    ("cut", "withheld"),
    [
        (
            lambda label: label[slice(np.nonzero(label == DISC_INDEX)[0].min() + 1, None)],
            set(MEASUREMENTS) - {"sac_area_mm2"},
        ),
        (lambda label: label[: np.nonzero(label == ARCH_INDEX)[0].max() - 3], set()),
    ],
    ids=["disc", "arch"],
)
def test_a_structure_at_the_border_is_flagged(label, cut, withheld):
    result = measure(cut(label))
    assert flag_keys(result) == ["at_border"]
    assert set(result.withheld) == withheld


def test_implausible_sizes_are_withheld_with_their_ratios(label):
    result = measure(label, (2 * SPACING, 2 * SPACING))
    assert set(flag_keys(result)) == {"size_implausible"}
    assert {"disc_ap_mm", "disc_area_mm2", "sac_disc_ap_ratio", "sac_disc_area_ratio"} <= set(result.withheld)
    assert "disc_ap_mm" not in result.calipers
    assert "outside 18-50 mm" in result.withheld["disc_ap_mm"]


def test_a_canal_open_to_the_back_is_flagged():
    spine = Spine(apex=16)
    shapes = dict(spine.shapes)
    gap = shapely.box(-4, 4, 4, 60)
    shapes[POSTERIOR] = shapes[POSTERIOR].difference(gap)
    result = measure(label_map(shapes, offset=(0, -5)))
    assert flag_keys(result) == ["open_canal"]
    assert result.canal_ap_mm == pytest.approx(16, abs=0.5)


@pytest.mark.parametrize("turn", [0, 3, 7, 11])
def test_a_sac_is_never_larger_than_its_canal(turn):
    filled = label_map(Spine().shapes, offset=(0, -5), turn=turn)
    filled[:, 46:98][filled[:, 46:98] == AAP_INDEX] = OTHER  # keep AAP only far laterally
    ratio = measure(filled).sac_canal_area_ratio
    assert ratio is not None
    assert 0.97 < ratio <= 1


def test_foraminal_gap_needs_aap_on_its_side(label):
    closed = label.copy()
    closed[:, : SIZE // 2][closed[:, : SIZE // 2] == AAP_INDEX] = OTHER
    result = measure(closed)
    assert result.withheld == {"foramen_right_mm": "no AAP between disc and posterior element on this side"}


@pytest.mark.parametrize("spacing", [(0.0, 1.0), (1.0, float("nan"))])
def test_invalid_spacings_are_refused(label, spacing):
    with pytest.raises(UserError, match="pixel spacing is"):
        measure(label, spacing)


def test_label_sets_without_a_measured_class_are_refused(label):
    with pytest.raises(UserError, match="lack thecal_sac"):
        measure_slice(label, LabelSet(tuple(label for label in LUMBAR if label.key != SAC)), PIXEL)


@pytest.mark.parametrize("shape", [(5, 20, 20), (6, 20), (2, 6, 20, 20)])
def test_probabilities_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match="probabilit"):
        measure(np.zeros(shape, dtype=np.float32))
