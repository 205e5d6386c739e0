from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lss_lightning.data.loading import LoadedSlice
from lss_lightning.data.slices import Slice
from lss_lightning.workflows.evaluation.cases import WORST_CASES, choose_cases


def make_slice(patient: str, channels: int = 3) -> LoadedSlice:
    image, label = np.zeros((channels, 20, 20), dtype=np.uint8), np.zeros((20, 20), dtype=np.uint8)
    return LoadedSlice(Slice(patient, "D4", {}, Path("label.png"), None), image, label, 1.0, f"{patient}D4")


def choose(scores: list[float], channels: int = 3):
    """Return the cases of slices with these scores, and the indices that were segmented.

    The label map of a slice holds its index modulo 6.
    """
    segmented: list[int] = []

    def segment(indices: list[int]) -> list[np.ndarray]:
        segmented.extend(indices)
        return [np.full((20, 20), index % 6, dtype=np.uint8) for index in indices]

    slices = [make_slice(f"{index:04d}", channels) for index in range(len(scores))]
    return choose_cases(slices, np.array(scores), segment), segmented


def test_best_median_worst_and_the_worst_in_order_are_chosen():
    scores = np.random.default_rng(0).permutation(np.linspace(0, 1, 41)).tolist()
    cases, segmented = choose(scores)
    assert [case.iou for case in cases.examples] == pytest.approx([1.0, 0.5, 0.0])
    assert [case.title.partition(":")[0] for case in cases.examples] == ["Best", "Median", "Worst"]
    assert [case.iou for case in cases.worst] == pytest.approx(np.linspace(0, 1, 41)[:WORST_CASES].tolist())
    assert cases.worst[0].title == f"Worst 1: patient {scores.index(0.0):04d} D4"
    assert len(segmented) == len(set(segmented)) == WORST_CASES + 2
    for case in (*cases.examples, *cases.worst):
        assert (case.prediction == scores.index(case.iou) % 6).all()


@pytest.mark.parametrize(("scores", "examples", "worst"), [([0.5], 1, 1), ([0.2, 0.8], 2, 2), ([np.nan] * 3, 0, 0)])
def test_few_slices_or_slices_without_a_score(scores, examples, worst):
    cases, segmented = choose(scores)
    assert (len(cases.examples), len(cases.worst), len(segmented)) == (examples, worst, worst)


@pytest.mark.parametrize(("channels", "drawn"), [(1, 1), (2, 1), (3, 3)])
def test_image_of_a_case_has_one_or_three_channels(channels, drawn):
    cases, _ = choose([0.5], channels)
    assert cases.worst[0].image.shape == (20, 20, drawn)
