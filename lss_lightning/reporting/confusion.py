"""Heat map of the confusion matrix."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lss_lightning.labels import LabelSet
from lss_lightning.reporting import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_CELL = 0.86, 0.56  # width and height in inches, enough for a percentage above a count of eight digits
_MAX_CLASSES = 20  # With more classes, cells are too small for text.


def plot_confusion(counts: NDArray[np.int64], labels: LabelSet, path: Path, *, caption: str) -> None:
    """Write the figure of :func:`draw_confusion` to a PNG file."""
    with style.context():
        style.save(draw_confusion(counts, labels, caption=caption), path)


def draw_confusion(counts: NDArray[np.int64], labels: LabelSet, *, caption: str) -> Figure:
    """Draw the confusion matrix as a heat map.

    Args:
        counts: Number of pixels, (K, K); rows are true classes, columns are predicted classes.
        labels: The K classes.
        caption: Text below the figure.

    Returns:
        The figure, a map of K x K cells. Each cell shows its percentage of the row, which on the diagonal is the
        recall, and its number of pixels; with more than twenty classes, cells are only coloured. The row of a class
        that is absent from the labels contains dashes.
    """
    with style.context():
        has_text = len(labels) <= _MAX_CLASSES
        cells = min(len(labels), _MAX_CLASSES)
        names = [_break_lines(label.name) if has_text else label.name for label in labels]
        short_names = [_break_lines(label.short) if has_text else label.short for label in labels]
        longest = max(len(line) for name in short_names for line in name.splitlines()) if has_text else 0
        cell_width = max(_CELL[0], 0.1 + style.CHARACTER_WIDTH * longest)
        figure, body = style.new_figure(0.9 + _CELL[1] * cells, caption, max(style.WIDTH, 1.9 + cell_width * cells))
        axes = body.subplots()
        totals = counts.sum(axis=1, keepdims=True)
        shares = np.divide(counts, totals, out=np.full(counts.shape, np.nan), where=totals > 0)
        _draw_map(axes, shares)
        if has_text:
            for row, column in np.ndindex(counts.shape):
                _write_cell(axes, row, column, shares[row, column], int(counts[row, column]))
        axes.set_yticks(range(len(labels)), names)
        axes.set_xticks(range(len(labels)), short_names, rotation=0 if has_text else 90)
        axes.set(xlabel="Predicted class (percentage of the true class, number of pixels)", ylabel="True class")
        return figure


def _break_lines(name: str) -> str:
    return textwrap.fill(name, 14, break_long_words=False)


def _draw_map(axes: Axes, shares: NDArray[np.float64]) -> None:
    from matplotlib import colormaps

    axes.imshow(shares, cmap=colormaps["Blues"].with_extremes(bad="#f0f0f0"), vmin=0, vmax=1, aspect="auto")
    size = len(shares)
    axes.set_xticks(np.arange(0.5, size - 1), minor=True)
    axes.set_yticks(np.arange(0.5, size - 1), minor=True)
    axes.grid(which="minor", color="white", linewidth=1.5)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)


def _write_cell(axes: Axes, row: int, column: int, share: float, pixels: int) -> None:
    if np.isnan(share):
        axes.text(column, row, style.MISSING, ha="center", va="center")
        return
    colour = "white" if share > 0.7 else "black"
    axes.text(
        column,
        row - 0.17,
        _format_percentage(share),
        ha="center",
        va="center",
        color=colour,
        fontsize=style.MIN_FONT_SIZE + 2,
    )
    axes.text(column, row + 0.23, f"{pixels:,}", ha="center", va="center", color=colour)


def _format_percentage(share: float) -> str:
    if 0 < share < 0.0005:
        return "< 0.1 %"
    if 0.9995 <= share < 1:
        return "> 99.9 %"
    return f"{100 * share:.1f} %" if share else "0 %"
