import math

import pytest
from matplotlib.colors import to_hex
from matplotlib.legend import Legend
from PIL import Image

from lss_lightning.reporting import plot_curves, style
from lss_lightning.reporting.curves import draw_curves

COLUMNS = [f"{part}/{score}" for part in ("train", "val") for score in ("loss", "mean_iou", "mean_iou_anatomy")]


def make_rows(count, columns=COLUMNS):
    return [
        {"epoch": epoch, **{column: (epoch + 1 + 3 * i) / 100 for i, column in enumerate(columns)}}
        for epoch in range(count)
    ]


def draw(rows, best_epoch=None):
    return draw_curves(rows, caption="c", best_epoch=best_epoch)


def lines_of(axes):
    return {line.get_label(): line for line in axes.lines if "/" in line.get_label()}


def legend_of(figure):
    (legend,) = figure.findobj(Legend)
    return [text.get_text() for text in legend.get_texts()]


def test_each_column_has_a_line_in_its_panel():
    rows = make_rows(40)
    loss, overlap = draw(rows).axes

    assert set(lines_of(loss)) == {"train/loss", "val/loss"}
    assert set(lines_of(overlap)) == set(COLUMNS) - {"train/loss", "val/loss"}
    for column, line in {**lines_of(loss), **lines_of(overlap)}.items():
        assert line.get_xydata().tolist() == [[row["epoch"], row[column]] for row in rows]
        assert to_hex(line.get_color()) == (style.TRAINING if column.startswith("train") else style.VALIDATION)
        assert line.get_linestyle() == ("--" if column.endswith("/mean_iou") else "-")
    assert (loss.get_ylabel(), overlap.get_ylabel(), loss.get_xlabel()) == ("Loss", "Mean IoU", "Epoch")
    assert overlap.get_ylim() == (0, 1)


def test_loss_axis_includes_zero():
    rows = [{"epoch": epoch, "train/loss": 2 - epoch / 10} for epoch in range(3)]
    low, high = draw(rows).axes[0].get_ylim()
    assert low <= 0
    assert high > 2


def test_legend_lists_the_drawn_lines():
    means = ["Mean IoU over anatomical classes", "Mean IoU over all classes"]
    assert legend_of(draw(make_rows(3))) == ["Training", "Validation", *means]

    training_only = draw(make_rows(3, COLUMNS[:3]), best_epoch=2)
    assert legend_of(training_only) == ["Training", *means, "Best epoch (2)"]


def test_best_epoch_is_marked_in_both_panels():
    for axes in draw(make_rows(9), best_epoch=4).axes:
        assert [line.get_xdata() for line in axes.lines if "/" not in line.get_label()] == [[4, 4]]


def test_missing_and_undefined_values_are_left_out():
    rows = make_rows(6)
    for row in rows[1::2]:
        row["val/loss"] = math.nan
        del row["val/mean_iou"]
    rows[2]["train/loss"] = math.inf
    loss, overlap = draw(rows).axes

    assert lines_of(loss)["val/loss"].get_xdata().tolist() == [0, 2, 4]
    assert lines_of(overlap)["val/mean_iou"].get_xdata().tolist() == [0, 2, 4]
    assert lines_of(loss)["train/loss"].get_xdata().tolist() == [0, 1, 3, 4, 5]


def test_single_epoch_is_drawn_as_markers_at_an_integer_tick():
    figure = draw([{**row, "epoch": 7} for row in make_rows(1)], best_epoch=7)
    figure.draw_without_rendering()
    for axes in figure.axes:
        assert all(line.get_marker() == "o" for line in lines_of(axes).values())
        low, high = axes.get_xlim()
        assert [tick for tick in axes.get_xticks() if low <= tick <= high] == [7]


@pytest.mark.filterwarnings("error")
def test_panel_without_finite_values_has_a_note():
    rows = [{"epoch": epoch, "train/loss": math.nan, "train/mean_iou": 0.1} for epoch in range(3)]
    loss, overlap = draw(rows).axes
    assert [text.get_text() for text in loss.texts] == ["No finite values"]
    assert not overlap.texts


def test_png_has_the_page_width(tmp_path):
    plot_curves(make_rows(3), tmp_path / "curves.png", caption="c")
    with Image.open(tmp_path / "curves.png") as image:
        assert image.format == "PNG"
        assert image.width == round(style.WIDTH * style.DPI)
