"""Boundary metrics of shapes with known distances, and comparison with the metrics of MONAI."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance, compute_surface_dice

from lss_lightning.labels import IGNORE_INDEX, LUMBAR, LabelSet
from lss_lightning.metrics.boundary import BOUNDARY_METRICS, bf_tolerance, compute_boundary_metrics, summarise_boundary

TWO = LabelSet(LUMBAR.labels[:2])
ALKAFRI = 220 / 320  # mm


def square(left: int, side: int = 20) -> np.ndarray:
    """A square of class 1 in an image of 64 × 64 pixels."""
    picture = np.zeros((64, 64), dtype=np.uint8)
    picture[20 : 20 + side, left : left + side] = 1
    return picture


def disc(radius: float, size: int = 128) -> np.ndarray:
    rows, columns = np.mgrid[:size, :size] - (size - 1) / 2
    return (np.hypot(rows, columns) <= radius).astype(np.uint8)


def compute(predicted: np.ndarray, target: np.ndarray, spacing: float | None) -> dict[str, float]:
    """Metrics of class 1."""
    return dict(zip(BOUNDARY_METRICS, compute_boundary_metrics(predicted, target, 2, spacing)[1], strict=True))


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
    # Half of each ring of pixels coincides with the other ring, the rest is one pixel away. The tolerance of the BF
    # score is 0.0075 * sqrt(2) * 64 = 0.68 pixels.
    metrics = compute(square(20), square(21), spacing)
    pixel = spacing or 1
    assert metrics["assd"] == pytest.approx(0.5 * pixel)
    assert metrics["hd95"] == pytest.approx(pixel)
    assert (metrics["nsd_fine"], metrics["nsd_coarse"], metrics["bf"]) == pytest.approx((fine, coarse, bf))


def test_a_square_shifted_by_twice_its_width():
    # The nearest columns are 21 pixels apart, the farthest 40 pixels.
    metrics = compute(square(2), square(42), 0.5)
    assert metrics["hd95"] == pytest.approx(40 * 0.5)
    assert metrics["nsd_coarse"] == metrics["bf"] == 0


@pytest.mark.parametrize(("inner", "outer"), [(30, 36), (20, 45), (40, 44)])
@pytest.mark.parametrize("spacing", [0.5, ALKAFRI, 2.0])
def test_distances_of_concentric_discs(inner, outer, spacing):
    metrics = compute(disc(inner), disc(outer), spacing)
    assert metrics["assd"] == pytest.approx((outer - inner) * spacing, abs=0.3 * spacing)
    assert metrics["hd95"] == pytest.approx((outer - inner) * spacing, abs=0.7 * spacing)
    assert metrics["nsd_coarse"] == 0


def test_equal_maps():
    assert compute(disc(30), disc(30), 0.7) == {"nsd_fine": 1, "nsd_coarse": 1, "bf": 1, "hd95": 0, "assd": 0}


def test_bf_score_is_the_harmonic_mean_of_both_directions():
    # The prediction adds a second, distant square, whose ring has as many pixels, 4 * 20 - 4.
    target = square(2)
    predicted = np.maximum(target, square(40))
    assert compute(predicted, target, 1.0)["bf"] == pytest.approx(2 * 0.5 * 1 / (0.5 + 1))
    assert compute(predicted, target, 1.0)["nsd_fine"] == pytest.approx(2 / 3)


def test_bf_tolerance_is_that_of_csurka_et_al():
    assert bf_tolerance((320, 320), ALKAFRI) == pytest.approx(0.0075 * 2**0.5 * 220)
    assert bf_tolerance((30, 40), None) == pytest.approx(0.375)


def test_metrics_equal_those_of_monai():
    generator = np.random.default_rng(0)
    smooth = torch.nn.AvgPool2d(9, stride=1, padding=4)
    fields = torch.from_numpy(generator.normal(size=(3, 4, 72, 60)))
    predicted, target = smooth(fields).argmax(1), smooth(fields + 0.4 * fields.roll(1, 0)).argmax(1)
    first, second = (torch.nn.functional.one_hot(maps, 4).permute(0, 3, 1, 2) for maps in (predicted, target))
    options: dict[str, Any] = {"include_background": True, "spacing": ALKAFRI}
    theirs = {
        "nsd_fine": compute_surface_dice(first, second, [0.7] * 4, **options),
        "nsd_coarse": compute_surface_dice(first, second, [1.4] * 4, **options),
        "hd95": compute_hausdorff_distance(first, second, percentile=95, **options),
        "assd": compute_average_surface_distance(first, second, symmetric=True, **options),
    }
    for index in range(3):
        prediction, label = (maps[index].numpy().astype(np.uint8) for maps in (predicted, target))
        ours = compute_boundary_metrics(prediction, label, 4, ALKAFRI)
        for name, expected in theirs.items():
            np.testing.assert_allclose(ours[:, BOUNDARY_METRICS.index(name)], expected[index], rtol=1e-5)


@pytest.mark.filterwarnings("error")
def test_a_class_in_only_one_map_or_in_none():
    empty = np.zeros((64, 64), dtype=np.uint8)
    for predicted, target in ((empty, square(20)), (square(20), empty)):
        metrics = compute(predicted, target, 1.0)
        assert (metrics["nsd_fine"], metrics["nsd_coarse"], metrics["bf"]) == (0, 0, 0)
        assert np.isnan([metrics["hd95"], metrics["assd"]]).all()
    assert np.isnan(list(compute(empty, empty, 1.0).values())).all()


def test_ignored_pixels_belong_to_no_class():
    target, predicted = square(20), square(20)
    target[:, 30:], predicted[:, 35:] = IGNORE_INDEX, 0
    assert compute(predicted, target, 1.0)["hd95"] == 0


def summarise(pairs: list, spacings: list) -> dict:
    metrics = np.stack(
        [compute_boundary_metrics(p, t, 2, spacing) for (p, t), spacing in zip(pairs, spacings, strict=True)]
    )
    counts = np.stack([[[np.sum((t == i) & (p == j)) for j in (0, 1)] for i in (0, 1)] for p, t in pairs])
    tolerances = np.array([bf_tolerance((64, 64), spacing) for spacing in spacings])
    return summarise_boundary(metrics, counts, spacings, tolerances, TWO)


def test_means_are_over_the_images_that_define_the_metric():
    empty = np.zeros((64, 64), dtype=np.uint8)
    pairs = [(square(20), square(21)), (square(20), square(20)), (empty, square(20)), (square(20), empty)]
    metrics = summarise([*pairs, (empty, empty)], [1.0] * 5)
    key = "intervertebral_disc"
    assert metrics["assd_mm"][key] == pytest.approx((0.5 + 0) / 2)
    assert metrics["nsd_0.7mm"][key] == pytest.approx((0.5 + 1 + 0 + 0) / 4)
    assert (metrics["images"]["assd_mm"][key], metrics["images"]["nsd_0.7mm"][key]) == (2, 4)
    assert (metrics["missed"][key], metrics["invented"][key]) == (1, 1)
    assert metrics["bf_tolerance_mm"] == [pytest.approx(0.0075 * 2**0.5 * 64)] * 2


def test_an_absent_class_is_null():
    empty = np.zeros((64, 64), dtype=np.uint8)
    metrics = summarise([(empty, empty)], [1.0])
    for key in ("nsd_0.7mm", "nsd_1.4mm", "bf", "hd95_mm", "assd_mm"):
        assert metrics[key]["intervertebral_disc"] is None
        assert metrics["images"][key]["intervertebral_disc"] == 0


def test_slices_of_unknown_spacing_have_keys_in_pixels():
    pair = (square(20), square(21))
    assert set(summarise([pair], [None])) == {
        *("nsd_1px", "nsd_2px", "bf", "hd95_px", "assd_px", "bf_tolerance_px"),
        *("images", "missed", "invented"),
    }
    mixed = summarise([pair, pair], [None, 2.0])
    key = "intervertebral_disc"
    assert (mixed["hd95_px"][key], mixed["hd95_mm"][key]) == (1, 2)
    assert mixed["images"]["bf"][key] == 2


def test_summary_without_images():
    none = summarise_boundary(np.zeros((0, 2, 5)), np.zeros((0, 2, 2), dtype=np.int64), [], np.zeros(0), TWO)
    assert none["bf"] == dict.fromkeys(TWO.keys)
