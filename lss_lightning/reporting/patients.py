"""How reliable a network is from patient to patient, and which patients it serves worst."""

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

Values = NDArray[np.float64]

_NAMED = 15  # patients
_LONGEST = 20  # characters of a name
_SLICE = "#8a8a8a"
_POOLED, _SINGLE = "Patient, slices pooled", "Single slice"


def plot_patients(names: Sequence[str], pooled: Values, slices: Sequence[Values], path: Path, *, caption: str) -> None:
    """Write :func:`draw_patients` to a PNG file."""
    with style.look():
        style.save(draw_patients(names, pooled, slices, caption=caption), path)


def draw_patients(names: Sequence[str], pooled: Values, slices: Sequence[Values], *, caption: str) -> Figure:
    """Draw the mean IoU of the anatomical classes patient by patient, from the worst.

    Args:
        names: Of the P patients.
        pooled: (P,), each one's score with its slices pooled; NaN where there is no anatomy: not drawn.
        slices: The scores of each one's single slices.
        caption: Stands beneath the figure.

    Returns:
        The worst fifteen patients by name; where there are more, beside them all patients in order.
    """
    order = [int(place) for place in np.argsort(pooled) if not np.isnan(pooled[place])]
    named = order[:_NAMED]
    with style.look():
        figure, body = style.new_figure(max(2.4, 1.1 + 0.2 * len(named)), caption)
        if len(order) > _NAMED:
            every, worst = body.subplots(1, 2)
            _curve(every, pooled[order], [slices[place] for place in order])
            every.set_title(f"All {len(order)} patients", fontsize=style.SMALLEST)
            worst.set_title(f"The worst {len(named)}", fontsize=style.SMALLEST)
        else:
            worst = body.subplots()
        _named(worst, [_short(names[place]) for place in named], pooled[named], [slices[place] for place in named])
        _legend(body)
        return figure


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"


def _curve(axes: Axes, pooled: Values, slices: Sequence[Values]) -> None:
    from matplotlib.ticker import MaxNLocator

    places = np.arange(1, len(pooled) + 1)
    for place, scores in zip(places, slices, strict=True):
        axes.scatter([place] * len(scores), scores, s=6, color=_SLICE, alpha=0.6, linewidths=0)
    axes.plot(places, pooled, color=style.TRAINING)
    axes.set(xlabel="Patients, from the worst", ylabel="Mean IoU of anatomical classes", ylim=(0, 1.02))
    axes.set_xlim(0, len(pooled) + 1)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    axes.grid(visible=True, axis="y")


def _named(axes: Axes, names: list[str], pooled: Values, slices: Sequence[Values]) -> None:
    rows = np.arange(len(names))
    for row, scores in zip(rows, slices, strict=True):
        axes.scatter(scores, [row] * len(scores), s=14, color=_SLICE, linewidths=0, zorder=2)
    axes.scatter(pooled, rows, s=34, color=style.TRAINING, marker="D", linewidths=0, zorder=3)
    axes.set_yticks(rows, names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set(xlabel="Mean IoU of anatomical classes", xlim=(0, 1.02))
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=True)


def _legend(body: SubFigure) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=style.TRAINING, marker="D", label=_POOLED),
        Line2D([], [], color=_SLICE, marker="o", linestyle="", label=_SINGLE),
    ]
    body.legend(handles=handles, loc="outside lower center", ncols=2)
