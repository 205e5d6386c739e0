"""Loss and IoU over the epochs, as in the paper's Figure 12."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lss_lightning.reporting import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

Rows = Sequence[Mapping[str, float]]

_PARTS = {"train": ("Training", style.TRAINING), "val": ("Validation", style.VALIDATION)}
_MEANS: dict[str, tuple[str, dict[str, Any]]] = {
    "mean_iou_anatomy": ("Mean IoU of anatomical classes", {"linestyle": "-"}),
    "mean_iou": ("Mean IoU of all classes", {"linestyle": "--", "markerfacecolor": "white"}),
}
_FEW = 30  # up to so many points a line shows each


def plot_curves(rows: Rows, path: Path, *, caption: str, best_epoch: int | None = None) -> None:
    """Write :func:`draw_curves` to a PNG file."""
    with style.look():
        style.save(draw_curves(rows, caption=caption, best_epoch=best_epoch), path)


def draw_curves(rows: Rows, *, caption: str, best_epoch: int | None = None) -> Figure:
    """Draw two panels, loss and mean IoU, for training and validation.

    Args:
        rows: At least one, each an epoch as in ``metrics.csv``: ``epoch``, and ``loss``, ``mean_iou`` and
            ``mean_iou_anatomy``, each after ``train/`` and ``val/``. A value that is missing or not finite is left out
            of its line.
        caption: Stands beneath the figure.
        best_epoch: The epoch of the chosen checkpoint, marked in both panels; None where none was chosen.
    """
    with style.look():
        figure, body = style.new_figure(3.1, caption)
        draw_panels(body, [rows], [best_epoch])
        draw_legend(body, [rows], None if best_epoch is None else f"Best epoch ({best_epoch})")
        return figure


def draw_panels(body: SubFigure, runs: Sequence[Rows], best_epochs: Sequence[int | None]) -> tuple[Axes, Axes]:
    """Draw the two panels, loss and mean IoU, of one run or of several that belong together.

    Args:
        body: Where to draw; it is divided into two.
        runs: Each run's epochs, as in :func:`draw_curves`.
        best_epochs: Each run's chosen epoch, marked in both panels, or None.
    """
    epochs = [int(row["epoch"]) for rows in runs for row in rows]
    loss, overlap = body.subplots(1, 2)
    for rows in runs:
        for part, (_, colour) in _PARTS.items():
            _line(loss, rows, f"{part}/loss", color=colour)
            for mean, (_, look) in _MEANS.items():
                _line(overlap, rows, f"{part}/{mean}", color=colour, **look)
    loss.set_ylabel("Loss")
    loss.update_datalim([(min(epochs), 0)])
    overlap.set(ylabel="Mean IoU", ylim=(0, 1))
    for axes in (loss, overlap):
        _finish(axes, epochs, best_epochs)
    return loss, overlap


def _finite(rows: Rows, column: str) -> list[tuple[float, float]]:
    return [(row["epoch"], row[column]) for row in rows if math.isfinite(row.get(column, math.nan))]


def _line(axes: Axes, rows: Rows, column: str, **look: Any) -> None:
    points = _finite(rows, column)
    if points:
        axes.plot(*zip(*points, strict=True), label=column, marker="o" if len(points) <= _FEW else "", **look)


def _finish(axes: Axes, epochs: list[int], best_epochs: Sequence[int | None]) -> None:
    from matplotlib.ticker import MaxNLocator

    if not axes.lines:
        axes.text(0.5, 0.5, "No finite values", transform=axes.transAxes, ha="center", va="center")
    for best_epoch in {epoch for epoch in best_epochs if epoch is not None}:
        axes.axvline(best_epoch, color=style.SUBDUED, linewidth=1, linestyle=":", zorder=1)
    axes.set(xlabel="Epoch", xlim=(min(epochs) - 0.5, max(epochs) + 0.5))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, min_n_ticks=1))
    axes.grid(visible=True)


def draw_legend(body: SubFigure, runs: Sequence[Rows], best: str | None, *, markers: bool = True) -> None:
    """Say beneath the panels of these runs what their lines are.

    Args:
        body: What holds the panels.
        runs: Each run's epochs.
        best: What the line at a chosen epoch is called; None where there is none.
        markers: Whether lines of few points show each.
    """
    from matplotlib.lines import Line2D

    marker = "o" if markers and max(map(len, runs)) <= _FEW else ""
    entries = [
        Line2D([], [], color=colour, label=name)
        for part, (name, colour) in _PARTS.items()
        if any(_finite(rows, f"{part}/{score}") for rows in runs for score in ("loss", *_MEANS))
    ]
    entries += [
        Line2D([], [], color=style.SUBDUED, marker=marker, label=name, **look) for name, look in _MEANS.values()
    ]
    if best is not None:
        entries.append(Line2D([], [], color=style.SUBDUED, linewidth=1, linestyle=":", label=best))
    body.legend(handles=entries, loc="outside lower center", ncols=3)
