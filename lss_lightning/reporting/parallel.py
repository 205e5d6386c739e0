"""Parallel-coordinates plot of a sweep: each setting is a line, coloured by the objective."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lss_lightning.reporting import style
from lss_lightning.reporting.scale import OBJECTIVE_TITLE, ParameterScale
from lss_lightning.sweeps.job_records import DIVERGED, FAILED, PRUNED
from lss_lightning.sweeps.results import SweepResults, SweepSetting

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_HEIGHT = 3.6  # inches
_UNDEFINED = -0.17  # end of lines without an objective; the axes range from 0 to 1
_TEXT_BOX = {"facecolor": "white", "alpha": 0.85, "edgecolor": "none", "pad": 0.6}  # keeps text on lines readable
_STATE_COLOURS = {DIVERGED: "#d55e00", PRUNED: "#0072b2", FAILED: "#cc79a7"}
_OTHER_COLOUR = "#808080"


def plot_parallel(results: SweepResults, path: Path, *, caption: str) -> bool:
    """Write the figure of :func:`draw_parallel` to a PNG file if the sweep has two or more parameters and an objective.

    Args:
        results: The sweep.
        path: PNG file to write.
        caption: Text below the figure.

    Returns:
        Whether the file was written.
    """
    if len(results.parameters) < 2 or results.best is None:
        return False
    with style.context():
        style.save(draw_parallel(results, caption=caption), path)
    return True


def draw_parallel(results: SweepResults, *, caption: str) -> Figure:
    """Draw each setting as a line through its values to its mean objective.

    Args:
        results: The sweep; at least one setting must have an objective.
        caption: Text below the figure.

    Returns:
        The figure, with an axis for each parameter, which is logarithmic if positive values span more than one power
        of ten, and the axis of the objective on the right. The best setting has the thickest line. The lines of
        settings without an objective are dashed and end below the axis of the objective.
    """
    from matplotlib import colormaps
    from matplotlib.colors import Normalize

    with style.context():
        scales = [ParameterScale(key, results.values(key)) for key in results.parameters]
        objective = ParameterScale(
            "objective", [setting.mean for setting in results.settings if setting.mean is not None]
        )
        figure, body = style.new_figure(_HEIGHT, caption, max(style.WIDTH, 1.4 * (len(scales) + 1)))
        axes = body.subplots()
        colours, palette = Normalize(*objective.limits), colormaps["viridis_r"]
        # The best setting is drawn last, above all others.
        for setting in sorted(results.settings, key=lambda setting: -1 if setting.mean is None else setting.mean):
            positions = [scale.position(setting.values[scale.key]) for scale in scales]
            if setting.mean is None:
                end, line_style = _UNDEFINED, _get_dashed_style(setting)
            else:
                # The yellows at the start of the palette are too pale for thin lines on white.
                colour = palette(0.12 + 0.88 * colours(setting.mean))
                end, line_style = objective.position(setting.mean), {"color": colour}
            width = 3.2 if setting is results.best else 1.3
            axes.plot(*_make_curve([*positions, end]), **line_style, linewidth=width, clip_on=False)
        for x, scale in enumerate(scales):
            _draw_axis(axes, x, scale.make_ticks(), scale.title)
        _draw_axis(axes, len(scales), objective.make_ticks(max_ticks=0), OBJECTIVE_TITLE)
        axes.set(xlim=(-0.35, len(scales) + 0.35), ylim=(_UNDEFINED - 0.05, 1.04))
        axes.set_axis_off()
        _draw_legend(body, results)
        return figure


def _make_curve(positions: list[float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the x and y coordinates of a curve through one position on each axis.

    The curve is horizontal where it crosses an axis, so that lines sharing a value remain distinguishable beyond it.
    """
    steps = np.linspace(0, 1, 40)
    ease = 3 * steps**2 - 2 * steps**3
    segments = [start + (end - start) * ease for start, end in pairwise(positions)]
    return np.concatenate([x + steps for x in range(len(segments))]), np.concatenate(segments)


def _get_dashed_style(setting: SweepSetting) -> dict[str, Any]:
    return {"color": _STATE_COLOURS.get(setting.state, _OTHER_COLOUR), "linestyle": (0, (3, 2))}


def _draw_axis(axes: Axes, x: int, ticks: list[tuple[float, str]], title: str) -> None:
    axes.plot((x, x), (0, 1), color="black", linewidth=0.8, zorder=3)
    axes.text(x, 1.07, title, ha="center", va="bottom")
    for y, text in ticks:
        axes.plot((x - 0.015, x + 0.015), (y, y), color="black", linewidth=0.8, zorder=3)
        # There are no lines to the left of the first axis.
        side: dict[str, Any] = {"x": x - 0.03, "ha": "right"} if x == 0 else {"x": x + 0.03, "ha": "left"}
        axes.text(y=y, s=text, va="center", zorder=4, bbox=_TEXT_BOX, **side)


def _draw_legend(body: Any, results: SweepResults) -> None:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color="black", linewidth=3.2, label="best")]
    undefined = {setting.state: setting for setting in results.settings if setting.mean is None}
    handles += [
        Line2D([], [], **_get_dashed_style(setting), label=f"{state}, no objective")
        for state, setting in undefined.items()
    ]
    body.legend(handles=handles, loc="outside lower center", ncols=len(handles))
