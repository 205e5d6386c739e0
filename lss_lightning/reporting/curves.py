"""Learning curves: loss and IoU by epoch, as in Figure 12 of the paper."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lss_lightning.reporting import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

EpochRows = Sequence[Mapping[str, float]]
"""The epochs of a run, each a mapping from column name to value, as in ``metrics.csv``."""

_PARTS = {"train": ("Training", style.TRAINING), "val": ("Validation", style.VALIDATION)}
_MEANS: dict[str, tuple[str, dict[str, Any]]] = {
    "mean_iou_anatomy": ("Mean IoU over anatomical classes", {"linestyle": "-"}),
    "mean_iou": ("Mean IoU over all classes", {"linestyle": "--", "markerfacecolor": "white"}),
}
_MAX_MARKERS = 30  # Lines with more points have no markers.


def plot_curves(rows: EpochRows, path: Path, *, caption: str, best_epoch: int | None = None) -> None:
    """Write the figure of :func:`draw_curves` to a PNG file."""
    with style.context():
        style.save(draw_curves(rows, caption=caption, best_epoch=best_epoch), path)


def draw_curves(rows: EpochRows, *, caption: str, best_epoch: int | None = None) -> Figure:
    """Draw two panels, loss and mean IoU, for training and validation.

    Args:
        rows: The epochs, at least one, as in ``metrics.csv``: ``epoch``, and ``loss``, ``mean_iou`` and
            ``mean_iou_anatomy``, each with the prefixes ``train/`` and ``val/``. Values that are missing or not finite
            are omitted.
        caption: Text below the figure.
        best_epoch: Epoch of the selected checkpoint, marked in both panels, or None if none was selected.
    """
    with style.context():
        figure, body = style.new_figure(3.1, caption)
        draw_curve_panels(body, [rows], [best_epoch])
        draw_curve_legend(body, [rows], None if best_epoch is None else f"Best epoch ({best_epoch})")
        return figure


def draw_curve_panels(
    body: SubFigure, runs: Sequence[EpochRows], best_epochs: Sequence[int | None]
) -> tuple[Axes, Axes]:
    """Draw a loss panel and a mean IoU panel that show one or several runs.

    Args:
        body: Subfigure to draw in, without axes.
        runs: The epochs of each run, as in :func:`draw_curves`.
        best_epochs: Epoch of each run's selected checkpoint, marked in both panels, or None if none was selected.

    Returns:
        The axes of the loss panel and of the mean IoU panel.
    """
    epochs = [int(row["epoch"]) for rows in runs for row in rows]
    loss, overlap = body.subplots(1, 2)
    for rows in runs:
        for part, (_, colour) in _PARTS.items():
            _draw_line(loss, rows, f"{part}/loss", color=colour)
            for mean, (_, line_style) in _MEANS.items():
                _draw_line(overlap, rows, f"{part}/{mean}", color=colour, **line_style)
    loss.set_ylabel("Loss")
    loss.update_datalim([(min(epochs), 0)])
    overlap.set(ylabel="Mean IoU", ylim=(0, 1))
    for axes in (loss, overlap):
        _format_axes(axes, epochs, best_epochs)
    return loss, overlap


def _select_finite(rows: EpochRows, column: str) -> list[tuple[float, float]]:
    return [(row["epoch"], row[column]) for row in rows if math.isfinite(row.get(column, math.nan))]


def _draw_line(axes: Axes, rows: EpochRows, column: str, **line_style: Any) -> None:
    points = _select_finite(rows, column)
    if points:
        axes.plot(
            *zip(*points, strict=True), label=column, marker="o" if len(points) <= _MAX_MARKERS else "", **line_style
        )


def _format_axes(axes: Axes, epochs: list[int], best_epochs: Sequence[int | None]) -> None:
    from matplotlib.ticker import MaxNLocator

    if not axes.lines:
        axes.text(0.5, 0.5, "No finite values", transform=axes.transAxes, ha="center", va="center")
    for best_epoch in {epoch for epoch in best_epochs if epoch is not None}:
        axes.axvline(best_epoch, color=style.SUBDUED, linewidth=1, linestyle=":", zorder=1)
    axes.set(xlabel="Epoch", xlim=(min(epochs) - 0.5, max(epochs) + 0.5))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, min_n_ticks=1))
    axes.grid(visible=True)


def draw_curve_legend(body: SubFigure, runs: Sequence[EpochRows], best: str | None, *, markers: bool = True) -> None:
    """Draw the legend of the learning curves below the panels.

    Args:
        body: Subfigure that holds the panels.
        runs: The epochs of each run.
        best: Label of the line that marks the epoch of the selected checkpoint, or None if there is no such line.
        markers: Whether lines with few points have markers.
    """
    from matplotlib.lines import Line2D

    marker = "o" if markers and max(map(len, runs)) <= _MAX_MARKERS else ""
    entries = [
        Line2D([], [], color=colour, label=name)
        for part, (name, colour) in _PARTS.items()
        if any(_select_finite(rows, f"{part}/{score}") for rows in runs for score in ("loss", *_MEANS))
    ]
    entries += [
        Line2D([], [], color=style.SUBDUED, marker=marker, label=name, **line_style)
        for name, line_style in _MEANS.values()
    ]
    if best is not None:
        entries.append(Line2D([], [], color=style.SUBDUED, linewidth=1, linestyle=":", label=best))
    body.legend(handles=entries, loc="outside lower center", ncols=3)
