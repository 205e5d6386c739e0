"""Settings of any number as lines over parallel axes, coloured by the objective."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lss_lightning.reporting import style
from lss_lightning.reporting.scale import OBJECTIVE, Scale
from lss_lightning.sweeps.jobs import DIVERGED, FAILED
from lss_lightning.sweeps.results import SweepResults, SweepSetting

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_HEIGHT = 3.6
_BELOW = -0.17
"""Where lines end whose setting has no objective: beneath the least of the axis, which runs from 0 to 1."""

_BEHIND = {"facecolor": "white", "alpha": 0.85, "edgecolor": "none", "pad": 0.6}
"""Keeps a number readable where lines run behind it."""

_WITHOUT = {DIVERGED: "#d55e00", FAILED: "#cc79a7"}


def plot_parallel(results: SweepResults, path: Path, *, caption: str) -> bool:
    """Write :func:`draw_parallel` to a PNG file, where the sweep has two parameters or more and an objective.

    Returns:
        Whether there is one.
    """
    if len(results.parameters) < 2 or results.best is None:
        return False
    with style.look():
        style.save(draw_parallel(results, caption=caption), path)
    return True


def draw_parallel(results: SweepResults, *, caption: str) -> Figure:
    """Draw each setting as a line through its values to its mean objective.

    Args:
        results: At least one setting has an objective.
        caption: Stands beneath the figure.

    Returns:
        An axis for each parameter, logarithmic where it spans powers of ten, and the objective's at the right; the
        best setting is drawn thickest, those without an objective are dashed and end beneath that axis.
    """
    from matplotlib import colormaps
    from matplotlib.colors import Normalize

    with style.look():
        scales = [Scale(key, results.values(key)) for key in results.parameters]
        objective = Scale("objective", [one.mean for one in results.settings if one.mean is not None])
        figure, body = style.new_figure(_HEIGHT, caption, max(style.WIDTH, 1.4 * (len(scales) + 1)))
        axes = body.subplots()
        colours, palette = Normalize(*objective.ends), colormaps["viridis_r"]
        # The best last, over all others.
        for setting in sorted(results.settings, key=lambda one: -1 if one.mean is None else one.mean):
            points = [scale.place(setting.values[scale.key]) for scale in scales]
            end = _BELOW if setting.mean is None else objective.place(setting.mean)
            # The palette's first yellows are too pale for thin lines on white.
            look = _dashed(setting) if setting.mean is None else {"color": palette(0.12 + 0.88 * colours(setting.mean))}
            best = setting is results.best
            axes.plot(*_curve([*points, end]), **look, linewidth=3.2 if best else 1.3, clip_on=False)
        for place, scale in enumerate(scales):
            _axis(axes, place, scale.ticks(), scale.title)
        _axis(axes, len(scales), objective.ticks(most=0), OBJECTIVE.replace(", ", ",\n"))
        axes.set(xlim=(-0.35, len(scales) + 0.35), ylim=(min(_BELOW, 0) - 0.05, 1.04))
        axes.set_axis_off()
        _legend(body, results)
        return figure


def _curve(points: list[float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A line that crosses each axis level, so that lines through one value can be told apart behind it."""
    along = np.linspace(0, 1, 40)
    ease = 3 * along**2 - 2 * along**3
    heights = [start + (end - start) * ease for start, end in pairwise(points)]
    return np.concatenate([place + along for place in range(len(heights))]), np.concatenate(heights)


def _dashed(setting: SweepSetting) -> dict[str, Any]:
    return {"color": _WITHOUT.get(setting.state, "#808080"), "linestyle": (0, (3, 2))}


def _axis(axes: Axes, place: int, ticks: list[tuple[float, str]], title: str) -> None:
    axes.plot((place, place), (0, 1), color="black", linewidth=0.8, zorder=3)
    axes.text(place, 1.07, title, ha="center", va="bottom")
    for height, text in ticks:
        axes.plot((place - 0.015, place + 0.015), (height, height), color="black", linewidth=0.8, zorder=3)
        # No line runs to the left of the first axis.
        side: dict[str, Any] = {"x": place - 0.03, "ha": "right"} if place == 0 else {"x": place + 0.03, "ha": "left"}
        axes.text(y=height, s=text, va="center", zorder=4, bbox=_BEHIND, **side)


def _legend(body: Any, results: SweepResults) -> None:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color="black", linewidth=3.2, label="best")]
    without = {one.state: one for one in results.settings if one.mean is None}
    handles += [Line2D([], [], **_dashed(one), label=f"{state}, no objective") for state, one in without.items()]
    body.legend(handles=handles, loc="outside lower center", ncols=len(handles))
