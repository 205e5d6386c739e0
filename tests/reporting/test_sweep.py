from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from lss_lightning.reporting import style
from lss_lightning.reporting.heat_map import draw_heat_map, grid_of, plot_heat_map
from lss_lightning.reporting.parallel import draw_parallel, plot_parallel
from lss_lightning.reporting.scale import Scale
from lss_lightning.sweeps.jobs import FAILED
from lss_lightning.sweeps.results import read_results
from tests.sweeps.made import make_grid, make_job

RATES, SIZES = (0.1, 0.01, 0.001), (2, 4, 6, 8)


@pytest.fixture
def grid(tmp_path):
    return read_results(make_grid(tmp_path, RATES, SIZES))


def texts(axes):
    return {(round(text.get_position()[1]), round(text.get_position()[0])): text.get_text() for text in axes.texts}


def test_cells_hold_the_objective_and_the_sign_of_how_jobs_ended(grid):
    figure = draw_heat_map(grid_of(grid), caption="c")
    axes = figure.axes[0]
    cells = texts(axes)
    assert [cells[0, column] for column in range(4)] == ["×"] * 4  # rows from the greatest rate on
    assert [cells[1, column] for column in range(4)] == ["0.510", "0.530", "0.550", "0.570"]
    assert cells[2, 3] == "0.579"
    shown = np.ma.filled(axes.images[0].get_array(), np.nan)
    assert np.isnan(shown[0]).all()
    np.testing.assert_allclose(shown[2], [0.519, 0.539, 0.559, 0.579])
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["0.1", "0.01", "0.001"]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["2", "4", "6", "8"]
    assert axes.get_xlabel() == "Batch size, images per device\ndata.batch_size"
    assert axes.get_ylabel() == "Learning rate\noptimizer.lr"
    legend = [text.get_text() for part in figure.subfigs for one in part.legends for text in one.get_texts()]
    assert legend == ["best", "× diverged"]
    frames = [patch.get_xy() for patch in axes.patches if not patch.get_fill()]
    assert frames == [(2.5, 1.5)]


def test_a_third_parameter_makes_panels_and_missing_cells_are_marked(tmp_path):
    number = 0
    for model in ("resunet", "vgg16_unet"):
        for rate in RATES:
            for size in SIZES:
                if (model, rate, size) != ("vgg16_unet", 0.001, 8):
                    overrides = [f"model={model}", f"optimizer.lr={rate}", f"data.batch_size={size}"]
                    make_job(tmp_path, str(number), overrides, 0.5 + 0.001 * number)
                    number += 1
    figure = draw_heat_map(grid_of(read_results(tmp_path)), caption="c")
    first, second = figure.axes[:2]
    assert (first.get_title(), second.get_title()) == ("model=resunet", "model=vgg16_unet")
    assert len(texts(first)) == 12
    assert list(texts(second).values()).count("") == 1
    legend = [text.get_text() for part in figure.subfigs for one in part.legends for text in one.get_texts()]
    assert legend == ["best", "not run"]


def test_repeats_are_averaged_in_their_cell(tmp_path):
    number = 0
    for rate in RATES:
        for size in SIZES:
            for seed in (1, 2):
                overrides = [f"optimizer.lr={rate}", f"data.batch_size={size}", f"seed={seed}"]
                make_job(tmp_path, str(number), overrides, 0.2 * seed)
                number += 1
    cells = texts(draw_heat_map(grid_of(read_results(tmp_path)), caption="c").axes[0])
    assert set(cells.values()) == {"0.300"}


def test_a_sweep_that_is_no_grid_has_no_heat_map(tmp_path):
    for number in range(6):
        make_job(tmp_path, str(number), [f"optimizer.lr={10 ** -(1 + number / 2)}", f"data.batch_size={number}"], 0.5)
    results = read_results(tmp_path)
    assert grid_of(results) is None
    assert not plot_heat_map(results, tmp_path / "heat_map.png", caption="c")
    assert not (tmp_path / "heat_map.png").exists()


