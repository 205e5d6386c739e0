"""The paper's Figure 13: the same test images, segmented by every model."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lss_lightning.labels import LabelSet
from lss_lightning.reporting import style
from lss_lightning.reporting.examples import brighten, fill, overlay, region

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

_ACROSS = 5  # panels
_NAME = 22  # characters of a model's name in a line above its panel


@dataclass(frozen=True)
class SegmentedExample:
    """One image and what every model made of it.

    Attributes:
        title: What it is, e.g. ``Best: patient 0001 D4``.
        image: (H, W, 3) or (H, W, 1), uint8.
        label: (H, W), uint8, class indices or :data:`~lss_lightning.labels.IGNORED`.
        predictions: (H, W) each, uint8, class indices, by the model's name.
        ious: Mean IoU over the anatomical classes of this image, by the model's name; NaN where it has none.
    """

    title: str
    image: NDArray[np.uint8]
    label: NDArray[np.uint8]
    predictions: Mapping[str, NDArray[np.uint8]]
    ious: Mapping[str, float]


def plot_figure13(rows: Sequence[SegmentedExample], labels: LabelSet, path: Path, *, caption: str) -> None:
    """Write :func:`draw_figure13` to a PNG file."""
    with style.look():
        style.save(draw_figure13(rows, labels, caption=caption), path)


def draw_figure13(rows: Sequence[SegmentedExample], labels: LabelSet, *, caption: str) -> Figure:
    """Draw for each image the image, its label, and each model's prediction with its IoU beneath.

    Args:
        rows: At least one, all with the same models.
        labels: The classes.
        caption: Stands beneath the figure.

    Returns:
        The figure. All panels of an image show the same square around the label's anatomy.
    """
    with style.look():
        names = list(rows[0].predictions)
        lines = max(len(_lines(name)) for name in names)
        across = min(_ACROSS, 2 + len(names))
        down = -(-(2 + len(names)) // across)
        panel = style.WIDTH / max(across, 4) + 0.18 + 0.17 * lines
        legend = style.legend_size([label.name for label in labels])
        figure, body = style.new_figure((panel * down + 0.25) * len(rows) + legend.height, caption)
        places = body.subfigures(len(rows), 1, squeeze=False)[:, 0]
        for place, row in zip(places, rows, strict=True):
            _draw_row(place, row, labels, (down, across), lines)
        _legend(body, labels, legend.columns)
        return figure


def _draw_row(place: SubFigure, row: SegmentedExample, labels: LabelSet, grid: tuple[int, int], lines: int) -> None:
    place.suptitle(row.title, x=0.01, ha="left", fontsize=style.SMALLEST + 1)
    panels = place.subplots(*grid, squeeze=False).ravel()
    top, left, side = region(row.label, labels)
    bright = brighten(row.image, top, left, side)
    shown: list[tuple[str, NDArray[np.uint8] | None, str]] = [("Image", None, ""), ("Label", row.label, "")]
    for name, predicted in row.predictions.items():
        score = row.ious[name]
        shown.append((name, predicted, f"IoU {style.MISSING if np.isnan(score) else f'{score:.3f}'}"))
    for axes, (name, classes, note) in zip(panels, shown, strict=False):
        # Every title takes as many lines, so that the panels stand level.
        text = _lines(name)
        axes.set_title("\n".join([*[""] * (lines - len(text)), *text]), fontsize=style.SMALLEST)
        axes.imshow(bright.mean(axis=-1), cmap="gray", vmin=0, vmax=1)
        if classes is not None:
            overlay(axes, classes, labels)
        elif row.image.shape[-1] == 3:
            axes.imshow(bright)
        axes.set(xlim=(left - 0.5, left + side - 0.5), ylim=(top + side - 0.5, top - 0.5), xlabel=note)
        _bare(axes)
    for axes in panels[len(shown) :]:
        axes.set_visible(False)


def _bare(axes: Axes) -> None:
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def _lines(name: str) -> list[str]:
    return textwrap.wrap(name, _NAME) or [""]


def _legend(body: SubFigure, labels: LabelSet, columns: int) -> None:
    from matplotlib.patches import Patch

    patches = [Patch(facecolor=fill(label), edgecolor=label.colour, label=label.name) for label in labels]
    body.legend(handles=patches, loc="outside lower center", ncols=columns)
