import numpy as np
import pytest
from PIL import Image

from lss_lightning.labels import LUMBAR
from lss_lightning.reporting import plot_confusion, style
from lss_lightning.reporting.confusion import draw_confusion
from tests.reporting.class_sets import make_label_set


def make_counts():
    counts = np.diag([0, 700, 800, 900, 1000, 14_000_000])
    counts[1, 2] = 300
    counts[5, 3] = 1000
    return counts


def draw(counts, labels=LUMBAR):
    return draw_confusion(counts, labels, caption="c")


def cell_texts(axes, size=6):
    cells: dict[tuple[int, int], list[str]] = {}
    for text in axes.texts:
        column, row = text.get_position()
        cells.setdefault((round(row), round(column)), []).append(text.get_text())
    assert len(cells) == size * size
    return cells


def test_cells_hold_the_percentage_of_the_row_and_the_number_of_pixels():
    cells = cell_texts(draw(make_counts()).axes[0])

    assert cells[1, 1] == ["70.0 %", "700"]
    assert cells[1, 2] == ["30.0 %", "300"]
    assert cells[2, 1] == ["0 %", "0"]
    assert cells[2, 2] == ["100.0 %", "800"]
    assert cells[5, 3] == ["< 0.1 %", "1,000"]
    assert cells[5, 5] == ["> 99.9 %", "14,000,000"]


def test_row_of_an_absent_class_has_dashes():
    axes = draw(make_counts()).axes[0]
    cells = cell_texts(axes)
    assert [cells[0, column] for column in range(6)] == [["–"]] * 6

    shares = np.ma.filled(axes.images[0].get_array(), np.nan)
    assert np.isnan(shares[0]).all()
    np.testing.assert_allclose(shares[1:].sum(axis=1), 1)


def test_rows_have_names_of_true_classes_and_columns_short_names_of_predicted_classes():
    axes = draw(make_counts()).axes[0]
    rows = [tick.get_text().replace("\n", " ") for tick in axes.get_yticklabels()]
    assert rows == [label.name for label in LUMBAR]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == [label.short for label in LUMBAR]
    assert axes.get_ylabel() == "True class"
    assert axes.get_xlabel().startswith("Predicted class")


@pytest.mark.parametrize(("size", "texts"), [(2, 8), (20, 800), (60, 0)])
def test_figure_size_is_bounded_for_any_number_of_classes(size, texts):
    figure = draw(np.full((size, size), 5), make_label_set(size))
    assert len(figure.axes[0].texts) == texts
    assert style.WIDTH <= figure.get_figwidth() <= 20
    assert figure.get_figheight() <= 13


def test_png_has_the_page_width(tmp_path):
    plot_confusion(make_counts(), LUMBAR, tmp_path / "confusion.png", caption="c")
    with Image.open(tmp_path / "confusion.png") as image:
        assert image.format == "PNG"
        assert image.width == round(style.WIDTH * style.DPI)
