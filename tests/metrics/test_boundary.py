"""Boundary measures against shapes whose distances are known in closed form, and against MONAI's own metrics."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance, compute_surface_dice

from lss_lightning.labels import IGNORED, LUMBAR, LabelSet
from lss_lightning.metrics.boundary import BOUNDARY_METRICS, bf_tolerance, boundary_measures, summarise_boundary

TWO = LabelSet(LUMBAR.labels[:2])
ALKAFRI = 220 / 320  # mm


def square(left: int, side: int = 20) -> np.ndarray:
    """Class 1 in a square of 64 × 64 pixels."""
    picture = np.zeros((64, 64), dtype=np.uint8)
    picture[20 : 20 + side, left : left + side] = 1
    return picture


def disc(radius: float, size: int = 128) -> np.ndarray:
    rows, columns = np.mgrid[:size, :size] - (size - 1) / 2
    return (np.hypot(rows, columns) <= radius).astype(np.uint8)


def measure(predicted: np.ndarray, target: np.ndarray, spacing: float | None, index: int = 1) -> dict[str, float]:
    return dict(zip(BOUNDARY_METRICS, boundary_measures(predicted, target, index + 1, spacing)[index], strict=True))


@pytest.mark.parametrize(
    ("spacing", "fine", "coarse", "bf"),
    [
        (ALKAFRI, 1, 1, 0.5),
        (1.0, 0.5, 1, 0.5),
        (2.0, 0.5, 0.5, 0.5),
        (None, 1, 1, 0.5),
    ],
)
def test_a_square_shifted_by_a_pixel(spacing, fine, coarse, bf):
    # Half of each ring of pixels lies on the other, and the other half a pixel from it. The tolerance of the BF-score
    # is 0.0075 * sqrt(2) * 64 = 0.68 pixels.
    found = measure(square(20), square(21), spacing)
    pixel = spacing or 1
    assert found["assd"] == pytest.approx(0.5 * pixel)
    assert found["hd95"] == pytest.approx(pixel)
    assert (found["nsd_fine"], found["nsd_coarse"], found["bf"]) == pytest.approx((fine, coarse, bf))


def test_a_square_shifted_by_its_own_width_and_more():
    # Columns of 20 pixels 40 pixels apart: the nearest lie at 21 pixels, the farthest at 40.
    found = measure(square(2), square(42), 0.5)
    assert found["hd95"] == pytest.approx(40 * 0.5)
    assert found["nsd_coarse"] == found["bf"] == 0


@pytest.mark.parametrize(("inner", "outer"), [(30, 36), (20, 45), (40, 44)])
@pytest.mark.parametrize("spacing", [0.5, ALKAFRI, 2.0])
def test_concentric_discs_lie_as_far_apart_as_their_radii(inner, outer, spacing):
    found = measure(disc(inner), disc(outer), spacing)
    assert found["assd"] == pytest.approx((outer - inner) * spacing, abs=0.3 * spacing)
    assert found["hd95"] == pytest.approx((outer - inner) * spacing, abs=0.7 * spacing)
    assert found["nsd_coarse"] == 0


def test_equal_maps_have_no_distance():
    assert measure(disc(30), disc(30), 0.7) == {"nsd_fine": 1, "nsd_coarse": 1, "bf": 1, "hd95": 0, "assd": 0}


def test_bf_score_is_the_harmonic_mean_of_both_directions():
    # The prediction is the label and a second, distant square, whose ring of 4 * 20 - 4 pixels is as long.
    target = square(2)
    predicted = np.maximum(target, square(40))
    assert measure(predicted, target, 1.0)["bf"] == pytest.approx(2 * 0.5 * 1 / (0.5 + 1))
    assert measure(predicted, target, 1.0)["nsd_fine"] == pytest.approx(2 / 3)


def test_bf_tolerance_is_that_of_csurka():
    assert bf_tolerance((320, 320), ALKAFRI) == pytest.approx(0.0075 * 2**0.5 * 220)
    assert bf_tolerance((30, 40), None) == pytest.approx(0.375)


def test_measures_are_monai_s():
    generator = np.random.default_rng(0)
    smooth = torch.nn.AvgPool2d(9, stride=1, padding=4)
    fields = torch.from_numpy(generator.normal(size=(3, 4, 72, 60)))
    predicted, target = smooth(fields).argmax(1), smooth(fields + 0.4 * fields.roll(1, 0)).argmax(1)
    hot = [torch.nn.functional.one_hot(maps, 4).permute(0, 3, 1, 2) for maps in (predicted, target)]
    options = {"include_background": True, "spacing": ALKAFRI}
    theirs = {
        "nsd_fine": compute_surface_dice(*hot, [0.7] * 4, **options),
        "nsd_coarse": compute_surface_dice(*hot, [1.4] * 4, **options),
        "hd95": compute_hausdorff_distance(*hot, percentile=95, **options),
        "assd": compute_average_surface_distance(*hot, symmetric=True, **options),
    }
    for place in range(3):
        maps = [part[place].numpy().astype(np.uint8) for part in (predicted, target)]
        ours = boundary_measures(*maps, 4, ALKAFRI)
        for name, expected in theirs.items():
            np.testing.assert_allclose(ours[:, BOUNDARY_METRICS.index(name)], expected[place], rtol=1e-5)


@pytest.mark.filterwarnings("error")
def test_a_class_in_one_map_or_in_none():
    empty = np.zeros((64, 64), dtype=np.uint8)
    for pair in ((empty, square(20)), (square(20), empty)):
        found = measure(*pair, 1.0)
        assert (found["nsd_fine"], found["nsd_coarse"], found["bf"]) == (0, 0, 0)
        assert np.isnan([found["hd95"], found["assd"]]).all()
    assert np.isnan(list(measure(empty, empty, 1.0).values())).all()


def test_ignored_pixels_belong_to_no_class():
    target, predicted = square(20), square(20)
    target[:, 30:], predicted[:, 35:] = IGNORED, 0
    assert measure(predicted, target, 1.0)["hd95"] == 0


def summary(pairs: list, spacings: list) -> dict:
    measures = np.stack([boundary_measures(*pair, 2, spacing) for pair, spacing in zip(pairs, spacings, strict=True)])
    counts = np.stack([[[np.sum((t == i) & (p == j)) for j in (0, 1)] for i in (0, 1)] for p, t in pairs])
    tolerances = np.array([bf_tolerance((64, 64), spacing) for spacing in spacings])
    return summarise_boundary(measures, counts, spacings, tolerances, TWO)


def test_means_are_over_the_images_that_have_them_and_the_others_are_counted():
    empty = np.zeros((64, 64), dtype=np.uint8)
    pairs = [(square(20), square(21)), (square(20), square(20)), (empty, square(20)), (square(20), empty)]
    found = summary([*pairs, (empty, empty)], [1.0] * 5)
    key = "intervertebral_disc"
    assert found["assd_mm"][key] == pytest.approx((0.5 + 0) / 2)
    assert found["nsd_0.7mm"][key] == pytest.approx((0.5 + 1 + 0 + 0) / 4)
    assert (found["images"]["assd_mm"][key], found["images"]["nsd_0.7mm"][key]) == (2, 4)
    assert (found["missed"][key], found["invented"][key]) == (1, 1)
    assert found["bf_tolerance_mm"] == [pytest.approx(0.0075 * 2**0.5 * 64)] * 2


def test_an_absent_class_is_null_everywhere():
    empty = np.zeros((64, 64), dtype=np.uint8)
    found = summary([(empty, empty)], [1.0])
    for key in ("nsd_0.7mm", "nsd_1.4mm", "bf", "hd95_mm", "assd_mm"):
        assert found[key]["intervertebral_disc"] is None
        assert found["images"][key]["intervertebral_disc"] == 0


def test_slices_without_spacing_are_measured_in_pixels_under_names_that_say_so():
    pair = (square(20), square(21))
    assert set(summary([pair], [None])) == {
        *("nsd_1px", "nsd_2px", "bf", "hd95_px", "assd_px", "bf_tolerance_px"),
        *("images", "missed", "invented"),
    }
    mixed = summary([pair, pair], [None, 2.0])
    key = "intervertebral_disc"
    assert (mixed["hd95_px"][key], mixed["hd95_mm"][key]) == (1, 2)
    assert mixed["images"]["bf"][key] == 2


def test_no_images():
    none = summarise_boundary(np.zeros((0, 2, 5)), np.zeros((0, 2, 2), dtype=np.int64), [], np.zeros(0), TWO)
    assert none["bf"] == dict.fromkeys(TWO.keys)
