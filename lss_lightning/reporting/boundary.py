"""How far predicted boundaries lie from true ones, class by class, over the images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lss_lightning.labels import LabelSet
from lss_lightning.reporting import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Distances = NDArray[np.float64]

_MOST = 30  # classes


def plot_boundary(hd95: Distances, assd: Distances, labels: LabelSet, path: Path, *, unit: str, caption: str) -> None:
    """Write :func:`draw_boundary` to a PNG file."""
    with style.look():
        style.save(draw_boundary(hd95, assd, labels, unit=unit, caption=caption), path)


def draw_boundary(hd95: Distances, assd: Distances, labels: LabelSet, *, unit: str, caption: str) -> Figure:
    """Draw a box for each class: median, quartiles, and the 5th and 95th percentile of the images.

    Args:
        hd95: (N, K), 95th percentile of the boundary distances of each image; NaN where there is none.
        assd: (N, K), average symmetric surface distance, likewise.
        labels: The K classes; the anatomical ones are drawn, the first thirty of them.
        unit: Of the distances, ``mm`` or ``px``.
        caption: Stands beneath the figure.

    Returns:
        Two panels, one a measure. A class without a distance in any image shows a dash. What is not drawn is said.
    """
    with style.look():
        places = list(labels.anatomical)[:_MOST]
        shown = [labels[place] for place in places]
        figure, body = style.new_figure(1.05 + 0.3 * len(shown), caption)
        left, right = body.subplots(1, 2, sharey=True)
        for axes, distances, name in (
            (left, assd, "Average surface distance"),
            (right, hd95, "95 % Hausdorff distance"),
        ):
            _boxes(axes, distances[:, places], [label.colour for label in shown])
            axes.set_xlabel(f"{name} ({unit})")
        left.set_yticks(range(len(shown)), [label.name for label in shown])
        left.set_ylim(len(shown) - 0.5, -0.5)
        key = f"{_which(labels)}\nLine: median of images; box: quartiles; whiskers: 5th and 95th percentile"
        body.supxlabel(key, color=style.SUBDUED, fontsize=style.SMALLEST)
        return figure


def _which(labels: LabelSet) -> str:
    """Which classes are drawn."""
    anatomical = len(labels.anatomical)
    return "Anatomical classes" if anatomical <= _MOST else f"The first {_MOST} of {anatomical} anatomical classes"


def _boxes(axes: Axes, distances: Distances, colours: list[str]) -> None:
    for row, (values, colour) in enumerate(zip(distances.T, colours, strict=True)):
        defined = values[~np.isnan(values)]
        if not defined.size:
            axes.text(0.01, row, style.MISSING, transform=axes.get_yaxis_transform(), va="center")
            continue
        box = axes.boxplot(
            defined,
            positions=[row],
            widths=0.6,
            orientation="horizontal",
            whis=(5, 95),
            showfliers=False,
            patch_artist=True,
            manage_ticks=False,
        )
        box["boxes"][0].set(facecolor=colour, alpha=0.5, edgecolor=colour)
        for line in (*box["whiskers"], *box["caps"]):
            line.set(color=colour, linewidth=1)
        box["medians"][0].set(color="black", linewidth=1.6)
    axes.grid(visible=True, axis="x")
    axes.tick_params(axis="y", length=0)
    axes.set_xlim(left=0)
