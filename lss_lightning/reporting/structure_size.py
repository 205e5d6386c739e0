"""Whether small structures are found worse than large ones, class by class."""

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

Values = NDArray[np.float64]

_COLUMNS = 2
_MOST = 12  # classes
_BINS = 5
_ENOUGH = 4 * _BINS  # images; with fewer, medians of bins are noise


def plot_structure_sizes(areas: Values, ious: Values, labels: LabelSet, path: Path, *, unit: str, caption: str) -> None:
    """Write :func:`draw_structure_sizes` to a PNG file."""
    with style.look():
        style.save(draw_structure_sizes(areas, ious, labels, unit=unit, caption=caption), path)


def draw_structure_sizes(areas: Values, ious: Values, labels: LabelSet, *, unit: str, caption: str) -> Figure:
    """Draw a panel for each anatomical class, a dot for each image whose label holds it.

    Args:
        areas: (N, K), of each class in each image's label; 0 where it is not there, NaN where it is not known.
        ious: (N, K), of the single image.
        labels: The K classes; the first twelve anatomical ones are drawn.
        unit: Of the areas, ``mm²`` or ``px``.
        caption: Stands beneath the figure.

    Returns:
        IoU against area; from twenty images on also the medians of fifths of the images, ordered by area.
    """
    with style.look():
        shown = labels.anatomical[:_MOST]
        rows = -(-len(shown) // _COLUMNS)
        figure, body = style.new_figure(2.3 * rows + 0.5, caption)
        grid = body.subplots(rows, _COLUMNS, sharey=True, squeeze=False)
        for axes in grid.ravel()[len(shown) :]:
            axes.set_axis_off()
        for axes, index in zip(grid.ravel(), shown, strict=False):
            held = areas[:, index] > 0
            axes.set_title(f"{labels[index].name} ({held.sum()} images)", fontsize=style.SMALLEST)
            _panel(axes, areas[held, index], ious[held, index], labels[index].colour)
            axes.set_xlabel(f"Area in the label ({unit})")
        for axes in grid[:, 0]:
            axes.set_ylabel("IoU of the image")
        body.supxlabel(
            "Dot: image; line: medians of fifths of the images by area", color=style.SUBDUED, fontsize=style.SMALLEST
        )
        return figure


def _panel(axes: Axes, areas: Values, ious: Values, colour: str) -> None:
    axes.set_ylim(-0.02, 1.02)
    axes.grid(visible=True)
    if not areas.size:
        axes.text(0.5, 0.5, "No label holds it", transform=axes.transAxes, ha="center", va="center")
        axes.set_xticks([])
        return
    axes.scatter(areas, ious, s=12, color=colour, alpha=0.8 if len(areas) < 200 else 0.35, linewidths=0, clip_on=False)
    if len(areas) >= _ENOUGH:
        fifths = np.array_split(np.argsort(areas), _BINS)
        medians = [(np.median(areas[part]), np.median(ious[part])) for part in fifths]
        axes.plot(*zip(*medians, strict=True), color="black", marker="o")
