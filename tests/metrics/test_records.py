from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from lss_lightning.labels import IGNORE_INDEX, LUMBAR
from lss_lightning.metrics import Records, RecordsMetric, summarise_metrics, summarise_overlap
from lss_lightning.metrics.boundary import compute_boundary_metrics
from lss_lightning.metrics.calibration import foreground_band, reliability_bins
from lss_lightning.metrics.failures import count_image_parts

SIZES = [(40, 48), (48, 36), (48, 48), (30, 30)]
SPACINGS = [0.6875, 1.0, None, 0.5]
PATIENTS = ["a", "a", "b", "c"]
LEVELS = ["D3", "D4", "D3", None]


def make_batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (4, 6, 48, 48) that are correct in most pixels, and padded targets."""
    generator = torch.Generator().manual_seed(0)
    target = torch.full((4, 48, 48), IGNORE_INDEX, dtype=torch.uint8)
    for index, (height, width) in enumerate(SIZES):
        target[index, :height, :width] = 5
        target[index, 8:20, 8:20], target[index, 20:26, 8:28] = 1 + index % 3, 4
    logits = torch.randn(4, 6, 48, 48, generator=generator)
    logits.scatter_add_(1, target.where(target != IGNORE_INDEX, 0)[:, None].long(), torch.full((4, 1, 48, 48), 3.0))
    return logits, target


def make_records(*order: int) -> Records:
    """Records of images of the batch, added in this order, two at a time."""
    logits, target = make_batch()
    metric = RecordsMetric(LUMBAR)
    for start in range(0, len(order), 2):
        chosen = list(order[start : start + 2])
        sizes, spacings = [SIZES[i] for i in chosen], [SPACINGS[i] for i in chosen]
        metric.update(logits[chosen], target[chosen], torch.tensor(chosen), sizes, spacings)
    return Records(**metric.compute())


def test_each_image_is_evaluated_within_its_own_size_and_spacing():
    logits, target = make_batch()
    found = make_records(3, 1, 0, 2)
    assert found.indices.tolist() == [0, 1, 2, 3]
    assert found.finite.all()
    for index, ((height, width), spacing) in enumerate(zip(SIZES, SPACINGS, strict=True)):
        truth = target[index, :height, :width].numpy()
        single = logits[index, :, :height, :width]
        prediction = single.argmax(0).numpy().astype(np.uint8)
        boundary = compute_boundary_metrics(prediction, truth, 6, spacing)
        np.testing.assert_allclose(found.boundary[index], boundary)
        band = foreground_band(truth, LUMBAR.anatomical, spacing)
        expected = reliability_bins(single.softmax(0).numpy()[:, band], truth[band])
        np.testing.assert_allclose(found.reliability[index], expected, rtol=1e-5)
        assert found.counts[index].sum() == height * width
        np.testing.assert_array_equal(found.parts[index], count_image_parts(prediction, truth, 6))
        assert found.bf_tolerance[index] == pytest.approx(0.0075 * np.hypot(height, width) * (spacing or 1))


def test_images_with_non_finite_outputs_are_identified():
    logits, target = make_batch()
    logits[2, 3, 5, 5] = torch.nan
    logits[3, 0, 47, 47] = torch.inf
    metric = RecordsMetric(LUMBAR)
    metric.update(logits, target, torch.arange(4), SIZES, SPACINGS)
    assert Records(**metric.compute()).finite.tolist() == [True, True, False, False]


def test_metrics_of_a_group_are_those_of_its_images():
    found = make_records(0, 1, 2, 3)
    whole = summarise_metrics(found, PATIENTS, SPACINGS, LUMBAR, {"level": LEVELS, "side": ["l", "r", "l", "r"]})
    assert {column: list(groups) for column, groups in whole["by"].items()} == {
        "level": ["D3", "D4"],
        "side": ["l", "r"],
    }
    alone = summarise_metrics(make_records(0, 2), ["a", "b"], [SPACINGS[0], None], LUMBAR, {})
    group = whole["by"]["level"]["D3"]
    assert (group.pop("images"), group.pop("patients")) == (2, 2)
    alone.pop("by")
    assert alone["calibration"].pop("reliability").keys() == set(LUMBAR.keys)
    assert group == alone
    assert whole["iou"] == summarise_overlap(found.counts, PATIENTS, LUMBAR)["iou"]


def test_summary_is_strict_json():
    found = summarise_metrics(make_records(0, 1, 2, 3), PATIENTS, SPACINGS, LUMBAR, {"level": LEVELS})
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_intervals_contain_the_score_and_need_two_patients():
    found = summarise_metrics(make_records(0, 1, 2, 3), PATIENTS, SPACINGS, LUMBAR, {"level": LEVELS})
    low, high = found["iou_ci95"]["aap"]
    assert low < found["iou"]["aap"] < high
    low, high = found["mean_iou_anatomy_ci95"]
    assert low <= found["mean_iou_anatomy"] <= high
    assert found["by"]["level"]["D4"]["mean_iou_ci95"] is None
    assert found["by"]["level"]["D4"]["iou_ci95"] == dict.fromkeys(LUMBAR.keys)


@pytest.mark.filterwarnings("error")
def test_summary_without_images_is_null():
    empty = summarise_metrics(make_records(0, 1)[np.zeros(0, dtype=np.int64)], [], [], LUMBAR, {"level": []})
    assert empty["mean_iou"] is None
    assert empty["calibration"]["mean_ece"] is None
    assert empty["by"] == {"level": {}}


def test_numbers_of_patients_spacings_and_groups_must_match_the_images():
    with pytest.raises(ValueError, match="2 images but 3"):
        summarise_metrics(make_records(0, 1), ["a", "b"], [1.0, 1.0], LUMBAR, {"level": ["D3"] * 3})


def test_groups_are_in_the_given_order():
    severities = ["severe", "none", "mild", "severe"]
    columns: dict[str, list[str | None]] = {"severity": [*severities], "level": LEVELS}
    order = {"severity": ("none", "mild", "moderate", "severe")}
    found = summarise_metrics(make_records(0, 1, 2, 3), PATIENTS, SPACINGS, LUMBAR, columns, order)
    assert {column: list(groups) for column, groups in found["by"].items()} == {
        "severity": ["none", "mild", "severe"],
        "level": ["D3", "D4"],
    }
    assert found["by"]["severity"]["severe"]["images"] == 2


def test_concatenated_records_are_those_of_all_tests():
    whole = make_records(0, 1, 2, 3)
    parts = [whole[np.array(positions, dtype=np.int64)] for positions in ([2, 0], [3])]
    joined = Records.concatenate(parts)
    assert joined.indices.tolist() == [2, 0, 3]
    for name in ("counts", "boundary", "bf_tolerance", "reliability", "finite"):
        np.testing.assert_array_equal(getattr(joined, name), getattr(whole, name)[[2, 0, 3]])
