import json
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torchmetrics.classification import MulticlassJaccardIndex

from lss_lightning.labels import IGNORE_INDEX, LUMBAR, Label, LabelSet
from lss_lightning.metrics import (
    ConfusionMetric,
    dice,
    difference_of_iou_and_means,
    iou,
    iou_and_means,
    mean_defined,
    pool_patients,
    precision,
    recall,
    summarise_overlap,
)

FOUR = LabelSet(
    (
        Label("Background", "background", "Bg", 0, "#000000", anatomical=False),
        Label("Disc", "disc", "D", 1, "#0072b2", anatomical=True),
        Label("Sac", "sac", "S", 2, "#cc79a7", anatomical=True),
        Label("Cyst", "cyst", "C", 3, "#009e73", anatomical=True),
    )
)


@pytest.fixture
def two_images():
    """Two images of 2 x 4 pixels. No image has a cyst; the second one has no sac and one padding pixel."""
    target = torch.tensor([[[1, 1, 1, 0], [2, 2, 0, 0]], [[1, 0, 0, 0], [0, 0, 0, IGNORE_INDEX]]])
    predicted = torch.tensor([[[1, 1, 0, 0], [2, 1, 0, 0]], [[1, 0, 0, 0], [0, 0, 0, 2]]])
    metric = ConfusionMetric(len(FOUR))
    metric.update(predicted, target, torch.arange(2))
    return metric.compute()[1]


def test_pooled_scores_computed_by_hand(two_images):
    summary = summarise_overlap(two_images, ["a", "b"], FOUR)

    # Pooled pixels (hits, true, predicted): background 9, 9, 10; disc 3, 4, 4; sac 1, 2, 1; cyst none.
    assert summary["iou"] == {"background": 9 / 10, "disc": 3 / 5, "sac": 1 / 2, "cyst": None}
    assert summary["dice"] == {"background": 18 / 19, "disc": 6 / 8, "sac": 2 / 3, "cyst": None}
    assert summary["precision"] == {"background": 9 / 10, "disc": 3 / 4, "sac": 1.0, "cyst": None}
    assert summary["recall"] == {"background": 1.0, "disc": 3 / 4, "sac": 1 / 2, "cyst": None}
    assert summary["mean_iou"] == pytest.approx((0.9 + 0.6 + 0.5) / 3)
    assert summary["mean_iou_anatomy"] == pytest.approx((0.6 + 0.5) / 2)
    assert summary["mean_dice"] == pytest.approx((18 / 19 + 6 / 8 + 2 / 3) / 3)
    assert summary["mean_iou_without"] == {"background": pytest.approx((0.6 + 0.5) / 2)}


def test_per_image_scores_average_the_images_that_define_them(two_images):
    per_image = summarise_overlap(two_images, ["a", "a"], FOUR)["per_image"]

    # Background 3/4 and 1, disc 2/4 and 1, sac 1/2 in the only image with a sac.
    assert per_image["iou"] == {"background": 0.875, "disc": 0.75, "sac": 0.5, "cyst": None}
    assert per_image["mean_iou"] == pytest.approx((0.875 + 0.75 + 0.5) / 3)
    assert per_image["mean_iou_anatomy"] == pytest.approx((0.75 + 0.5) / 2)


def test_per_patient_scores_pool_the_images_of_a_patient(two_images):
    one_patient = summarise_overlap(two_images, ["a", "a"], FOUR)
    assert one_patient["per_patient"]["iou"] == one_patient["iou"]

    two_patients = summarise_overlap(two_images, ["b", "a"], FOUR)
    assert two_patients["per_patient"] == two_patients["per_image"]

    # Disc: patient a has 3/5 over the first two images, patient b has 1 on a copy of the second.
    three_images = two_images[[0, 1, 1]]
    mixed = summarise_overlap(three_images, ["a", "a", "b"], FOUR)
    assert mixed["per_patient"]["iou"]["disc"] == pytest.approx((3 / 5 + 1) / 2)
    assert mixed["per_image"]["iou"]["disc"] == pytest.approx((2 / 4 + 1 + 1) / 3)
    assert mixed["iou"]["disc"] == pytest.approx(4 / 6)
    # Patients are resampled, not images.
    as_one_image_each = summarise_overlap(pool_patients(three_images, ["a", "a", "b"]), ["a", "b"], FOUR)
    assert mixed["iou_ci95"] == as_one_image_each["iou_ci95"]


