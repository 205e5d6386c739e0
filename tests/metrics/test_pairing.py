from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lss_lightning.labels import LabelSet
from lss_lightning.metrics import ImageCounts, compare_pooled, holm, iou_and_means, pair_all, shared_images
from tests.metrics.test_intervals import patients, worsened

TWO = LabelSet.of_codes({"background": 0, "disc": 1}, ["background"])


def images(counts: np.ndarray, channels: str = "composite") -> ImageCounts:
    """Two images a patient."""
    numbers = range(len(counts))
    return ImageCounts(
        digests=tuple(f"{channels}-{number}" for number in numbers),
        patients=tuple(f"{number // 2:04d}" for number in numbers),
        levels=tuple(("D3", "D4")[number % 2] for number in numbers),
        counts=counts,
        channels=channels,
    )


def test_images_are_the_same_by_content_whatever_their_order_and_names():
    first = images(patients(8))
    order = [5, 0, 7, 2, 1, 3, 6, 4]
    second = replace(first[order], patients=tuple("x" * 8), levels=tuple(map(str, range(8))))
    common = shared_images(first, second)
    assert common.complete
    assert [first.digests[place] for place in common.first] == [second.digests[place] for place in common.second]


def test_what_only_one_was_tested_on_is_named():
    first, second = images(patients(8))[[0, 1, 2, 3, 4, 5]], images(patients(8))[[4, 5, 6]]
    common = shared_images(first, second)
    assert not common.complete
    assert common.difference("a", "b") == (
        "4 slices (0000_D3, 0000_D4, 0001_D3, … 1 more) only in a, 1 slice (0003_D3) only in b"
    )
    assert (common.first.tolist(), common.second.tolist()) == ([4, 5], [0, 1])


def test_other_labels_of_the_same_images_keep_them_apart():
    first = images(patients(4))
    counts = first.counts.copy()
    counts[2, 1, 1] -= 1
    counts[2, 0, 0] += 1
    common = shared_images(first, replace(first, counts=counts))
    assert common.difference("a", "b") == "1 slice (0001_D3) with another label"
    assert common.first.tolist() == [0, 1, 3]


def test_models_of_other_channels_are_paired_by_patient_and_level():
    first, second = images(patients(6), "composite"), images(worsened(patients(6), 0.1), "t2")
    assert shared_images(first, second[[3, 1, 0, 2, 5, 4]]).complete
    assert not shared_images(first, replace(second, channels="composite")).complete


def test_an_image_that_is_there_twice_is_paired_twice():
    once = images(patients(4))
    twice = replace(once, digests=("same", "same", *once.digests[2:]))
    common = shared_images(twice, twice[[1, 0, 2, 3]])
    assert common.complete
    assert common.second.tolist() == [1, 0, 2, 3]


def test_every_two_models_are_compared_and_corrected_together():
    base = patients(24)
    tests = {name: images(worsened(base, share)) for name, share in (("a", 0.0), ("b", 0.03), ("c", 0.031))}
    tests["d"] = images(base)[list(range(20))]
    pairs = {(pair.first, pair.second): pair for pair in pair_all(tests, TWO)}
    assert list(pairs) == [("a", "b"), ("a", "c"), ("a", "d"), ("b", "c"), ("b", "d"), ("c", "d")]
    assert pairs["a", "d"].found is None
    assert "4 slices" in pairs["a", "d"].refusal
    made = [pairs[names] for names in (("a", "b"), ("a", "c"), ("b", "c"))]
    assert [pair.patients for pair in made] == [12] * 3
    p_values = np.stack([pair.found.p for pair in made])
    np.testing.assert_array_equal(
        np.stack([pair.found.p_holm for pair in made])[:, :2].ravel(), holm(p_values[:, :2].ravel())
    )
    for mean in (2, 3):
        np.testing.assert_array_equal([pair.found.p_holm[mean] for pair in made], holm(p_values[:, mean]))


def test_a_pair_is_compared_patient_by_patient():
    base, worse = patients(24), worsened(patients(24), 0.02)
    order = np.random.default_rng(1).permutation(24)
    (pair,) = pair_all({"a": images(base), "b": images(worse)[order]}, TWO)
    by_patient = [counts.reshape(12, 2, 2, 2).sum(axis=1) for counts in (base, worse)]
    expected = compare_pooled(*by_patient, lambda counts: iou_and_means(counts, TWO))
    np.testing.assert_array_equal(pair.found.difference, expected.difference)
    np.testing.assert_array_equal(pair.found.ci95, expected.ci95)
    assert pair.found.difference[1] > 0
    assert pair.found.difference[3] == pytest.approx(pair.found.difference[1])  # the one anatomical class
