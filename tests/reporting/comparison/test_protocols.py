from __future__ import annotations

import csv
import math
from typing import Any

import numpy as np

from lss_lightning.labels import LUMBAR
from lss_lightning.reporting.comparison import (
    ModelScores,
    ProtocolEffect,
    make_ceiling_table,
    make_effect_table,
    make_protocol_table,
    plot_protocols,
    write_effects,
)
from lss_lightning.reporting.comparison.protocols import draw_protocols
from tests.reporting.comparison.results import make_result, read_column


def make_model_scores(model: str, published: dict[str, float]) -> ModelScores:
    metrics = {protocol: make_result().metrics for protocol in ("resubstitution", "image", "patient")}
    return ModelScores(model, metrics, published)


def test_protocols_are_side_by_side(tmp_path):
    shifts = np.array([[0.9] * 6, [0.8] * 6])
    models = [
        make_model_scores("resunet", {"thecal_sac": 0.982, "mean_iou_anatomy": 0.983}),
        make_model_scores("other", {}),
    ]
    figure: Any = draw_protocols(models, {0.5: shifts[0], 1.0: shifts[1]}, LUMBAR, caption="c")
    assert [axes.get_title() for axes in figure.axes] == ["resunet", "other"]
    names = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert names == ["Intervertebral Disc", "Posterior Element", "Thecal Sac", "AAP", "Mean of these"]
    crosses = [line for line in figure.axes[0].lines if line.get_marker() == "x"]
    assert [float(line.get_xdata()[0]) for line in crosses] == [0.982, 0.983]
    assert not [line for line in figure.axes[1].lines if line.get_marker() == "x"]
    plot_protocols(models, {1.0: shifts[1]}, LUMBAR, tmp_path / "protocols.png", caption="c")
    table = make_protocol_table(models)
    assert table.columns == ["Model", "Resubstitution", "Image", "Patient", "Paper"]
    assert [row[-1] for row in table.rows] == ["0.983", "–"]


def test_effects_in_table_and_csv(tmp_path):
    difference = np.array([math.nan, 0.1, 0.2, 0.0, -0.05, 0.01, 0.04, 0.06])
    bounds = np.stack((difference - 0.01, difference + 0.01), axis=1)
    effects = [
        ProtocolEffect("resunet", difference, bounds),
        ProtocolEffect("other", difference, np.full_like(bounds, math.nan)),
    ]
    table = make_effect_table(effects, LUMBAR, "caption")
    assert read_column(table, "resunet")["Intervertebral Disc"] == "+0.100 [+0.090, +0.110]"
    assert read_column(table, "other")["AAP"] == "−0.050"
    assert read_column(table, "resunet")["Unregistered"] == "–"
    assert [row[0] for row in table.foot] == ["Mean over classes", "Mean over anatomical classes"]
    write_effects({"one": effects}, LUMBAR, tmp_path / "effects.csv", "note")
    with (tmp_path / "effects.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))[:-1]
    assert len(rows) == 2 * 8
    assert (rows[1]["difference"], rows[1]["ci95_low"]) == ("0.1", "0.09")


def test_ceiling_table():
    shifts = np.array([[math.nan, 0.9, 0.8, 0.7, 0.6, 1.0], [math.nan, 0.8, 0.6, 0.4, 0.2, 0.9]])
    table = make_ceiling_table((0.5, 1.0), shifts, shifts[0], LUMBAR, "caption")
    assert table.columns == ["Class", "Shifted by 0.5 px", "Shifted by 1 px", "Between annotators"]
    assert table.foot == [["Mean over anatomical classes", "0.750", "0.500", "0.750"]]
    assert table.rows[0] == ["Unregistered", "–", "–", "–"]
    assert len(make_ceiling_table((0.5, 1.0), shifts, None, LUMBAR, "caption").columns) == 3
