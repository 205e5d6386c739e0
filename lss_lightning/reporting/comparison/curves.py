"""The paper's Figure 12: loss and IoU over the epochs, of every run in one figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lss_lightning.reporting import style
from lss_lightning.reporting.curves import Rows, draw_legend, draw_panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_HEIGHT = 1.85  # inches of two panels with their title
_ALONE = 3  # up to so many, each two panels have the whole width


@dataclass(frozen=True)
class Curves:
    """Runs that share two panels, such as those of one model that differ in their seed.

    Attributes:
        title: Stands above the panels.
        runs: Each run's epochs, as in ``metrics.csv``, at least one run of one epoch.
        best_epochs: Each run's chosen epoch, or None.
    """

    title: str
    runs: Sequence[Rows]
    best_epochs: Sequence[int | None]


def plot_figure12(curves: Sequence[Curves], path: Path, *, caption: str) -> None:
    """Write :func:`draw_figure12` to a PNG file."""
    with style.look():
        style.save(draw_figure12(curves, caption=caption), path)


def draw_figure12(curves: Sequence[Curves], *, caption: str) -> Figure:
    """Draw two panels, loss and mean IoU, for each, all on the same axes so that they can be held against each other.

    Args:
        curves: At least one.
        caption: Stands beneath the figure.
    """
    from matplotlib.ticker import MaxNLocator

    with style.look():
        across = 1 if len(curves) <= _ALONE else 2
        down = -(-len(curves) // across)
        figure, body = style.new_figure(_HEIGHT * down + 0.5, caption)
        places = body.subfigures(down, across, squeeze=False).ravel()
        panels = []
        for place, each in zip(places, curves, strict=False):
            place.suptitle(each.title, fontsize=style.SMALLEST + 1)
            panels.append(draw_panels(place, each.runs, each.best_epochs))
        _share_axes(panels)
        if across > 1:
            for axes in (axes for pair in panels for axes in pair):
                axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=4, min_n_ticks=1))
                for line in axes.lines:
                    line.set_marker("")
        chosen = any(epoch is not None for each in curves for epoch in each.best_epochs)
        runs = [rows for each in curves for rows in each.runs]
        draw_legend(body, runs, "Best epoch" if chosen else None, markers=across == 1)
        return figure


def _share_axes(panels: Sequence[tuple[Axes, Axes]]) -> None:
    """From one run's first epoch to another's last, and losses, which fall by orders of magnitude, on one scale."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    ends = [loss.get_xlim() for loss, _ in panels]
    for axes in (axes for pair in panels for axes in pair):
        axes.set_xlim(min(low for low, _ in ends), max(high for _, high in ends))
    drawn = [loss for loss, _ in panels if loss.lines]
    for loss in drawn:
        loss.set_yscale("log")
        loss.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        loss.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        loss.yaxis.set_minor_formatter(NullFormatter())
    spans = [loss.get_ylim() for loss in drawn]
    for loss in drawn:
        loss.set_ylim(min(low for low, _ in spans), max(high for _, high in spans))
