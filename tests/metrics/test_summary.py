from __future__ import annotations

import pytest

from lss_lightning.metrics import summarise_folds


def make_metrics(iou: float | None, mean: float | None) -> dict:
    by_class = {"disc": iou, "sac": 0.5}
    scores = dict.fromkeys(("iou", "dice", "precision", "recall"), by_class)
    return {**scores, **dict.fromkeys(("mean_iou", "mean_iou_anatomy", "mean_dice", "mean_dice_anatomy"), mean)}


def test_mean_and_sd_over_the_folds_that_define_a_score():
    summary = summarise_folds({"0": make_metrics(0.6, 0.1), "1": make_metrics(0.8, 0.2), "2": make_metrics(None, 0.6)})
    assert summary["count"] == 3
    assert summary["mean"]["iou"] == pytest.approx({"disc": 0.7, "sac": 0.5})
    assert summary["sd"]["iou"] == pytest.approx({"disc": 0.02**0.5, "sac": 0})
    assert summary["mean"]["mean_iou_anatomy"] == pytest.approx(0.3)
    assert summary["sd"]["mean_dice"] == pytest.approx(0.07**0.5)


def test_undefined_scores_are_null():
    summary = summarise_folds({"0": make_metrics(None, 0.1), "1": make_metrics(None, None)})
    assert (summary["mean"]["recall"]["disc"], summary["sd"]["recall"]["disc"]) == (None, None)
    assert (summary["mean"]["mean_iou"], summary["sd"]["mean_iou"]) == (0.1, None)
