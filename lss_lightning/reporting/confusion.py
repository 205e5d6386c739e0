"""The confusion matrix as a heat map."""

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

_CELL = 0.86, 0.56  # inches: room for a percentage over a count of eight digits
_MOST = 20  # classes; beyond, a page has no room for such cells, and the colours alone must do


def plot_confusion(counts: NDArray[np.int64], labels: LabelSet, path: Path, *, caption: str) -> None:
    """Write :func:`draw_confusion` to a PNG file."""
    with style.look():
        style.save(draw_confusion(counts, labels, caption=caption), path)


def draw_confusion(counts: NDArray[np.int64], labels: LabelSet, *, caption: str) -> Figure:
    """Draw where the pixels of each true class went.

    Args:
        counts: (K, K) pixels, rows true classes, columns predicted ones.
        labels: The K classes.
        caption: Stands beneath the figure.

    Returns:
        A K x K map: each cell holds its share of its row in per cent, so that the diagonal is the recall, and its
        pixels. The row of a class that no label holds shows a dash.
    """
    with style.look():
        fits = len(labels) <= _MOST
        cells = min(len(labels), _MOST)
        names = [_lines(label.name) if fits else label.name for label in labels]
        shorts = [_lines(label.short) if fits else label.short for label in labels]
        longest = max(len(word) for short in shorts for word in short.splitlines()) if fits else 0
        across = max(_CELL[0], 0.1 + style.CHARACTER * longest)
        figure, body = style.new_figure(0.9 + _CELL[1] * cells, caption, max(style.WIDTH, 1.9 + across * cells))
        axes = body.subplots()
        totals = counts.sum(axis=1, keepdims=True)
        shares = np.divide(counts, totals, out=np.full(counts.shape, np.nan), where=totals > 0)
        _heat(axes, shares)
        if fits:
            for row, column in np.ndindex(counts.shape):
                _cell(axes, row, column, shares[row, column], int(counts[row, column]))
        axes.set_yticks(range(len(labels)), names)
        axes.set_xticks(range(len(labels)), shorts, rotation=0 if fits else 90)
        axes.set(xlabel="Predicted class (share of the true class, pixels)", ylabel="True class")
        return figure


def _lines(name: str) -> str:
    return textwrap.fill(name, 14, break_long_words=False)


def _heat(axes: Axes, shares: NDArray[np.float64]) -> None:
    from matplotlib import colormaps

    axes.imshow(shares, cmap=colormaps["Blues"].with_extremes(bad="#f0f0f0"), vmin=0, vmax=1, aspect="auto")
    size = len(shares)
    axes.set_xticks(np.arange(0.5, size - 1), minor=True)
    axes.set_yticks(np.arange(0.5, size - 1), minor=True)
    axes.grid(which="minor", color="white", linewidth=1.5)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)


def _cell(axes: Axes, row: int, column: int, share: float, pixels: int) -> None:
    if np.isnan(share):
        axes.text(column, row, style.MISSING, ha="center", va="center")
        return
    colour = "white" if share > 0.7 else "black"
    axes.text(column, row - 0.17, _percent(share), ha="center", va="center", color=colour, fontsize=style.SMALLEST + 2)
    axes.text(column, row + 0.23, f"{pixels:,}", ha="center", va="center", color=colour)


def _percent(share: float) -> str:
    if 0 < share < 0.0005:
        return "< 0.1 %"
    if 0.9995 <= share < 1:
        return "> 99.9 %"
    return f"{100 * share:.1f} %" if share else "0 %"