def test_without_an_objective_there_is_no_picture(tmp_path):
    for number, (rate, size) in enumerate((rate, size) for rate in RATES for size in SIZES):
        make_job(tmp_path, str(number), [f"optimizer.lr={rate}", f"data.batch_size={size}"], state=FAILED)
    results = read_results(tmp_path)
    assert not plot_heat_map(results, tmp_path / "a.png", caption="c")
    assert not plot_parallel(results, tmp_path / "b.png", caption="c")
    assert not list(tmp_path.glob("*.png"))


def test_lines_run_through_their_values_to_the_objective(grid):
    figure = draw_parallel(grid, caption="c")
    lines = [line for line in figure.axes[0].lines if len(line.get_xdata()) > 2]
    assert len(lines) == 12
    best = max(lines, key=lambda line: line.get_linewidth())
    heights = dict(zip(best.get_xdata().round(6), best.get_ydata(), strict=True))
    assert [heights[place] for place in (0, 1, 2)] == pytest.approx([0, 1, 1])  # 0.001, 8, the best
    assert best is lines[-1]
    diverged = [line for line in lines if line.get_linestyle() == "--"]
    assert len(diverged) == 4
    assert all(line.get_ydata()[-1] < 0 for line in diverged)
    shown = [text.get_text() for text in figure.axes[0].texts]
    assert {"Learning rate\noptimizer.lr", "0.01", "8"} <= set(shown)


def test_names_and_numbers_share_a_picture(tmp_path):
    for number, (loss, decay) in enumerate([("focal", 0.0), ("cross_entropy", 0.01), ("focal", 0.1)]):
        make_job(tmp_path, str(number), [f"loss={loss}", f"optimizer.weight_decay={decay}"], 0.1 * number)
    assert plot_parallel(read_results(tmp_path), tmp_path / "parallel.png", caption="A caption.")
    with Image.open(tmp_path / "parallel.png") as picture:
        assert picture.width == round(style.WIDTH * style.DPI)


def test_scale_of_powers_of_ten_is_logarithmic():
    rates = Scale("optimizer.lr", [0.1, 0.001, 0.01, 0.1])
    assert rates.logarithmic
    assert rates.distinct == [0.001, 0.01, 0.1]
    assert [rates.place(value) for value in rates.distinct] == pytest.approx([0, 0.5, 1])


@pytest.mark.parametrize("values", [[2, 4, 10], [0, 0.1, 1000], [-1.0, 100.0]])
def test_scale_of_other_numbers_is_not(values):
    scale = Scale("x", values)
    assert not scale.logarithmic
    low, high = min(values), max(values)
    assert [scale.place(value) for value in values] == pytest.approx([(one - low) / (high - low) for one in values])


def test_scale_of_names_keeps_the_order_of_the_sweep():
    scale = Scale("model", ["b", "a", "b", None, True])
    assert not scale.numeric
    assert [text for _, text in scale.ticks()] == ["b", "a", "null", "true"]
    assert [scale.place(value) for value in ("b", "a", None, True)] == pytest.approx([0, 1 / 3, 2 / 3, 1])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.geomspace(0.00002, 0.02, 20), ["3e-05", "0.0001", "0.0003", "0.001", "0.003", "0.01"]),
        (np.linspace(0.31, 0.88, 20), ["0.4", "0.5", "0.6", "0.7", "0.8"]),
        (range(13, 53), ["20", "30", "40", "50"]),
    ],
)
def test_many_values_are_marked_by_round_numbers(values, expected):
    scale = Scale("x", [value.item() if isinstance(value, np.generic) else value for value in values])
    ticks = scale.ticks()
    assert [text for _, text in ticks] == expected
    assert all(0 <= place <= 1 for place, _ in ticks)


def test_one_value_alone_lies_in_the_middle():
    assert Scale("x", [3, 3]).place(3) == 0.5
