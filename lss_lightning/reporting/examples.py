"""Example slices: image, label, prediction and their differences side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lss_lightning.labels import IGNORE_INDEX, Label, LabelSet
from lss_lightning.reporting import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.typing import ColorType

_COLUMNS = ("Image", "Label", "Prediction", "Differences")
_DIFFER = "Label and prediction differ"
_OPACITY = {True: 0.4, False: 0.15}  # keyed by whether the class is anatomical
_MARGIN = 0.12  # around the anatomy, as a fraction of its longer side
_STRAY = 0.1  # Separate parts with a smaller fraction of the anatomy's pixels do not widen the view.


@dataclass(frozen=True)
class Case:
    """An example slice.

    Attributes:
        title: Title of the row, e.g. ``Median: patient 0001, D4``.
        image: The image, (H, W, 3) or (H, W, 1), uint8.
        label: The label map, (H, W), uint8, class indices or :data:`~lss_lightning.labels.IGNORE_INDEX`.
        prediction: The predicted label map, (H, W), uint8, class indices.
        iou: Mean IoU over the anatomical classes of this slice; NaN if neither map has any.
    """

    title: str
    image: NDArray[np.uint8]
    label: NDArray[np.uint8]
    prediction: NDArray[np.uint8]
    iou: float


def plot_examples(cases: Sequence[Case], labels: LabelSet, path: Path, *, caption: str) -> None:
    """Write the figure of :func:`draw_examples` to a PNG file."""
    with style.context():
        style.save(draw_examples(cases, labels, caption=caption), path)


def draw_examples(cases: Sequence[Case], labels: LabelSet, *, caption: str) -> Figure:
    """Draw a row of four panels for each case: image, label, prediction, and differences.

    Args:
        cases: The cases from top to bottom, usually the best, the median and the worst.
        labels: The classes.
        caption: Text below the figure.

    Returns:
        The figure. All panels of a row show the same square around the anatomy of the label, scaled so that its
        brightest 1 % is white. The numbers of differing pixels inside and outside the square are given below the
        last panel.
    """
    with style.context():
        legend = style.fit_legend([*(label.name for label in labels), _DIFFER])
        figure, body = style.new_figure(2.15 * len(cases) + legend.height, caption)
        rows = body.subfigures(len(cases), 1, squeeze=False)[:, 0]
        for row, case in zip(rows, cases, strict=True):
            _draw_case(row, case, labels)
        _draw_legend(body, labels, legend.columns)
        return figure


def find_crop(label: NDArray[np.uint8], labels: LabelSet) -> tuple[int, int, int]:
    """Find the square to show around the anatomy of a label map.

    Args:
        label: The label map, (H, W), class indices.
        labels: The classes.

    Returns:
        Top row, left column and side in pixels. The square stays inside the image if it fits. Small separate parts,
        such as strips at the image border, are ignored. If there is no anatomy, the square covers the whole image.
    """
    anatomy = np.isin(label, labels.anatomical)
    if not anatomy.any():
        return 0, 0, max(label.shape)
    extents = [_find_extent(anatomy.sum(axis=axis)) for axis in (1, 0)]
    side = round(max(end - start for start, end in extents) * (1 + 2 * _MARGIN))
    top, left = (
        int(np.clip((start + end - side) // 2, 0, max(0, size - side)))
        for (start, end), size in zip(extents, label.shape, strict=True)
    )
    return top, left, side


def _find_extent(profile: NDArray[np.int64]) -> tuple[int, int]:
    occupied = np.flatnonzero(profile)
    runs = np.split(occupied, np.flatnonzero(np.diff(occupied) > 1) + 1)
    kept = [run for run in runs if profile[run].sum() >= _STRAY * profile.sum()] or runs
    return int(kept[0][0]), int(kept[-1][-1]) + 1


def _draw_case(row: SubFigure, case: Case, labels: LabelSet) -> None:
    score = style.MISSING if np.isnan(case.iou) else f"{case.iou:.3f}"
    title = f"{case.title} · mean IoU over anatomical classes {score}"
    row.suptitle(title, x=0.01, ha="left", fontsize=style.MIN_FONT_SIZE + 1)
    panels = row.subplots(1, len(_COLUMNS))
    top, left, side = find_crop(case.label, labels)
    bright = brighten(case.image, top, left, side)
    grey = bright.mean(axis=-1)
    for axes, title in zip(panels, _COLUMNS, strict=True):
        axes.set_title(title, fontsize=style.MIN_FONT_SIZE)
        axes.imshow(grey, cmap="gray", vmin=0, vmax=1)
        axes.set(xlim=(left - 0.5, left + side - 0.5), ylim=(top + side - 0.5, top - 0.5), xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    if case.image.shape[-1] == 3:
        panels[0].imshow(bright)
    draw_overlay(panels[1], case.label, labels)
    draw_overlay(panels[2], case.prediction, labels)
    wrong = (case.label != case.prediction) & (case.label != IGNORE_INDEX)
    panels[3].imshow(_paint(wrong.astype(np.uint8), ["none", style.DIFFERENCE]))
    inside = int(wrong[top : top + side, left : left + side].sum())
    panels[3].set_xlabel(f"{inside:,} px + {int(wrong.sum()) - inside:,} outside")


def brighten(image: NDArray[np.uint8], top: int, left: int, side: int) -> NDArray[np.float64]:
    """Scale an image so that the brightest 1 % of the pixels in a square region are white.

    Args:
        image: The image, (H, W, C), uint8.
        top: Top row of the square.
        left: Left column of the square.
        side: Side of the square in pixels.

    Returns:
        The image, (H, W, C), float64, 0 to 1.
    """
    # A common factor for all channels preserves the colours. The brightest 1 % is mostly fat and may saturate.
    peak = np.percentile(image[top : top + side, left : left + side].max(axis=-1), 99)
    return np.clip(image / max(float(peak), 1.0), 0, 1)


def draw_overlay(axes: Axes, classes: NDArray[np.uint8], labels: LabelSet) -> None:
    """Tint the classes of an (H, W) map of class indices, and outline the anatomical classes."""
    axes.imshow(_paint(classes, [get_fill_colour(label) for label in labels]))
    for index in labels.anatomical:
        mask = classes == index
        if mask.any():
            axes.contour(mask, levels=[0.5], colors=[labels[index].colour], linewidths=1.0)


def _paint(indices: NDArray[np.uint8], colours: Sequence[ColorType]) -> NDArray[np.uint8]:
    """Convert a map of indices into RGBA, (H, W, 4), uint8; indices without a colour are transparent."""
    from matplotlib.colors import to_rgba_array

    table = np.zeros((256, 4), dtype=np.uint8)
    table[: len(colours)] = np.rint(255 * to_rgba_array(colours))
    return table[indices]


def get_fill_colour(label: Label) -> ColorType:
    """Return the colour and the opacity of a class in an overlay."""
    return label.colour, _OPACITY[label.anatomical]


def _draw_legend(body: SubFigure, labels: LabelSet, columns: int) -> None:
    from matplotlib.patches import Patch

    patches = [Patch(facecolor=get_fill_colour(label), edgecolor=label.colour, label=label.name) for label in labels]
    patches.append(Patch(color=style.DIFFERENCE, label=_DIFFER))
    body.legend(handles=patches, loc="outside lower center", ncols=columns)
