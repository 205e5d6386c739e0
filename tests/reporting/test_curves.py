import math

import pytest
from matplotlib.colors import to_hex
from matplotlib.legend import Legend
from PIL import Image

from lss_lightning.reporting import plot_curves, style
from lss_lightning.reporting.curves import draw_curves

COLUMNS = [f"{part}/{score}" for part in ("train", "val") for score in ("loss", "mean_iou", "mean_iou_anatomy")]


def epochs(count, columns=COLUMNS):
    return [{"epoch": e, **{column: (e + 1 + 3 * i) / 100 for i, column in enumerate(columns)}} for e in range(count)]


def lines_of(axes):
    return {line.get_label(): line for line in axes.lines if "/" in line.get_label()}


def legend_of(figure):
    (legend,) = figure.findobj(Legend)
    return [text.get_text() for text in legend.get_texts()]


def test_each_column_is_a_line_in_its_panel():
    rows = epochs(40)
    loss, overlap = draw_curves(rows, caption="c").axes

    assert set(lines_of(loss)) == {"train/loss", "val/loss"}
    assert set(lines_of(overlap)) == set(COLUMNS) - {"train/loss", "val/loss"}
    for column, line in {**lines_of(loss), **lines_of(overlap)}.items():
        assert line.get_xydata().tolist() == [[row["epoch"], row[column]] for row in rows]
        assert to_hex(line.get_color()) == (style.TRAINING if column.startswith("train") else style.VALIDATION)
        assert line.get_linestyle() == ("--" if column.endswith("/mean_iou") else "-")
    assert (loss.get_ylabel(), overlap.get_ylabel(), loss.get_xlabel()) == ("Loss", "Mean IoU", "Epoch")
    assert overlap.get_ylim() == (0, 1)


def test_loss_is_seen_from_zero():
    rows = [{"epoch": e, "train/loss": 2 - e / 10} for e in range(3)]
    low, high = draw_curves(rows, caption="c").axes[0].get_ylim()
    assert low <= 0
    assert high > 2


def test_legend_names_what_is_drawn():
    means = ["Mean IoU of anatomical classes", "Mean IoU of all classes"]
    assert legend_of(draw_curves(epochs(3), caption="c")) == ["Training", "Validation", *means]

    alone = draw_curves(epochs(3, COLUMNS[:3]), caption="c", best_epoch=2)
    assert legend_of(alone) == ["Training", *means, "Best epoch (2)"]


def test_best_epoch_is_marked_in_both_panels():
    for axes in draw_curves(epochs(9), caption="c", best_epoch=4).axes:
        assert [line.get_xdata() for line in axes.lines if "/" not in line.get_label()] == [[4, 4]]


def test_missing_and_undefined_values_are_left_out():
    rows = epochs(6)
    for row in rows[1::2]:
        row["val/loss"] = math.nan
        del row["val/mean_iou"]
    rows[2]["train/loss"] = math.inf
    loss, overlap = draw_curves(rows, caption="c").axes

    assert lines_of(loss)["val/loss"].get_xdata().tolist() == [0, 2, 4]
    assert lines_of(overlap)["val/mean_iou"].get_xdata().tolist() == [0, 2, 4]
    assert lines_of(loss)["train/loss"].get_xdata().tolist() == [0, 1, 3, 4, 5]


def test_one_epoch_is_seen_as_points_over_one_whole_tick():
    figure = draw_curves([{**row, "epoch": 7} for row in epochs(1)], caption="c", best_epoch=7)
    figure.draw_without_rendering()
    for axes in figure.axes:
        assert all(line.get_marker() == "o" for line in lines_of(axes).values())
        low, high = axes.get_xlim()
        assert [tick for tick in axes.get_xticks() if low <= tick <= high] == [7]


@pytest.mark.filterwarnings("error")
def test_a_panel_without_a_finite_value_says_so():
    rows = [{"epoch": e, "train/loss": math.nan, "train/mean_iou": 0.1} for e in range(3)]
    loss, overlap = draw_curves(rows, caption="c").axes
    assert [text.get_text() for text in loss.texts] == ["No finite values"]
    assert not overlap.texts


def test_file_is_a_png_of_the_page_width(tmp_path):
    plot_curves(epochs(3), tmp_path / "curves.png", caption="c")
    with Image.open(tmp_path / "curves.png") as image:
        assert image.format == "PNG"
        assert image.width == round(style.WIDTH * style.DPI)
