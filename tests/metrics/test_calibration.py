from __future__ import annotations

import numpy as np
import pytest

from lss_lightning.labels import IGNORED, LUMBAR, LabelSet
from lss_lightning.metrics.calibration import (
    BAND_MM,
    BINS,
    calibration_error,
    foreground_band,
    reliability,
    reliability_bins,
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
    said = np.exp(sharpening * logits) / np.exp(sharpening * logits).sum(axis=0)
    return said.astype(np.float32), classes.astype(np.uint8)


def test_probabilities_that_are_frequencies_have_no_error():
    assert (calibration_error(reliability_bins(*draw(200_000))) < 0.005).all()


def test_sharpened_probabilities_have_an_error():
    assert (calibration_error(reliability_bins(*draw(200_000, sharpening=3)))[:2] > 0.1).all()


def test_error_worked_out_by_hand():
    # Six pixels said to be of class 1 with 0.9, of which three are; four said with 0.1, of which none is.
    probabilities = np.array([[0.1] * 6 + [0.9] * 4, [0.9] * 6 + [0.1] * 4])
    classes = np.array([1, 1, 1, 0, 0, 0, 0, 0, 0, 0])
    error = calibration_error(reliability_bins(probabilities, classes))
    np.testing.assert_allclose(error, 0.6 * 0.4 + 0.4 * 0.1)


def test_bins_of_parts_add_up_and_the_ends_are_bins_of_their_own():
    probabilities, classes = draw(1000)
    whole = reliability_bins(probabilities, classes)
    parts = [reliability_bins(probabilities[:, part], classes[part]) for part in (slice(0, 300), slice(300, None))]
    np.testing.assert_allclose(parts[0] + parts[1], whole)
    ends = reliability_bins(np.array([[0.0, 1.0]]), np.array([0, 0]))
    assert ends[0, [0, BINS - 1], 0].tolist() == [1, 1]


def test_a_class_without_a_labelled_pixel_has_no_error():
    probabilities, classes = draw(1000)
    classes[classes == 2] = 0
    bins = reliability_bins(probabilities, classes)[None]
    found = summarise_calibration(bins, THREE)
    assert found["ece"]["posterior_element"] is None
    assert found["pixels"] == 1000
    assert found["mean_ece"] == pytest.approx(np.mean([found["ece"][key] for key in THREE.keys[:2]]))
    assert found["mean_ece_anatomy"] == found["ece"]["intervertebral_disc"]


def test_no_image_and_no_pixel_are_null():
    for bins in (np.zeros((0, 3, BINS, 3)), np.zeros((2, 3, BINS, 3))):
        found = summarise_calibration(bins, THREE)
        assert (found["pixels"], found["mean_ece"], found["ece"]) == (0, None, dict.fromkeys(THREE.keys))
        assert reliability(bins, THREE)["unregistered"]["frequency"] == [None] * BINS


def test_diagram_holds_each_bin():
    probabilities = np.array([[0.1, 0.1, 0.9], [0.9, 0.9, 0.1], [0, 0, 0]])
    diagram = reliability(reliability_bins(probabilities, np.array([0, 1, 0]))[None], THREE)["unregistered"]
    expected = {1: (2, 0.1, 0.5), 13: (1, 0.9, 1.0)}
    for place in range(BINS):
        found = tuple(diagram[name][place] for name in ("pixels", "probability", "frequency"))
        assert found == pytest.approx(expected.get(place, (0, None, None)))


@pytest.mark.parametrize("spacing", [0.3, 0.6875])
def test_the_band_reaches_so_many_mm_around_a_disc(spacing):
    rows, columns = np.mgrid[:200, :200] - 99.5
    target = np.where(np.hypot(rows, columns) * spacing <= 10, 1, 5).astype(np.uint8)
    band = foreground_band(target, LUMBAR.anatomical, spacing)
    assert band.sum() * spacing**2 == pytest.approx(np.pi * (10 + BAND_MM) ** 2, rel=0.03)


def test_the_band_in_pixels_leaves_out_what_is_ignored():
    target = np.full((40, 40), 5, dtype=np.uint8)
    target[20, 20] = 3
    target[:, 21:] = IGNORED
    band = foreground_band(target, LUMBAR.anatomical, None)
    assert band[20].nonzero()[0].tolist() == list(range(13, 21))


def test_no_structure_no_band():
    assert not foreground_band(np.full((8, 8), 5, dtype=np.uint8), LUMBAR.anatomical, 1.0).any()
