from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from lss_lightning.labels import LUMBAR
from lss_lightning.reporting import plot_structure_sizes, style
from lss_lightning.reporting.structure_size import draw_structure_sizes

SAC, AAP = (LUMBAR.keys.index(key) for key in ("thecal_sac", "aap"))


def make_sizes(images: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    areas, ious = rng.uniform(10, 500, (images, 6)), rng.uniform(0, 1, (images, 6))
    areas[:, AAP] = 0
    areas[0, SAC], areas[1, SAC] = 0, np.nan
    return areas, ious


def draw_panels(images: int):
    axes = draw_structure_sizes(*make_sizes(images), LUMBAR, unit="mm²", caption="c").axes
    return dict(zip([label.key for label in LUMBAR if label.anatomical], axes, strict=True))


def test_each_image_with_the_class_has_a_dot():
    areas, ious = make_sizes(12)
    sac = draw_panels(12)["thecal_sac"]
    assert sac.get_title() == "Thecal Sac (10 images)"
    assert sac.get_xlabel() == "Area in the label (mm²)"
    np.testing.assert_allclose(sac.collections[0].get_offsets(), np.stack((areas[2:, SAC], ious[2:, SAC]), axis=1))
    assert sac.get_ylim()[0] <= 0 < 1 <= sac.get_ylim()[1]


def test_panel_of_an_absent_class_has_a_note():
    aap = draw_panels(12)["aap"]
    assert not aap.collections
    assert [text.get_text() for text in aap.texts] == ["Absent from all labels"]


def test_line_connects_medians_of_quintiles_if_there_are_enough_images():
    assert not draw_panels(12)["intervertebral_disc"].lines
    areas, ious = make_sizes(50)
    (line,) = draw_panels(50)["intervertebral_disc"].lines
    order = np.argsort(areas[:, 1])
    assert len(line.get_xdata()) == 5
    assert line.get_xydata()[0] == pytest.approx([np.median(areas[order[:10], 1]), np.median(ious[order[:10], 1])])


def test_png_has_the_page_width(tmp_path):
    plot_structure_sizes(*make_sizes(30), LUMBAR, tmp_path / "sizes.png", unit="px", caption="c")
    with Image.open(tmp_path / "sizes.png") as image:
        assert image.width == round(style.WIDTH * style.DPI)
