from __future__ import annotations

import pytest
from PIL import Image

from lss_lightning.reporting import style
from lss_lightning.reporting.parallel import draw_parallel, plot_parallel
from lss_lightning.sweeps.job_records import FAILED
from lss_lightning.sweeps.results import read_sweep_results
from tests.sweeps.fake_sweeps import make_grid, make_job

RATES, SIZES = (0.1, 0.01, 0.001), (2, 4, 6, 8)


def draw(results):
    return draw_parallel(results, caption="c")


def test_lines_pass_through_their_values_to_the_objective(tmp_path):
    figure = draw(read_sweep_results(make_grid(tmp_path, RATES, SIZES)))
    lines = [line for line in figure.axes[0].lines if len(line.get_xdata()) > 2]
    assert len(lines) == 12
    best = max(lines, key=lambda line: line.get_linewidth())
    heights = dict(zip(best.get_xdata().round(6), best.get_ydata(), strict=True))
    assert [heights[axis] for axis in (0, 1, 2)] == pytest.approx([0, 1, 1])  # 0.001, 8, best objective
    assert best is lines[-1]
    diverged = [line for line in lines if line.get_linestyle() == "--"]
    assert len(diverged) == 4
    assert all(line.get_ydata()[-1] < 0 for line in diverged)
    texts = {text.get_text() for text in figure.axes[0].texts}
    assert {"Learning rate\noptimizer.lr", "0.01", "8"} <= texts


def test_names_and_numbers_share_a_figure(tmp_path):
    for number, (loss, decay) in enumerate([("focal", 0.0), ("cross_entropy", 0.01), ("focal", 0.1)]):
        make_job(tmp_path, str(number), [f"loss={loss}", f"optimizer.weight_decay={decay}"], 0.1 * number)
    assert plot_parallel(read_sweep_results(tmp_path), tmp_path / "parallel.png", caption="A caption.")
    with Image.open(tmp_path / "parallel.png") as picture:
        assert picture.width == round(style.WIDTH * style.DPI)


def test_sweep_without_an_objective_has_no_figure(tmp_path):
    for number, (rate, size) in enumerate((rate, size) for rate in RATES for size in SIZES):
        make_job(tmp_path, str(number), [f"optimizer.lr={rate}", f"data.batch_size={size}"], state=FAILED)
    assert not plot_parallel(read_sweep_results(tmp_path), tmp_path / "parallel.png", caption="c")
    assert not list(tmp_path.glob("*.png"))
