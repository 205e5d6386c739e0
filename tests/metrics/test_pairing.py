from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lss_lightning.labels import LabelSet
from lss_lightning.metrics import (
    ImageCounts,
    compare_all_pairs,
    compare_pooled,
    find_shared_images,
    holm,
    iou_and_means,
)
from tests.metrics.test_intervals import make_patients, worsen

TWO = LabelSet.from_codes({"background": 0, "disc": 1}, ["background"])


def make_images(counts: np.ndarray, channels: str = "composite") -> ImageCounts:
    """Two images per patient."""
    numbers = range(len(counts))
    return ImageCounts(
        digests=tuple(f"{channels}-{number}" for number in numbers),
        patients=tuple(f"{number // 2:04d}" for number in numbers),
        levels=tuple(("D3", "D4")[number % 2] for number in numbers),
        counts=counts,
        channels=channels,
    )


def test_images_are_matched_by_content_regardless_of_order_and_names():
    first = make_images(make_patients(8))
    order = [5, 0, 7, 2, 1, 3, 6, 4]
    second = replace(first[order], patients=tuple("x" * 8), levels=tuple(map(str, range(8))))
    common = find_shared_images(first, second)
    assert common.complete
    assert [first.digests[i] for i in common.first] == [second.digests[i] for i in common.second]


def test_images_of_only_one_test_are_named():
    first, second = make_images(make_patients(8))[[0, 1, 2, 3, 4, 5]], make_images(make_patients(8))[[4, 5, 6]]
    common = find_shared_images(first, second)
    assert not common.complete
    assert common.describe_difference("a", "b") == (
        "4 slices (0000_D3, 0000_D4, 0001_D3, … 1 more) only in a, 1 slice (0003_D3) only in b"
    )
    assert (common.first.tolist(), common.second.tolist()) == ([4, 5], [0, 1])


def test_images_with_different_labels_are_not_shared():
    first = make_images(make_patients(4))
    counts = first.counts.copy()
    counts[2, 1, 1] -= 1
    counts[2, 0, 0] += 1
    common = find_shared_images(first, replace(first, counts=counts))
    assert common.describe_difference("a", "b") == "1 slice (0001_D3) with another label"
    assert common.first.tolist() == [0, 1, 3]


def test_models_of_different_channels_are_paired_by_patient_and_level():
    first, second = make_images(make_patients(6), "composite"), make_images(worsen(make_patients(6), 0.1), "t2")
    assert find_shared_images(first, second[[3, 1, 0, 2, 5, 4]]).complete
    assert not find_shared_images(first, replace(second, channels="composite")).complete


def test_duplicate_images_are_paired_twice():
    once = make_images(make_patients(4))
    twice = replace(once, digests=("same", "same", *once.digests[2:]))
    common = find_shared_images(twice, twice[[1, 0, 2, 3]])
    assert common.complete
    assert common.second.tolist() == [1, 0, 2, 3]


def test_all_pairs_of_models_are_compared_and_corrected_together():
    base = make_patients(24)
    tests = {name: make_images(worsen(base, share)) for name, share in (("a", 0.0), ("b", 0.03), ("c", 0.031))}
    tests["d"] = make_images(base)[list(range(20))]
    pairs = {(pair.first, pair.second): pair for pair in compare_all_pairs(tests, TWO)}
    assert list(pairs) == [("a", "b"), ("a", "c"), ("a", "d"), ("b", "c"), ("b", "d"), ("c", "d")]
    assert pairs["a", "d"].difference is None
    assert "4 slices" in pairs["a", "d"].reason
    compared = [pairs[names] for names in (("a", "b"), ("a", "c"), ("b", "c"))]
    assert [pair.patients for pair in compared] == [12] * 3
    differences = [pair.difference for pair in compared if pair.difference is not None]
    assert len(differences) == 3
    p_values = np.stack([difference.p for difference in differences])
    np.testing.assert_array_equal(
        np.stack([difference.p_holm for difference in differences])[:, :2].ravel(), holm(p_values[:, :2].ravel())
    )
    for mean in (2, 3):
        np.testing.assert_array_equal([difference.p_holm[mean] for difference in differences], holm(p_values[:, mean]))


def test_a_pair_is_compared_patient_by_patient():
    base, worse = make_patients(24), worsen(make_patients(24), 0.02)
    order = np.random.default_rng(1).permutation(24)
    (pair,) = compare_all_pairs({"a": make_images(base), "b": make_images(worse)[order]}, TWO)
    first, second = (counts.reshape(12, 2, 2, 2).sum(axis=1) for counts in (base, worse))
    expected = compare_pooled(first, second, lambda counts: iou_and_means(counts, TWO))
    assert pair.difference is not None
    np.testing.assert_array_equal(pair.difference.difference, expected.difference)
    np.testing.assert_array_equal(pair.difference.ci95, expected.ci95)
    differences = pair.difference.difference
    assert differences[1] > 0
    assert differences[3] == pytest.approx(differences[1])  # the only anatomical class
