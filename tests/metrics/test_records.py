from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from lss_lightning.labels import IGNORED, LUMBAR
from lss_lightning.metrics import ImageRecords, Records, summarise_metrics, summarise_overlap
from lss_lightning.metrics.boundary import boundary_measures
from lss_lightning.metrics.calibration import foreground_band, reliability_bins
from lss_lightning.metrics.failures import image_parts

SIZES = [(40, 48), (48, 36), (48, 48), (30, 30)]
SPACINGS = [0.6875, 1.0, None, 0.5]
PATIENTS = ["a", "a", "b", "c"]
LEVELS = ["D3", "D4", "D3", None]


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (4, 6, 48, 48) that are right for most pixels, and padded targets."""
    generator = torch.Generator().manual_seed(0)
    target = torch.full((4, 48, 48), IGNORED, dtype=torch.uint8)
    for place, (height, width) in enumerate(SIZES):
        target[place, :height, :width] = 5
        target[place, 8:20, 8:20], target[place, 20:26, 8:28] = 1 + place % 3, 4
    logits = torch.randn(4, 6, 48, 48, generator=generator)
    logits.scatter_add_(1, target.where(target != IGNORED, 0)[:, None].long(), torch.full((4, 1, 48, 48), 3.0))
    return logits, target


def records(*order: int) -> Records:
    """Found in images of the batch, given two by two, in this order."""
    logits, target = batch()
    metric = ImageRecords(LUMBAR)
    for start in range(0, len(order), 2):
        chosen = list(order[start : start + 2])
        sizes, spacings = [SIZES[i] for i in chosen], [SPACINGS[i] for i in chosen]
        metric.update(logits[chosen], target[chosen], torch.tensor(chosen), sizes, spacings)
    return Records(**metric.compute())


def test_each_image_is_measured_within_its_own_size_and_spacing():
    logits, target = batch()
    found = records(3, 1, 0, 2)
    assert found.indices.tolist() == [0, 1, 2, 3]
    assert found.finite.all()
    for place, ((height, width), spacing) in enumerate(zip(SIZES, SPACINGS, strict=True)):
        truth = target[place, :height, :width].numpy()
        single = logits[place, :, :height, :width]
        np.testing.assert_allclose(
            found.boundary[place], boundary_measures(single.argmax(0).numpy().astype(np.uint8), truth, 6, spacing)
        )
        band = foreground_band(truth, LUMBAR.anatomical, spacing)
        expected = reliability_bins(single.softmax(0).numpy()[:, band], truth[band])
        np.testing.assert_allclose(found.reliability[place], expected, rtol=1e-5)
        assert found.counts[place].sum() == height * width
        ours = single.argmax(0).numpy().astype(np.uint8)
        np.testing.assert_array_equal(found.parts[place], image_parts(ours, truth, 6))
        assert found.bf_tolerance[place] == pytest.approx(0.0075 * np.hypot(height, width) * (spacing or 1))


def test_an_output_that_is_not_finite_is_known_by_its_image():
    logits, target = batch()
    logits[2, 3, 5, 5] = torch.nan
    logits[3, 0, 47, 47] = torch.inf
    metric = ImageRecords(LUMBAR)
    metric.update(logits, target, torch.arange(4), SIZES, SPACINGS)
    assert Records(**metric.compute()).finite.tolist() == [True, True, False, False]


def test_figures_of_a_group_are_those_of_its_images_alone():
    found = records(0, 1, 2, 3)
    whole = summarise_metrics(found, PATIENTS, SPACINGS, LUMBAR, {"level": LEVELS, "side": ["l", "r", "l", "r"]})
    assert {column: list(groups) for column, groups in whole["by"].items()} == {
        "level": ["D3", "D4"],
        "side": ["l", "r"],
    }
    alone = summarise_metrics(records(0, 2), ["a", "b"], [SPACINGS[0], None], LUMBAR, {})
    group = whole["by"]["level"]["D3"]
    assert (group.pop("images"), group.pop("patients")) == (2, 2)
    alone.pop("by")
    assert alone["calibration"].pop("reliability").keys() == set(LUMBAR.keys)
    assert group == alone
    assert whole["iou"] == summarise_overlap(found.counts, PATIENTS, LUMBAR)["iou"]


def test_summary_is_strict_json():
    found = summarise_metrics(records(0, 1, 2, 3), PATIENTS, SPACINGS, LUMBAR, {"level": LEVELS})
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_intervals_enclose_the_figures_and_need_two_patients():
    found = summarise_metrics(records(0, 1, 2, 3), PATIENTS, SPACINGS, LUMBAR, {"level": LEVELS})
    low, high = found["iou_ci95"]["aap"]
    assert low < found["iou"]["aap"] < high
    low, high = found["mean_iou_anatomy_ci95"]
    assert low <= found["mean_iou_anatomy"] <= high
    assert found["by"]["level"]["D4"]["mean_iou_ci95"] is None
    assert found["by"]["level"]["D4"]["iou_ci95"] == dict.fromkeys(LUMBAR.keys)


@pytest.mark.filterwarnings("error")
def test_no_images_are_null():
    nothing = summarise_metrics(records(0, 1)[np.zeros(0, dtype=np.int64)], [], [], LUMBAR, {"level": []})
    assert nothing["mean_iou"] is None
    assert nothing["calibration"]["mean_ece"] is None
    assert nothing["by"] == {"level": {}}


def test_a_patient_a_spacing_and_a_group_for_every_image():
    with pytest.raises(ValueError, match="2 images but 3"):
        summarise_metrics(records(0, 1), ["a", "b"], [1.0, 1.0], LUMBAR, {"level": ["D3"] * 3})


def test_groups_come_in_the_order_that_is_given():
    severities = ["severe", "none", "mild", "severe"]
    columns, order = {"severity": severities, "level": LEVELS}, {"severity": ("none", "mild", "moderate", "severe")}
    found = summarise_metrics(records(0, 1, 2, 3), PATIENTS, SPACINGS, LUMBAR, columns, order)
    assert {column: list(groups) for column, groups in found["by"].items()} == {
        "severity": ["none", "mild", "severe"],
        "level": ["D3", "D4"],
    }
    assert found["by"]["severity"]["severe"]["images"] == 2


def test_joined_records_are_those_of_all_tests_in_turn():
    whole = records(0, 1, 2, 3)
    parts = [whole[np.array(places, dtype=np.int64)] for places in ([2, 0], [3])]
    joined = Records.joined(parts)
    assert joined.indices.tolist() == [2, 0, 3]
    for name in ("counts", "boundary", "bf_tolerance", "reliability", "finite"):
        np.testing.assert_array_equal(getattr(joined, name), getattr(whole, name)[[2, 0, 3]])
