"""The one look of all figures."""

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
"""Width of a figure in inches: two columns of a journal page (180 mm), so that fonts print at their nominal size."""

SMALLEST = 9
"""Smallest font, in points at that width."""

CHARACTER = 0.072
"""Mean width of the smallest font's letters, inches."""

FONT = "DejaVu Sans"
DPI = 150
MISSING = "–"
"""What stands in a figure or table for a value that is not defined."""

SUBDUED = "#404040"
TRAINING = "#0072b2"
VALIDATION = "#d55e00"
DIFFERENCE = "#d55e00"

_RC: dict[Any, Any] = {
    "font.family": FONT,
    "font.size": SMALLEST,
    "axes.titlesize": SMALLEST + 1,
    "axes.labelsize": SMALLEST,
    "xtick.labelsize": SMALLEST,
    "ytick.labelsize": SMALLEST,
    "legend.fontsize": SMALLEST,
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
_LINE = 0.16  # inches
_COLUMNS = 5  # of a legend at most
_KEY = 0.55  # inches that a legend's patch or line takes, with the gaps around it


@contextmanager
def look() -> Iterator[None]:
    """Within it, matplotlib draws in this project's style; a figure is both built and saved within it."""
    import matplotlib

    with matplotlib.rc_context(_RC):
        yield


def new_figure(height: float, caption: str, width: float = WIDTH) -> tuple[Figure, SubFigure]:
    """Start a figure with its caption beneath.

    Args:
        height: Inches, without the caption.
        caption: Which data, subset, protocol, convention and checkpoint made the figure.
        width: Inches.

    Returns:
        The figure, and the part above the caption, which is to be drawn in.
    """
    from matplotlib.figure import Figure

    lines = wrap(caption, 0.98 * width * DPI, _length)
    below = _LINE * (len(lines) + 0.7)
    figure = Figure(figsize=(width, height + below), dpi=DPI, layout="constrained", facecolor="white")
    body, foot = figure.subfigures(2, 1, squeeze=False, height_ratios=(height, below))[:, 0]
    foot.text(0.01, 0.95, "\n".join(lines), va="top", color=SUBDUED)
    return figure, body


def wrap(text: str, width: float, length: Callable[[str], float]) -> list[str]:
    """Break a text into the fewest lines.

    Args:
        text: Any.
        width: Of a line at most.
        length: Gives a line's, in the same unit.
    """
    characters = max(1, len(text))
    while True:
        lines = textwrap.wrap(text, characters, break_on_hyphens=False)
        widest = max(map(length, lines), default=0)
        if widest <= width:
            return lines
        characters = min(characters - 1, int(characters * width / widest))


def _length(text: str) -> float:
    """Of a line in the smallest font, pixels."""
    from matplotlib.backends.backend_agg import RendererAgg
    from matplotlib.font_manager import FontProperties

    width, _, _ = RendererAgg(1, 1, DPI).get_text_width_height_descent(text, FontProperties(size=SMALLEST), False)
    return float(width)


@dataclass(frozen=True)
class LegendSize:
    """What a legend over the whole width of a figure takes: columns, and inches of height."""

    columns: int
    height: float


def legend_size(names: Sequence[str]) -> LegendSize:
    """As many columns as the names leave room for, filled one after the other, and the height of their rows."""
    columns, rows = 1, len(names)
    for count in range(2, min(_COLUMNS, len(names)) + 1):
        filled = np.array_split([len(name) for name in names], count)
        if sum(_KEY + CHARACTER * lengths.max() for lengths in filled) <= WIDTH:
            columns, rows = count, len(filled[0])
    return LegendSize(columns, 0.2 + 0.19 * rows)


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG."""
    figure.savefig(path)


def pixels(figure: Figure) -> NDArray[np.uint8]:
    """A figure as an image, (H, W, 3)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    with look():
        canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
