from __future__ import annotations

import json
from typing import Any

import numpy as np

from lss_lightning.labels import LUMBAR
from lss_lightning.reporting.loggers import read_result
from tests.reporting.loggers.samples import make_result


def test_a_result_is_read_from_the_run_directory(tmp_path):
    make_result(tmp_path / "report")
    scores = {key: None if key == "aap" else 0.5 for key in LUMBAR.keys}
    metrics: dict[str, Any] = {"mean_iou": 0.5, "mean_iou_anatomy": None, "iou": scores, "dice": scores}
    metrics["validation"] = {"objective": 0.4, "epoch": 7}
    metrics["folds"] = {kind: {"mean_iou": 0.3, "mean_iou_anatomy": None} for kind in ("mean", "sd")}
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    result = read_result(tmp_path, confusion=np.eye(6, dtype=np.int64), rows=[], checkpoint=None)
    assert result.metrics["objective"] == 0.4
    assert result.metrics["test/dice/other"] == 0.5
    folds = {name for name in result.metrics if name.startswith("folds")}
    assert folds == {"folds/mean/mean_iou", "folds/sd/mean_iou"}
    assert not {"test/iou/aap", "test/mean_iou_anatomy"} & result.metrics.keys()
    assert result.epoch == 7
    assert list(result.pages) == ["index"]
    assert list(result.figures) == ["confusion", "curves"]
