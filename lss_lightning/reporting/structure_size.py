"""Plots of the IoU against the size of the structure, by class."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lss_lightning.display import format_count
from lss_lightning.labels import LabelSet
from lss_lightning.reporting import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLUMNS = 2
_MAX_CLASSES = 12
_BINS = 5
_MIN_IMAGES = 4 * _BINS  # With fewer images, medians of bins are too noisy.


def plot_structure_sizes(
    areas: NDArray[np.float64],
    ious: NDArray[np.float64],
    labels: LabelSet,
    path: Path,
    *,
    unit: str,
    caption: str,
) -> None:
    """Write the figure of :func:`draw_structure_sizes` to a PNG file."""
    with style.context():
        style.save(draw_structure_sizes(areas, ious, labels, unit=unit, caption=caption), path)


def draw_structure_sizes(
    areas: NDArray[np.float64], ious: NDArray[np.float64], labels: LabelSet, *, unit: str, caption: str
) -> Figure:
    """Draw the IoU of single images against the area of the structure, in a panel for each anatomical class.

    Args:
        areas: Area of each class in the labels of N images, (N, K); 0 if the class is absent, NaN if unknown.
        ious: IoU of each class in each image, (N, K).
        labels: The K classes. The first twelve anatomical classes are drawn.
        unit: Unit of the areas, ``mm²`` or ``px``.
        caption: Text below the figure.

    Returns:
        The figure, with a dot for each image whose label contains the class. With twenty or more such images, a
        line connects the medians of the quintiles by area.
    """
    with style.context():
        classes = labels.anatomical[:_MAX_CLASSES]
        rows = -(-len(classes) // _COLUMNS)
        figure, body = style.new_figure(2.3 * rows + 0.5, caption)
        grid = body.subplots(rows, _COLUMNS, sharey=True, squeeze=False)
        for axes in grid.ravel()[len(classes) :]:
            axes.set_axis_off()
        for axes, index in zip(grid.ravel(), classes, strict=False):
            present = areas[:, index] > 0
            axes.set_title(
                f"{labels[index].name} ({format_count(int(present.sum()), 'image')})", fontsize=style.MIN_FONT_SIZE
            )
            _draw_panel(axes, areas[present, index], ious[present, index], labels[index].colour)
            axes.set_xlabel(f"Area in the label ({unit})")
        for axes in grid[:, 0]:
            axes.set_ylabel("IoU of the image")
        key = "Dot: image; line: medians of quintiles of the images by area"
        body.supxlabel(key, color=style.SUBDUED, fontsize=style.MIN_FONT_SIZE)
        return figure


def _draw_panel(axes: Axes, areas: NDArray[np.float64], ious: NDArray[np.float64], colour: str) -> None:
    axes.set_ylim(-0.02, 1.02)
    axes.grid(visible=True)
    if not areas.size:
        axes.text(0.5, 0.5, "Absent from all labels", transform=axes.transAxes, ha="center", va="center")
        axes.set_xticks([])
        return
    axes.scatter(areas, ious, s=12, color=colour, alpha=0.8 if len(areas) < 200 else 0.35, linewidths=0, clip_on=False)
    if len(areas) >= _MIN_IMAGES:
        bins = np.array_split(np.argsort(areas), _BINS)
        medians = [(np.median(areas[indices]), np.median(ious[indices])) for indices in bins]
        axes.plot(*zip(*medians, strict=True), color="black", marker="o")
