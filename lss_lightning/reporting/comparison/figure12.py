"""Figure 12 of the paper: the learning curves of all runs in one figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lss_lightning.reporting import style
from lss_lightning.reporting.curves import EpochRows, draw_curve_legend, draw_curve_panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_HEIGHT = 1.85  # inches, of a pair of panels with its title
_MAX_FULL_WIDTH = 3  # With more pairs of panels, two pairs are placed side by side.


@dataclass(frozen=True)
class TrainingCurves:
    """The learning curves of runs that share two panels, such as those of one model with different seeds.

    Attributes:
        title: Title of the panels.
        runs: The epochs of each run, as in ``metrics.csv``: at least one run and one epoch.
        best_epochs: Epoch of each run's selected checkpoint, or None if none was selected.
    """

    title: str
    runs: Sequence[EpochRows]
    best_epochs: Sequence[int | None]


def plot_figure12(curves: Sequence[TrainingCurves], path: Path, *, caption: str) -> None:
    """Write the figure of :func:`draw_figure12` to a PNG file."""
    with style.context():
        style.save(draw_figure12(curves, caption=caption), path)


def draw_figure12(curves: Sequence[TrainingCurves], *, caption: str) -> Figure:
    """Draw a loss panel and a mean IoU panel for each group of runs, all with the same axis limits.

    Args:
        curves: The groups of runs, at least one.
        caption: Text below the figure.
    """
    from matplotlib.ticker import MaxNLocator

    with style.context():
        columns = 1 if len(curves) <= _MAX_FULL_WIDTH else 2
        rows = -(-len(curves) // columns)
        figure, body = style.new_figure(_HEIGHT * rows + 0.5, caption)
        subfigures = body.subfigures(rows, columns, squeeze=False).ravel()
        panels = []
        for subfigure, group in zip(subfigures, curves, strict=False):
            subfigure.suptitle(group.title, fontsize=style.MIN_FONT_SIZE + 1)
            panels.append(draw_curve_panels(subfigure, group.runs, group.best_epochs))
        _share_axes(panels)
        if columns > 1:
            for axes in (axes for pair in panels for axes in pair):
                axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=4, min_n_ticks=1))
                for line in axes.lines:
                    line.set_marker("")
        has_best = any(epoch is not None for group in curves for epoch in group.best_epochs)
        runs = [run for group in curves for run in group.runs]
        draw_curve_legend(body, runs, "Best epoch" if has_best else None, markers=columns == 1)
        return figure


def _share_axes(panels: Sequence[tuple[Axes, Axes]]) -> None:
    """Give all panels the same epoch range, and all loss panels the same logarithmic scale, as losses vary widely."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    limits = [loss.get_xlim() for loss, _ in panels]
    for axes in (axes for pair in panels for axes in pair):
        axes.set_xlim(min(low for low, _ in limits), max(high for _, high in limits))
    losses = [loss for loss, _ in panels if loss.lines]
    for loss in losses:
        loss.set_yscale("log")
        loss.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        loss.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        loss.yaxis.set_minor_formatter(NullFormatter())
    limits = [loss.get_ylim() for loss in losses]
    for loss in losses:
        loss.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))
