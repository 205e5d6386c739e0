from __future__ import annotations

import numpy as np

from lss_lightning.reporting.heat_map import draw_heat_map, find_grid, plot_heat_map
from lss_lightning.sweeps.job_records import FAILED
from lss_lightning.sweeps.results import read_sweep_results
from tests.sweeps.fake_sweeps import make_grid, make_job

RATES, SIZES = (0.1, 0.01, 0.001), (2, 4, 6, 8)


def draw(folder):
    grid = find_grid(read_sweep_results(folder))
    assert grid is not None
    return draw_heat_map(grid, caption="c")


def read_cells(axes):
    """Return the text of each cell by row and column."""
    return {(round(text.get_position()[1]), round(text.get_position()[0])): text.get_text() for text in axes.texts}


def read_legend(figure):
    return [text.get_text() for part in figure.subfigs for legend in part.legends for text in legend.get_texts()]


def test_cells_have_the_objective_or_the_symbol_of_the_state(tmp_path):
    figure = draw(make_grid(tmp_path, RATES, SIZES))
    axes = figure.axes[0]
    cells = read_cells(axes)
    assert [cells[0, column] for column in range(4)] == ["×"] * 4  # The first row has the greatest rate.
    assert [cells[1, column] for column in range(4)] == ["0.510", "0.530", "0.550", "0.570"]
    assert cells[2, 3] == "0.579"
    means = np.ma.filled(axes.images[0].get_array(), np.nan)
    assert np.isnan(means[0]).all()
    np.testing.assert_allclose(means[2], [0.519, 0.539, 0.559, 0.579])
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["0.1", "0.01", "0.001"]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["2", "4", "6", "8"]
    assert axes.get_xlabel() == "Batch size, images per device\ndata.batch_size"
    assert axes.get_ylabel() == "Learning rate\noptimizer.lr"
    assert read_legend(figure) == ["best", "× diverged"]
    frames = [patch.get_xy() for patch in axes.patches if not patch.get_fill()]
    assert frames == [(2.5, 1.5)]


def test_third_parameter_makes_panels_and_missing_cells_are_marked(tmp_path):
    number = 0
    for model in ("resunet", "vgg16_unet"):
        for rate in RATES:
            for size in SIZES:
                if (model, rate, size) != ("vgg16_unet", 0.001, 8):
                    overrides = [f"model={model}", f"optimizer.lr={rate}", f"data.batch_size={size}"]
                    make_job(tmp_path, str(number), overrides, 0.5 + 0.001 * number)
                    number += 1
    figure = draw(tmp_path)
    first, second = figure.axes[:2]
    assert (first.get_title(), second.get_title()) == ("model=resunet", "model=vgg16_unet")
    assert len(read_cells(first)) == 12
    assert list(read_cells(second).values()).count("") == 1
    assert read_legend(figure) == ["best", "not run"]


def test_repeats_are_averaged_in_their_cell(tmp_path):
    number = 0
    for rate in RATES:
        for size in SIZES:
            for seed in (1, 2):
                overrides = [f"optimizer.lr={rate}", f"data.batch_size={size}", f"seed={seed}"]
                make_job(tmp_path, str(number), overrides, 0.2 * seed)
                number += 1
    cells = read_cells(draw(tmp_path).axes[0])
    assert set(cells.values()) == {"0.300"}


def test_sweep_without_a_grid_has_no_heat_map(tmp_path):
    for number in range(6):
        make_job(tmp_path, str(number), [f"optimizer.lr={10 ** -(1 + number / 2)}", f"data.batch_size={number}"], 0.5)
    results = read_sweep_results(tmp_path)
    assert find_grid(results) is None
    assert not plot_heat_map(results, tmp_path / "heat_map.png", caption="c")
    assert not (tmp_path / "heat_map.png").exists()


def test_sweep_without_an_objective_has_no_heat_map(tmp_path):
    for number, (rate, size) in enumerate((rate, size) for rate in RATES for size in SIZES):
        make_job(tmp_path, str(number), [f"optimizer.lr={rate}", f"data.batch_size={size}"], state=FAILED)
    assert not plot_heat_map(read_sweep_results(tmp_path), tmp_path / "heat_map.png", caption="c")
    assert not list(tmp_path.glob("*.png"))
