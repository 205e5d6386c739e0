"""Lines and letters put on an image pixel by pixel, at a tenth of the time that a matplotlib figure takes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from lss_lightning.reporting import style
from lss_lightning.stenosis.measurements import Points

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFont import FreeTypeFont

PER_POINT = style.DPI / 72
"""Pixels."""


@dataclass(frozen=True)
class Line:
    """A line to draw.

    Attributes:
        points: (N, 2), pixels (x, y) from the image's upper left corner.
        colour: ``#rrggbb``.
        width: Points.
        dash: Lengths of dash and gap, points; None for a whole line.
    """

    points: Points
    colour: str
    width: float
    dash: tuple[float, float] | None = None


def draw_lines(image: Image, lines: Iterable[Line]) -> None:
    """Draw lines on an image, antialiased, one over the other."""
    from matplotlib.backends.backend_agg import RendererAgg
    from matplotlib.path import Path
    from matplotlib.transforms import Affine2D
    from PIL import Image as Images

    renderer = RendererAgg(*image.size, style.DPI)
    upwards = Affine2D().scale(1, -1).translate(0, image.height)
    for line in lines:
        pen = renderer.new_gc()
        pen.set_snap(False)
        pen.set_foreground(line.colour)
        pen.set_linewidth(line.width)
        pen.set_capstyle("butt" if line.dash else "round")
        pen.set_joinstyle("round")
        if line.dash:
            pen.set_dashes(0, line.dash)
        renderer.draw_path(pen, Path(line.points), upwards)
    drawn = Images.fromarray(np.asarray(renderer.buffer_rgba()))
    image.paste(drawn, mask=drawn)


@cache
def font(points: float, *, bold: bool = False) -> FreeTypeFont:
    """The font of all figures."""
    from matplotlib.font_manager import FontProperties, findfont
    from PIL import ImageFont

    properties = FontProperties(family=style.FONT, weight="bold" if bold else "normal")
    return ImageFont.truetype(findfont(properties), points * PER_POINT)
