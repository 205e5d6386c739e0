"""Figure 13 of the paper: the same test images segmented by each model."""

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
from lss_lightning.reporting.examples import brighten, draw_overlay, find_crop, get_fill_colour

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure

_MAX_COLUMNS = 5
_LINE_LENGTH = 22  # characters above a panel


@dataclass(frozen=True)
class SegmentedExample:
    """An image and its segmentation by each model.

    Attributes:
        title: Title of the image, e.g. ``Best: patient 0001 D4``.
        image: The image, (H, W, 3) or (H, W, 1), uint8.
        label: The label map, (H, W), uint8, class indices or :data:`~lss_lightning.labels.IGNORE_INDEX`.
        predictions: Predicted label maps by name of the model, each (H, W), uint8, class indices.
        ious: Mean IoU of this image over the anatomical classes, by name of the model; NaN if undefined.
    """

    title: str
    image: NDArray[np.uint8]
    label: NDArray[np.uint8]
    predictions: Mapping[str, NDArray[np.uint8]]
    ious: Mapping[str, float]


def plot_figure13(rows: Sequence[SegmentedExample], labels: LabelSet, path: Path, *, caption: str) -> None:
    """Write the figure of :func:`draw_figure13` to a PNG file."""
    with style.context():
        style.save(draw_figure13(rows, labels, caption=caption), path)


def draw_figure13(rows: Sequence[SegmentedExample], labels: LabelSet, *, caption: str) -> Figure:
    """Draw each image, its label, and the prediction of each model with its mean IoU below.

    Args:
        rows: The images, at least one, all with the same models.
        labels: The classes.
        caption: Text below the figure.

    Returns:
        The figure. All panels of an image show the same square around the anatomy of the label.
    """
    with style.context():
        names = list(rows[0].predictions)
        title_lines = max(len(_break_lines(name)) for name in names)
        grid_columns = min(_MAX_COLUMNS, 2 + len(names))
        grid_rows = -(-(2 + len(names)) // grid_columns)
        panel_height = style.WIDTH / max(grid_columns, 4) + 0.18 + 0.17 * title_lines
        legend = style.fit_legend([label.name for label in labels])
        figure, body = style.new_figure((panel_height * grid_rows + 0.25) * len(rows) + legend.height, caption)
        subfigures = body.subfigures(len(rows), 1, squeeze=False)[:, 0]
        for subfigure, row in zip(subfigures, rows, strict=True):
            _draw_row(subfigure, row, labels, (grid_rows, grid_columns), title_lines)
        _draw_legend(body, labels, legend.columns)
        return figure


def _draw_row(
    subfigure: SubFigure, row: SegmentedExample, labels: LabelSet, grid: tuple[int, int], title_lines: int
) -> None:
    subfigure.suptitle(row.title, x=0.01, ha="left", fontsize=style.MIN_FONT_SIZE + 1)
    panels = subfigure.subplots(*grid, squeeze=False).ravel()
    top, left, side = find_crop(row.label, labels)
    bright = brighten(row.image, top, left, side)
    contents: list[tuple[str, NDArray[np.uint8] | None, str]] = [("Image", None, ""), ("Label", row.label, "")]
    for name, prediction in row.predictions.items():
        score = row.ious[name]
        contents.append((name, prediction, f"IoU {style.MISSING if np.isnan(score) else f'{score:.3f}'}"))
    for axes, (name, classes, note) in zip(panels, contents, strict=False):
        # All titles have the same number of lines, which aligns the panels.
        lines = _break_lines(name)
        axes.set_title("\n".join([*[""] * (title_lines - len(lines)), *lines]), fontsize=style.MIN_FONT_SIZE)
        axes.imshow(bright.mean(axis=-1), cmap="gray", vmin=0, vmax=1)
        if classes is not None:
            draw_overlay(axes, classes, labels)
        elif row.image.shape[-1] == 3:
            axes.imshow(bright)
        axes.set(xlim=(left - 0.5, left + side - 0.5), ylim=(top + side - 0.5, top - 0.5), xlabel=note)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    for axes in panels[len(contents) :]:
        axes.set_visible(False)


def _break_lines(name: str) -> list[str]:
    return textwrap.wrap(name, _LINE_LENGTH) or [""]


def _draw_legend(body: SubFigure, labels: LabelSet, columns: int) -> None:
    from matplotlib.patches import Patch

    patches = [Patch(facecolor=get_fill_colour(label), edgecolor=label.colour, label=label.name) for label in labels]
    body.legend(handles=patches, loc="outside lower center", ncols=columns)
