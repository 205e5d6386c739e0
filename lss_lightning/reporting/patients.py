"""Plots of the score of each patient, with the names of the patients with the lowest scores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lss_lightning.reporting import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

_MAX_NAMED = 15  # patients
_NAME_LENGTH = 20  # characters
_SLICE_COLOUR = "#8a8a8a"
_SCORE_TITLE = "Mean IoU over anatomical classes"


def plot_patients(
    names: Sequence[str],
    pooled: NDArray[np.float64],
    slices: Sequence[NDArray[np.float64]],
    path: Path,
    *,
    caption: str,
) -> None:
    """Write the figure of :func:`draw_patients` to a PNG file."""
    with style.context():
        style.save(draw_patients(names, pooled, slices, caption=caption), path)


def draw_patients(
    names: Sequence[str], pooled: NDArray[np.float64], slices: Sequence[NDArray[np.float64]], *, caption: str
) -> Figure:
    """Draw the mean IoU over anatomical classes of each patient, in ascending order.

    Args:
        names: Names of the P patients.
        pooled: Score of each patient, pooled over the patient's slices, (P,). Patients with NaN are omitted.
        slices: Scores of the individual slices of each patient.
        caption: Text below the figure.

    Returns:
        The figure. One panel names the fifteen patients with the lowest scores. If there are more patients, a second
        panel shows all of them.
    """
    order = [int(index) for index in np.argsort(pooled) if not np.isnan(pooled[index])]
    named = order[:_MAX_NAMED]
    with style.context():
        figure, body = style.new_figure(max(2.4, 1.1 + 0.2 * len(named)), caption)
        if len(order) > _MAX_NAMED:
            all_axes, worst_axes = body.subplots(1, 2)
            _draw_all(all_axes, pooled[order], [slices[index] for index in order])
            all_axes.set_title(f"All {len(order)} patients", fontsize=style.MIN_FONT_SIZE)
            worst_axes.set_title(f"{len(named)} lowest scores", fontsize=style.MIN_FONT_SIZE)
        else:
            worst_axes = body.subplots()
        short_names = [_shorten(names[index]) for index in named]
        _draw_named(worst_axes, short_names, pooled[named], [slices[index] for index in named])
        _draw_legend(body)
        return figure


def _shorten(name: str) -> str:
    return name if len(name) <= _NAME_LENGTH else f"{name[: _NAME_LENGTH - 1]}…"


def _draw_all(axes: Axes, pooled: NDArray[np.float64], slices: Sequence[NDArray[np.float64]]) -> None:
    from matplotlib.ticker import MaxNLocator

    ranks = np.arange(1, len(pooled) + 1)
    for rank, scores in zip(ranks, slices, strict=True):
        axes.scatter([rank] * len(scores), scores, s=6, color=_SLICE_COLOUR, alpha=0.6, linewidths=0)
    axes.plot(ranks, pooled, color=style.TRAINING)
    axes.set(xlabel="Patients in ascending order of score", ylabel=_SCORE_TITLE, ylim=(0, 1.02))
    axes.set_xlim(0, len(pooled) + 1)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    axes.grid(visible=True, axis="y")


def _draw_named(
    axes: Axes, names: list[str], pooled: NDArray[np.float64], slices: Sequence[NDArray[np.float64]]
) -> None:
    rows = np.arange(len(names))
    for row, scores in zip(rows, slices, strict=True):
        axes.scatter(scores, [row] * len(scores), s=14, color=_SLICE_COLOUR, linewidths=0, zorder=2)
    axes.scatter(pooled, rows, s=34, color=style.TRAINING, marker="D", linewidths=0, zorder=3)
    axes.set_yticks(rows, names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set(xlabel=_SCORE_TITLE, xlim=(0, 1.02))
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=True)


def _draw_legend(body: SubFigure) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=style.TRAINING, marker="D", label="Patient, slices pooled"),
        Line2D([], [], color=_SLICE_COLOUR, marker="o", linestyle="", label="Single slice"),
    ]
    body.legend(handles=handles, loc="outside lower center", ncols=2)
