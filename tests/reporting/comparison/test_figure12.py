from __future__ import annotations

import math
from dataclasses import replace

from PIL import Image

from lss_lightning.reporting import style
from lss_lightning.reporting.comparison import TrainingCurves, plot_figure12
from lss_lightning.reporting.comparison.figure12 import draw_figure12


def make_rows(number: int, loss: float) -> list[dict[str, float]]:
    names = [f"{part}/{score}" for part in ("train", "val") for score in ("loss", "mean_iou", "mean_iou_anatomy")]
    return [
        {"epoch": epoch, **{name: (loss if name.endswith("loss") else 0.8) / (epoch + 1) for name in names}}
        for epoch in range(number)
    ]


def test_all_runs_have_the_same_axis_limits(tmp_path):
    curves = [
        TrainingCurves("a", [make_rows(5, 2.0)], [3]),
        TrainingCurves("b", [make_rows(9, 0.5), make_rows(9, 0.4)], [None, 4]),
    ]
    figure = draw_figure12(curves, caption="c")
    losses = [axes for axes in figure.axes if axes.get_ylabel() == "Loss"]
    assert [sum("/" in str(line.get_label()) for line in axes.lines) for axes in losses] == [2, 4]
    assert losses[0].get_ylim() == losses[1].get_ylim()
    assert losses[0].get_xlim() == losses[1].get_xlim() == (-0.5, 8.5)
    assert losses[0].get_yscale() == "log"
    many = [replace(curves[0], title=f"run {number}") for number in range(9)]
    plot_figure12(many, tmp_path / "many.png", caption="c")
    with Image.open(tmp_path / "many.png") as image:
        assert image.width == round(style.WIDTH * style.DPI)


def test_run_without_a_finite_loss_has_a_note():
    rows = [{"epoch": 0, "train/loss": math.nan, "train/mean_iou": 0.1}]
    figure = draw_figure12([TrainingCurves("a", [rows], [None])], caption="c")
    assert [text.get_text() for axes in figure.axes for text in axes.texts] == ["No finite values"]
