from __future__ import annotations

import numpy as np
import pytest
import torch

from lss_lightning.labels import IGNORED, LUMBAR
from lss_lightning.metrics.confusion import confusion
from lss_lightning.metrics.failures import FAILURES, count_parts, failures, image_parts, summarise_failures

OTHER, DISC, SAC, AAP = (LUMBAR.keys.index(key) for key in ("other", "intervertebral_disc", "thecal_sac", "aap"))


def drawn(*boxes: tuple[int, int, int, int, int]) -> np.ndarray:
    """A map of 40 × 40 pixels with boxes: class, top, left, height, width."""
    classes = np.full((40, 40), OTHER, dtype=np.uint8)
    for index, top, left, height, width in boxes:
        classes[top : top + height, left : left + width] = index
    return classes


@pytest.mark.parametrize(
    ("boxes", "parts"),
    [
        ([], 0),
        ([(DISC, 5, 5, 10, 10)], 1),
        ([(DISC, 5, 5, 10, 10), (DISC, 20, 20, 5, 5)], 2),
        ([(DISC, 5, 5, 10, 10), (DISC, 15, 15, 5, 5)], 1),  # they touch at a corner
        ([(DISC, 5, 5, 10, 10), (DISC, 20, 20, 2, 5)], 2),  # just a tenth
        ([(DISC, 5, 5, 10, 10), (DISC, 20, 20, 3, 3)], 1),  # less than a tenth
        ([(DISC, 5, 5, 5, 5), (DISC, 20, 5, 5, 5), (DISC, 5, 20, 5, 5)], 3),
    ],
)
def test_parts_of_a_class(boxes, parts):
    found = count_parts(drawn(*boxes), 6)
    assert found.tolist() == [0, parts, 0, 0, 0, 1]


def test_classes_that_touch_are_told_apart():
    assert count_parts(drawn((DISC, 0, 0, 40, 20), (SAC, 0, 20, 40, 20)), 6).tolist() == [0, 1, 0, 1, 0, 0]


def test_what_the_label_ignores_is_no_part_of_the_prediction():
    target, predicted = drawn((DISC, 5, 5, 10, 10)), drawn((DISC, 5, 5, 10, 10), (DISC, 30, 30, 10, 10))
    assert image_parts(predicted, target, 6)[DISC].tolist() == [1, 2]
    target[:, 25:] = IGNORED
    assert image_parts(predicted, target, 6)[DISC].tolist() == [1, 1]


def test_an_image_that_is_ignored_holds_nothing():
    assert count_parts(np.full((8, 8), IGNORED, dtype=np.uint8), 6).tolist() == [0] * 6


LABEL = drawn((DISC, 2, 2, 8, 20), (SAC, 15, 5, 6, 6), (SAC, 15, 20, 6, 6))
PREDICTION = drawn((DISC, 2, 2, 8, 8), (DISC, 2, 14, 8, 8), (SAC, 15, 5, 6, 21), (AAP, 30, 5, 3, 3))
"""A disc split in two, two sacs merged into one, and an AAP that is not there; swapped, it is missed."""


def found(pairs: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Counts and parts of images, each a label and a prediction."""
    counts = [confusion(torch.tensor(ours)[None], torch.tensor(truth)[None], 6)[0].numpy() for truth, ours in pairs]
    return np.stack(counts), np.stack([image_parts(ours, truth, 6) for truth, ours in pairs])


def test_failures_by_class_and_image():
    failed = failures(*found([(LABEL, PREDICTION), (PREDICTION, LABEL), (LABEL, LABEL)]))
    places = {kind: [tuple(map(int, place)) for place in np.argwhere(chosen)] for kind, chosen in failed.items()}
    assert places == {
        "missed": [(1, AAP)],
        "invented": [(0, AAP)],
        "split": [(0, DISC), (1, SAC)],
        "merged": [(0, SAC), (1, DISC)],
    }


def test_summary_counts_images():
    summary = summarise_failures(*found([(LABEL, PREDICTION), (LABEL, PREDICTION), (PREDICTION, LABEL)]), LUMBAR)
    assert summary["labelled"] == {**dict.fromkeys(LUMBAR.keys, 3), "unregistered": 0, "posterior_element": 0, "aap": 1}
    assert [summary[kind]["aap"] for kind in FAILURES] == [1, 2, 0, 0]
    assert [summary[kind]["intervertebral_disc"] for kind in FAILURES] == [0, 0, 2, 1]
    assert summary["part_share"] == 0.1