def test_images_of_a_patient_need_not_be_adjacent(two_images):
    pooled = pool_patients(two_images[[0, 1, 0]], ["b", "a", "b"])
    np.testing.assert_array_equal(pooled, [two_images[1], 2 * two_images[0]])


def test_pooled_iou_equals_that_of_torchmetrics():
    generator = torch.Generator().manual_seed(3)
    target = torch.randint(0, len(LUMBAR), (4, 32, 32), generator=generator)
    wrong = torch.rand(target.shape, generator=generator) < 0.3
    predicted = torch.where(wrong, torch.randint(0, len(LUMBAR), target.shape, generator=generator), target)
    target[:, :2] = IGNORE_INDEX
    metric = ConfusionMetric(len(LUMBAR))
    metric.update(predicted, target, torch.arange(4))

    summary = summarise_overlap(metric.compute()[1], ["a", "a", "b", "c"], LUMBAR)

    averages: dict[Literal["none", "macro"], Any] = {"none": [*summary["iou"].values()], "macro": summary["mean_iou"]}
    for average, ours in averages.items():
        theirs = MulticlassJaccardIndex(len(LUMBAR), average=average, ignore_index=IGNORE_INDEX)(predicted, target)
        assert ours == pytest.approx(theirs.tolist(), abs=1e-6)


def test_undefined_and_zero_scores():
    # Rows are true: class 1 is only in the label, class 2 only in the prediction, class 3 in neither.
    counts = np.array([[5, 0, 2, 0], [4, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    for score in (iou, dice):
        np.testing.assert_array_equal(score(counts)[1:], [0, 0, np.nan])
    np.testing.assert_array_equal(precision(counts), [5 / 9, np.nan, 0, np.nan])
    np.testing.assert_array_equal(recall(counts), [5 / 7, 0, np.nan, np.nan])


def test_mean_ignores_undefined_scores():
    scores = np.array([[0.2, np.nan, 0.6], [np.nan, np.nan, 1.0]])
    np.testing.assert_allclose(mean_defined(scores), [0.4, 1.0])
    np.testing.assert_allclose(mean_defined(scores, axis=0), [0.2, np.nan, 0.8])


@pytest.mark.filterwarnings("error")
def test_summary_without_images_is_null():
    summary = summarise_overlap(np.zeros((0, 6, 6), dtype=np.int64), [], LUMBAR)
    nothing = dict.fromkeys(LUMBAR.keys)
    means = ("mean_iou", "mean_iou_anatomy", "mean_dice", "mean_dice_anatomy")
    averaged = {"iou": nothing, "dice": nothing, **dict.fromkeys(means)}
    by_class = ("iou", "iou_ci95", "dice", "dice_ci95", "precision", "recall")
    without = {"unregistered": None, "other": None}
    assert summary == {
        **dict.fromkeys(by_class, nothing),
        **dict.fromkeys((*means, *(f"{mean}_ci95" for mean in means))),
        "mean_iou_without": without,
        "mean_iou_without_ci95": without,
        "per_image": averaged,
        "per_patient": averaged,
    }


def test_a_label_set_without_anatomy_has_no_anatomical_mean(two_images):
    no_anatomy = LabelSet(tuple(replace(label, anatomical=False) for label in FOUR))
    assert summarise_overlap(two_images, ["a", "b"], no_anatomy)["mean_iou_anatomy"] is None


def test_summary_is_strict_json(two_images):
    summary = summarise_overlap(two_images, ["a", "b"], FOUR)
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary


def test_numbers_of_patients_and_images_must_match(two_images):
    with pytest.raises(ValueError, match="2 images but 3 patient ids"):
        pool_patients(two_images, ["a", "b", "c"])


def test_differences_of_means_ignore_classes_that_one_test_lacks():
    first = np.diag([8, 4, 4, 4])  # all correct
    # Half of the disc is missed, and there is no cyst.
    second = np.array([[8, 0, 0, 0], [2, 2, 0, 0], [0, 0, 4, 0], [0, 0, 0, 0]])
    difference = difference_of_iou_and_means(first, second, FOUR)
    np.testing.assert_allclose(difference[:3], [1 - 8 / 10, 1 - 2 / 4, 0])
    assert np.isnan(difference[3])
    np.testing.assert_allclose(difference[4:], [(0.2 + 0.5 + 0) / 3, (0.5 + 0) / 2])
    # If both have all classes, it is the difference of the scores.
    third = second + np.diag([0, 0, 0, 4])
    np.testing.assert_allclose(
        difference_of_iou_and_means(first, third, FOUR), iou_and_means(first, FOUR) - iou_and_means(third, FOUR)
    )
