"""The style that all figures share: fonts, colours, captions and legends."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure

WIDTH = 7.1
"""Width of a figure in inches: both columns of a journal page (180 mm). Fonts then print at their nominal size."""

MIN_FONT_SIZE = 9
"""Size of the smallest font in points, at :data:`WIDTH`."""

CHARACTER_WIDTH = 0.072
"""Mean width of a letter of the smallest font in inches."""

FONT = "DejaVu Sans"
DPI = 150
MISSING = "–"
"""Text that replaces an undefined value in figures and tables."""

SUBDUED = "#404040"
TRAINING = "#0072b2"
VALIDATION = "#d55e00"
DIFFERENCE = "#d55e00"

_RC: dict[Any, Any] = {
    "font.family": FONT,
    "font.size": MIN_FONT_SIZE,
    "axes.titlesize": MIN_FONT_SIZE + 1,
    "axes.labelsize": MIN_FONT_SIZE,
    "xtick.labelsize": MIN_FONT_SIZE,
    "ytick.labelsize": MIN_FONT_SIZE,
    "legend.fontsize": MIN_FONT_SIZE,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "axes.grid": False,
    "axes.axisbelow": True,
    "grid.color": "#d9d9d9",
    "grid.linewidth": 0.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.4,
    "lines.markersize": 3.5,
    "legend.frameon": False,
    "text.parse_math": False,
}
_LINE_HEIGHT = 0.16  # inches, of a line of the caption
_MAX_LEGEND_COLUMNS = 5
_LEGEND_KEY_WIDTH = 0.55  # inches, of a patch or line with the gaps around it


@contextmanager
def context() -> Iterator[None]:
    """Apply this style to matplotlib within a ``with`` block, in which every figure must be built and saved."""
    import matplotlib

    with matplotlib.rc_context(_RC):
        yield


def new_figure(height: float, caption: str, width: float = WIDTH) -> tuple[Figure, SubFigure]:
    """Create a figure with a caption below it.

    Args:
        height: Height in inches, without the caption.
        caption: Caption that states the data, subset, protocol, convention and checkpoint.
        width: Width in inches.

    Returns:
        The figure, and the subfigure above the caption in which to draw.
    """
    from matplotlib.figure import Figure

    lines = wrap(caption, 0.98 * width * DPI, _measure_width)
    below = _LINE_HEIGHT * (len(lines) + 0.7)
    figure = Figure(figsize=(width, height + below), dpi=DPI, layout="constrained", facecolor="white")
    body, foot = figure.subfigures(2, 1, squeeze=False, height_ratios=(height, below))[:, 0]
    foot.text(0.01, 0.95, "\n".join(lines), va="top", color=SUBDUED)
    return figure, body


def wrap(text: str, width: float, length: Callable[[str], float]) -> list[str]:
    """Break a text into as few lines as possible.

    Args:
        text: The text.
        width: Maximum width of a line.
        length: Function that returns the width of a line, in the unit of ``width``.

    Returns:
        The lines.
    """
    characters = max(1, len(text))
    while True:
        lines = textwrap.wrap(text, characters, break_on_hyphens=False)
        widest = max(map(length, lines), default=0)
        if widest <= width:
            return lines
        characters = min(characters - 1, int(characters * width / widest))


def _measure_width(text: str) -> float:
    """Return the width of a line in the smallest font, in pixels."""
    from matplotlib.backends.backend_agg import RendererAgg
    from matplotlib.font_manager import FontProperties

    width, _, _ = RendererAgg(1, 1, DPI).get_text_width_height_descent(text, FontProperties(size=MIN_FONT_SIZE), False)
    return float(width)


@dataclass(frozen=True)
class LegendSize:
    """The size of a legend that spans the width of a figure.

    Attributes:
        columns: Number of columns.
        height: Height in inches.
    """

    columns: int
    height: float


def fit_legend(names: Sequence[str]) -> LegendSize:
    """Return the size of a legend with as many columns as fit. Names fill one column after another."""
    columns, rows = 1, len(names)
    for count in range(2, min(_MAX_LEGEND_COLUMNS, len(names)) + 1):
        filled = np.array_split([len(name) for name in names], count)
        if sum(_LEGEND_KEY_WIDTH + CHARACTER_WIDTH * lengths.max() for lengths in filled) <= WIDTH:
            columns, rows = count, len(filled[0])
    return LegendSize(columns, 0.2 + 0.19 * rows)


def save(figure: Figure, path: Path) -> None:
    """Write a figure to a PNG file."""
    figure.savefig(path)


def rasterise(figure: Figure) -> NDArray[np.uint8]:
    """Render a figure as an RGB image, (H, W, 3), uint8."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    with context():
        canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
