import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from matplotlib.text import Text

from lss_lightning.labels import LUMBAR
from lss_lightning.reporting import Case, style
from lss_lightning.reporting.boundary import draw_boundary
from lss_lightning.reporting.confusion import draw_confusion
from lss_lightning.reporting.curves import draw_curves
from lss_lightning.reporting.examples import draw_examples
from lss_lightning.reporting.patients import draw_patients
from lss_lightning.reporting.reliability import draw_reliability
from lss_lightning.reporting.structure_size import draw_structure_sizes

CAPTION = (
    "Phantom data, test subset (153 images of 51 patients), split by patient; IoU pooled over all images; checkpoint "
    "logs/train/resunet-resnet34/2030-01-01_10-00-00/checkpoints/best.ckpt, epoch 137, costing $5 or $6. "
    "Phantom data: no clinical meaning. Research use only."
)


def curves():
    rows = [
        {"epoch": epoch, "train/loss": 1e3 / (epoch + 1), "val/loss": 2.0, "val/mean_iou": 0.5} for epoch in range(200)
    ]
    return draw_curves(rows, caption=CAPTION, best_epoch=137)


def examples():
    classes = np.full((64, 64), 5, dtype=np.uint8)
    classes[20:40, 20:40] = 1
    cases = [Case(f"{rank}: patient 0001, level D3", classes[..., None], classes, 0 * classes, 0.5) for rank in "abc"]
    return draw_examples(cases, LUMBAR, caption=CAPTION)


def confusion():
    return draw_confusion(np.full((6, 6), 12_345_678), LUMBAR, caption=CAPTION)


def boundary():
    return draw_boundary(np.full((5, 6), 1234.5), np.full((5, 6), 2.5), LUMBAR, unit="mm", caption=CAPTION)


def reliability():
    bins = {"pixels": [7, 5], "probability": [0.01, 0.99], "frequency": [0.0, 1.0]}
    calibration = {"ece": dict.fromkeys(LUMBAR.keys, 0.01), "reliability": dict.fromkeys(LUMBAR.keys, bins)}
    return draw_reliability(calibration, LUMBAR, caption=CAPTION)


def patients():
    pooled = np.linspace(0, 1, 40)
    names = [f"patient with a long name {number}" for number in range(40)]
    return draw_patients(names, pooled, [np.array([score, 1.0]) for score in pooled], caption=CAPTION)


def sizes():
    areas = np.linspace(1, 123456, 300)[:, None].repeat(6, axis=1)
    return draw_structure_sizes(areas, areas / 123456, LUMBAR, unit="mm²", caption=CAPTION)


@pytest.mark.parametrize("draw", [curves, examples, confusion, boundary, reliability, patients, sizes])
def test_figures_are_not_cut_off_and_have_legible_text(draw):
    figure = draw()
    with style.context():
        figure.draw_without_rendering()
        box = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    assert 0 <= box.x0 < box.x1 <= width
    assert 0 <= box.y0 < box.y1 <= height
    assert min(text.get_fontsize() for text in figure.findobj(Text) if text.get_text()) >= style.MIN_FONT_SIZE


@pytest.mark.parametrize("draw", [curves, examples, confusion, boundary, reliability, patients, sizes])
def test_complete_caption_is_below_everything_else(draw):
    figure = draw()
    figure.draw_without_rendering()
    (caption,) = figure.subfigs[1].texts
    assert caption.get_text().replace("\n", " ") == CAPTION
    assert not caption.get_parse_math()
    assert caption.get_window_extent().y1 <= figure.subfigs[0].get_tightbbox().y0


def test_style_does_not_outlast_its_context():
    before = dict(matplotlib.rcParams)
    curves()
    assert dict(matplotlib.rcParams) == before


def test_importing_the_package_imports_neither_matplotlib_nor_torch():
    code = "import sys, lss_lightning.reporting; assert not {'matplotlib', 'torch'} & set(sys.modules), 'heavy import'"
    subprocess.run([sys.executable, "-c", code], check=True)
