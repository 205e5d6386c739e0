from __future__ import annotations

import numpy as np
import pytest

from lss_lightning.labels import IGNORE_INDEX, LUMBAR, LabelSet
from lss_lightning.metrics.calibration import (
    BAND_MM,
    RELIABILITY_BINS,
    calibration_error,
    foreground_band,
    reliability_bins,
    reliability_diagrams,
    summarise_calibration,
)

THREE = LabelSet(LUMBAR.labels[:3])


def draw(pixels: int, sharpening: float = 1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (3, n) and classes drawn from them; the probabilities are then sharpened."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(3, pixels))
    logits[2] -= 3
    true = np.exp(logits) / np.exp(logits).sum(axis=0)
    classes = (rng.random(pixels) > true.cumsum(axis=0)).sum(axis=0)
    predicted = np.exp(sharpening * logits) / np.exp(sharpening * logits).sum(axis=0)
    return predicted.astype(np.float32), classes.astype(np.uint8)


def test_calibrated_probabilities_have_no_error():
    assert (calibration_error(reliability_bins(*draw(200_000))) < 0.005).all()


def test_sharpened_probabilities_have_an_error():
    assert (calibration_error(reliability_bins(*draw(200_000, sharpening=3)))[:2] > 0.1).all()


def test_error_computed_by_hand():
    # Class 1 has a probability of 0.9 in six pixels, three of them correct, and of 0.1 in four, none of them correct.
    probabilities = np.array([[0.1] * 6 + [0.9] * 4, [0.9] * 6 + [0.1] * 4])
    classes = np.array([1, 1, 1, 0, 0, 0, 0, 0, 0, 0])
    error = calibration_error(reliability_bins(probabilities, classes))
    np.testing.assert_allclose(error, 0.6 * 0.4 + 0.4 * 0.1)


def test_bins_of_parts_add_up_and_include_both_ends():
    probabilities, classes = draw(1000)
    whole = reliability_bins(probabilities, classes)
    parts = [reliability_bins(probabilities[:, part], classes[part]) for part in (slice(0, 300), slice(300, None))]
    np.testing.assert_allclose(parts[0] + parts[1], whole)
    ends = reliability_bins(np.array([[0.0, 1.0]]), np.array([0, 0]))
    assert ends[0, [0, RELIABILITY_BINS - 1], 0].tolist() == [1, 1]


def test_a_class_without_a_labelled_pixel_has_no_error():
    probabilities, classes = draw(1000)
    classes[classes == 2] = 0
    bins = reliability_bins(probabilities, classes)[None]
    found = summarise_calibration(bins, THREE)
    assert found["ece"]["posterior_element"] is None
    assert found["pixels"] == 1000
    assert found["mean_ece"] == pytest.approx(np.mean([found["ece"][key] for key in THREE.keys[:2]]))
    assert found["mean_ece_anatomy"] == found["ece"]["intervertebral_disc"]


def test_summary_without_images_or_pixels_is_null():
    for bins in (np.zeros((0, 3, RELIABILITY_BINS, 3)), np.zeros((2, 3, RELIABILITY_BINS, 3))):
        found = summarise_calibration(bins, THREE)
        assert (found["pixels"], found["mean_ece"], found["ece"]) == (0, None, dict.fromkeys(THREE.keys))
        assert reliability_diagrams(bins, THREE)["unregistered"]["frequency"] == [None] * RELIABILITY_BINS


def test_diagram_contains_each_bin():
    probabilities = np.array([[0.1, 0.1, 0.9], [0.9, 0.9, 0.1], [0, 0, 0]])
    diagram = reliability_diagrams(reliability_bins(probabilities, np.array([0, 1, 0]))[None], THREE)["unregistered"]
    expected = {1: (2, 0.1, 0.5), 13: (1, 0.9, 1.0)}
    for index in range(RELIABILITY_BINS):
        values = tuple(diagram[name][index] for name in ("pixels", "probability", "frequency"))
        assert values == pytest.approx(expected.get(index, (0, None, None)))


@pytest.mark.parametrize("spacing", [0.3, 0.6875])
def test_band_width_in_mm_around_a_disc(spacing):
    rows, columns = np.mgrid[:200, :200] - 99.5
    target = np.where(np.hypot(rows, columns) * spacing <= 10, 1, 5).astype(np.uint8)
    band = foreground_band(target, LUMBAR.anatomical, spacing)
    assert band.sum() * spacing**2 == pytest.approx(np.pi * (10 + BAND_MM) ** 2, rel=0.03)


def test_band_excludes_ignored_pixels():
    target = np.full((40, 40), 5, dtype=np.uint8)
    target[20, 20] = 3
    target[:, 21:] = IGNORE_INDEX
    band = foreground_band(target, LUMBAR.anatomical, None)
    assert band[20].nonzero()[0].tolist() == list(range(13, 21))


def test_band_without_structures_is_empty():
    assert not foreground_band(np.full((8, 8), 5, dtype=np.uint8), LUMBAR.anatomical, 1.0).any()
