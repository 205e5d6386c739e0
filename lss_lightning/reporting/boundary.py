"""Box plots of the distances between predicted and true boundaries, by class."""

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

_MAX_CLASSES = 30


def plot_boundary(
    hd95: NDArray[np.float64], assd: NDArray[np.float64], labels: LabelSet, path: Path, *, unit: str, caption: str
) -> None:
    """Write the figure of :func:`draw_boundary` to a PNG file."""
    with style.context():
        style.save(draw_boundary(hd95, assd, labels, unit=unit, caption=caption), path)


def draw_boundary(
    hd95: NDArray[np.float64], assd: NDArray[np.float64], labels: LabelSet, *, unit: str, caption: str
) -> Figure:
    """Draw box plots of the boundary distances of each anatomical class, with one panel for each distance metric.

    Each box shows the median and the quartiles; the whiskers extend to the 5th and 95th percentiles.

    Args:
        hd95: 95 % Hausdorff distance of K classes in N images, (N, K); NaN if undefined.
        assd: Average symmetric surface distance, (N, K); NaN if undefined.
        labels: The K classes. The first thirty anatomical classes are drawn.
        unit: Unit of the distances, ``mm`` or ``px``.
        caption: Text below the figure.

    Returns:
        The figure. A dash marks a class without a distance in any image. If classes are omitted, a note states this.
    """
    with style.context():
        indices = list(labels.anatomical)[:_MAX_CLASSES]
        classes = [labels[index] for index in indices]
        figure, body = style.new_figure(1.05 + 0.3 * len(classes), caption)
        left, right = body.subplots(1, 2, sharey=True)
        for axes, distances, name in (
            (left, assd, "Average symmetric surface distance"),
            (right, hd95, "95 % Hausdorff distance"),
        ):
            _draw_boxes(axes, distances[:, indices], [label.colour for label in classes])
            axes.set_xlabel(f"{name} ({unit})")
        left.set_yticks(range(len(classes)), [label.name for label in classes])
        left.set_ylim(len(classes) - 0.5, -0.5)
        key = f"{_describe_classes(labels)}\nLine: median of images; box: quartiles; whiskers: 5th and 95th percentiles"
        body.supxlabel(key, color=style.SUBDUED, fontsize=style.MIN_FONT_SIZE)
        return figure


def _describe_classes(labels: LabelSet) -> str:
    anatomical = len(labels.anatomical)
    return (
        "Anatomical classes"
        if anatomical <= _MAX_CLASSES
        else f"The first {_MAX_CLASSES} of {anatomical} anatomical classes"
    )


def _draw_boxes(axes: Axes, distances: NDArray[np.float64], colours: list[str]) -> None:
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
