from __future__ import annotations

import pytest

from lss_lightning.metrics import summarise_folds


def figures(iou: float | None, mean: float | None) -> dict:
    by_class = {"disc": iou, "sac": 0.5}
    scores = dict.fromkeys(("iou", "dice", "precision", "recall"), by_class)
    return {**scores, **dict.fromkeys(("mean_iou", "mean_iou_anatomy", "mean_dice", "mean_dice_anatomy"), mean)}


def test_mean_and_sample_deviation_over_the_groups_that_define_a_score():
    found = summarise_folds({"0": figures(0.6, 0.1), "1": figures(0.8, 0.2), "2": figures(None, 0.6)})
    assert found["count"] == 3
    assert found["mean"]["iou"] == pytest.approx({"disc": 0.7, "sac": 0.5})
    assert found["sd"]["iou"] == pytest.approx({"disc": 0.02**0.5, "sac": 0})
    assert found["mean"]["mean_iou_anatomy"] == pytest.approx(0.3)
    assert found["sd"]["mean_dice"] == pytest.approx(0.07**0.5)


def test_what_is_not_defined_is_null():
    found = summarise_folds({"0": figures(None, 0.1), "1": figures(None, None)})
    assert (found["mean"]["recall"]["disc"], found["sd"]["recall"]["disc"]) == (None, None)
    assert (found["mean"]["mean_iou"], found["sd"]["mean_iou"]) == (0.1, None)
