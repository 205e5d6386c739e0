from __future__ import annotations

import numpy as np
import pytest
import torch

from lss_lightning.labels import IGNORE_INDEX, LUMBAR
from lss_lightning.metrics.confusion import count_confusion
from lss_lightning.metrics.failures import FAILURES, count_image_parts, count_parts, find_failures, summarise_failures

OTHER, DISC, SAC, AAP = (LUMBAR.keys.index(key) for key in ("other", "intervertebral_disc", "thecal_sac", "aap"))


def draw_boxes(*boxes: tuple[int, int, int, int, int]) -> np.ndarray:
    """Label map of 40 × 40 pixels with boxes, each a class, top, left, height and width."""
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
        ([(DISC, 5, 5, 10, 10), (DISC, 15, 15, 5, 5)], 1),  # touching at a corner
        ([(DISC, 5, 5, 10, 10), (DISC, 20, 20, 2, 5)], 2),  # exactly a tenth
        ([(DISC, 5, 5, 10, 10), (DISC, 20, 20, 3, 3)], 1),  # less than a tenth
        ([(DISC, 5, 5, 5, 5), (DISC, 20, 5, 5, 5), (DISC, 5, 20, 5, 5)], 3),
    ],
)
def test_components_of_a_class(boxes, parts):
    assert count_parts(draw_boxes(*boxes), 6).tolist() == [0, parts, 0, 0, 0, 1]


def test_touching_classes_are_separate_components():
    assert count_parts(draw_boxes((DISC, 0, 0, 40, 20), (SAC, 0, 20, 40, 20)), 6).tolist() == [0, 1, 0, 1, 0, 0]


def test_pixels_ignored_in_the_label_are_ignored_in_the_prediction():
    target, predicted = draw_boxes((DISC, 5, 5, 10, 10)), draw_boxes((DISC, 5, 5, 10, 10), (DISC, 30, 30, 10, 10))
    assert count_image_parts(predicted, target, 6)[DISC].tolist() == [1, 2]
    target[:, 25:] = IGNORE_INDEX
    assert count_image_parts(predicted, target, 6)[DISC].tolist() == [1, 1]


def test_an_ignored_image_has_no_components():
    assert count_parts(np.full((8, 8), IGNORE_INDEX, dtype=np.uint8), 6).tolist() == [0] * 6


LABEL = draw_boxes((DISC, 2, 2, 8, 20), (SAC, 15, 5, 6, 6), (SAC, 15, 20, 6, 6))
PREDICTION = draw_boxes((DISC, 2, 2, 8, 8), (DISC, 2, 14, 8, 8), (SAC, 15, 5, 6, 21), (AAP, 30, 5, 3, 3))
"""The disc is split in two, two sacs are merged, and an AAP is invented; it is missed if the two maps are swapped."""


def count_all(pairs: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Confusion counts and component counts of images, each given as a label and a prediction."""
    counts = [count_confusion(torch.tensor(p)[None], torch.tensor(label)[None], 6)[0].numpy() for label, p in pairs]
    return np.stack(counts), np.stack([count_image_parts(prediction, label, 6) for label, prediction in pairs])


def test_failures_by_class_and_image():
    masks = find_failures(*count_all([(LABEL, PREDICTION), (PREDICTION, LABEL), (LABEL, LABEL)]))
    failures = {kind: [tuple(map(int, entry)) for entry in np.argwhere(mask)] for kind, mask in masks.items()}
    assert failures == {
        "missed": [(1, AAP)],
        "invented": [(0, AAP)],
        "split": [(0, DISC), (1, SAC)],
        "merged": [(0, SAC), (1, DISC)],
    }


def test_summary_counts_images():
    counts, parts = count_all([(LABEL, PREDICTION), (LABEL, PREDICTION), (PREDICTION, LABEL)])
    summary = summarise_failures(counts, parts, LUMBAR)
    assert summary["labelled"] == {**dict.fromkeys(LUMBAR.keys, 3), "unregistered": 0, "posterior_element": 0, "aap": 1}
    assert [summary[kind]["aap"] for kind in FAILURES] == [1, 2, 0, 0]
    assert [summary[kind]["intervertebral_disc"] for kind in FAILURES] == [0, 0, 2, 1]
    assert summary["part_share"] == 0.1
