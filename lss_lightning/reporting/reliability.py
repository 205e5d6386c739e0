"""Whether predicted probabilities are the frequencies they claim to be, a diagram for each class."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lss_lightning.labels import Label, LabelSet
from lss_lightning.reporting import style
from lss_lightning.reporting.tables import format_score

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLUMNS = 3
_MOST = 12  # classes; of more the anatomical ones come first


def plot_reliability(calibration: Mapping[str, Any], labels: LabelSet, path: Path, *, caption: str) -> None:
    """Write :func:`draw_reliability` to a PNG file."""
    with style.look():
        style.save(draw_reliability(calibration, labels, caption=caption), path)


def draw_reliability(calibration: Mapping[str, Any], labels: LabelSet, *, caption: str) -> Figure:
    """Draw, for each class, how often pixels are of it against how probable they were said to be.

    Args:
        calibration: As in ``metrics.json``: ``reliability`` and ``ece`` are read.
        labels: The classes; of more than twelve the first twelve are drawn, anatomical ones before others.
        caption: Stands beneath the figure.

    Returns:
        A panel for each class: the diagonal, observed frequency against mean probability of each bin, and as bars the
        share of pixels in the bin. A class that labels no pixel of the band has an empty panel. What is not drawn is
        said.
    """
    with style.look():
        shown = list(labels)
        if len(labels) > _MOST:
            shown = sorted(labels, key=lambda label: not label.anatomical)[:_MOST]
        rows = -(-len(shown) // _COLUMNS)
        figure, body = style.new_figure(2.15 * rows + 0.6, caption)
        if len(shown) < len(labels):
            said = f"{_MOST} of {len(labels)} classes; metrics.json holds all"
            body.suptitle(said, x=0.01, ha="left", fontsize=style.SMALLEST + 1)
        grid = body.subplots(rows, _COLUMNS, sharex=True, sharey=True, squeeze=False)
        for axes in grid.ravel()[len(shown) :]:
            axes.set_axis_off()
        for axes, label in zip(grid.ravel(), shown, strict=False):
            _panel(axes, label, calibration["reliability"][label.key], calibration["ece"][label.key])
        for axes in grid.ravel()[max(0, len(shown) - _COLUMNS) : len(shown)]:
            axes.tick_params(labelbottom=True)
            axes.set_xlabel("Predicted probability")
        for axes in grid[:, 0]:
            axes.set_ylabel("Observed frequency")
        _legend(body)
        return figure


def _panel(axes: Axes, label: Label, diagram: Mapping[str, Any], error: float | None) -> None:
    axes.set_title(f"{label.name}: ECE {format_score(error)}", fontsize=style.SMALLEST)
    axes.set(xlim=(0, 1), ylim=(0, 1))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks((0, 0.5, 1), ("0", "0.5", "1"))
    axes.plot((0, 1), (0, 1), color=style.SUBDUED, linewidth=0.8, linestyle="--")
    if error is None:
        axes.text(0.5, 0.5, "No pixel of it in the band", ha="center", va="center", backgroundcolor="white")
        return
    pixels, bins = sum(diagram["pixels"]), len(diagram["pixels"])
    shares = [count / pixels for count in diagram["pixels"]]
    axes.bar([(place + 0.5) / bins for place in range(bins)], shares, 0.9 / bins, color="#d9d9d9")
    points = [point for point in zip(diagram["probability"], diagram["frequency"], strict=True) if point[0] is not None]
    axes.plot(*zip(*points, strict=True), marker="o", color=label.colour, clip_on=False)


def _legend(body: Any) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    body.legend(
        handles=[
            Line2D([], [], color=style.SUBDUED, linewidth=0.8, linestyle="--", label="Perfect calibration"),
            Line2D([], [], color=style.SUBDUED, marker="o", label="Observed"),
            Patch(color="#d9d9d9", label="Share of pixels"),
        ],
        loc="outside lower center",
        ncols=3,
    )
