"""Reliability diagrams: observed frequency against predicted probability, by class."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lss_lightning.labels import Label, LabelSet
from lss_lightning.reporting import style
from lss_lightning.reporting.tables import format_score
from lss_lightning.runs.layout import RunFolder

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLUMNS = 3
_MAX_CLASSES = 12  # Anatomical classes have priority.


def plot_reliability(calibration: Mapping[str, Any], labels: LabelSet, path: Path, *, caption: str) -> None:
    """Write the figure of :func:`draw_reliability` to a PNG file."""
    with style.context():
        style.save(draw_reliability(calibration, labels, caption=caption), path)


def draw_reliability(calibration: Mapping[str, Any], labels: LabelSet, *, caption: str) -> Figure:
    """Draw the reliability diagram of each class.

    Args:
        calibration: The ``calibration`` section of ``metrics.json``, of which ``reliability`` and ``ece`` are used.
        labels: The classes. At most twelve are drawn; anatomical classes have priority.
        caption: Text below the figure.

    Returns:
        The figure. The panel of each class shows the diagonal, the observed frequency against the mean predicted
        probability of each bin, and bars for the fraction of pixels in each bin. If a class has no pixels in the
        evaluated band, its panel contains a note instead. If classes are omitted, a line of text states this.
    """
    with style.context():
        classes = list(labels)
        if len(labels) > _MAX_CLASSES:
            classes = sorted(labels, key=lambda label: not label.anatomical)[:_MAX_CLASSES]
        rows = -(-len(classes) // _COLUMNS)
        figure, body = style.new_figure(2.15 * rows + 0.6, caption)
        if len(classes) < len(labels):
            note = f"{_MAX_CLASSES} of {len(labels)} classes; {RunFolder(Path()).metrics.name} has all of them"
            body.suptitle(note, x=0.01, ha="left", fontsize=style.MIN_FONT_SIZE + 1)
        grid = body.subplots(rows, _COLUMNS, sharex=True, sharey=True, squeeze=False)
        for axes in grid.ravel()[len(classes) :]:
            axes.set_axis_off()
        for axes, label in zip(grid.ravel(), classes, strict=False):
            _draw_panel(axes, label, calibration["reliability"][label.key], calibration["ece"][label.key])
        for axes in grid.ravel()[max(0, len(classes) - _COLUMNS) : len(classes)]:
            axes.tick_params(labelbottom=True)
            axes.set_xlabel("Predicted probability")
        for axes in grid[:, 0]:
            axes.set_ylabel("Observed frequency")
        _draw_legend(body)
        return figure


def _draw_panel(axes: Axes, label: Label, diagram: Mapping[str, Any], error: float | None) -> None:
    axes.set_title(f"{label.name}: ECE {format_score(error)}", fontsize=style.MIN_FONT_SIZE)
    axes.set(xlim=(0, 1), ylim=(0, 1))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks((0, 0.5, 1), ("0", "0.5", "1"))
    axes.plot((0, 1), (0, 1), color=style.SUBDUED, linewidth=0.8, linestyle="--")
    if error is None:
        axes.text(0.5, 0.5, "No pixels in the band", ha="center", va="center", backgroundcolor="white")
        return
    pixels, bins = sum(diagram["pixels"]), len(diagram["pixels"])
    fractions = [count / pixels for count in diagram["pixels"]]
    axes.bar([(index + 0.5) / bins for index in range(bins)], fractions, 0.9 / bins, color="#d9d9d9")
    points = [point for point in zip(diagram["probability"], diagram["frequency"], strict=True) if point[0] is not None]
    axes.plot(*zip(*points, strict=True), marker="o", color=label.colour, clip_on=False)


def _draw_legend(body: Any) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    body.legend(
        handles=[
            Line2D([], [], color=style.SUBDUED, linewidth=0.8, linestyle="--", label="Perfect calibration"),
            Line2D([], [], color=style.SUBDUED, marker="o", label="Observed"),
            Patch(color="#d9d9d9", label="Fraction of pixels"),
        ],
        loc="outside lower center",
        ncols=3,
    )
