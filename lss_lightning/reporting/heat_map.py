"""A grid of settings as a heat map of the objective."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lss_lightning.reporting import style
from lss_lightning.reporting.scale import OBJECTIVE, Scale
from lss_lightning.reporting.sweep import format_value
from lss_lightning.reporting.tables import format_score
from lss_lightning.sweeps.jobs import DIVERGED, FAILED, FINISHED
from lss_lightning.sweeps.results import UNFINISHED, SweepResults, SweepSetting

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIGNS = {DIVERGED: "×", FAILED: "!", UNFINISHED: "…", "not run": "", FINISHED: style.MISSING}
"""What a cell without an objective shows, by how its job ended."""

_MOST = 12  # values of a parameter; beyond, cells have no room for their figure
_PANELS = 4
_CELL = 0.42  # inches of height
_LEAST = 2.3  # inches: room for the names beside the cells


@dataclass(frozen=True)
class Grid:
    """Settings laid out by two parameters, and into panels by a third.

    Attributes:
        across: The parameter along a panel.
        down: The parameter from top to bottom.
        panels: The one with a panel for each value; None where there are two parameters.
        settings: The settings, at most one in a cell.
    """

    across: Scale
    down: Scale
    panels: Scale | None
    settings: tuple[SweepSetting, ...]

    def cells(self, panel: Any = None) -> dict[tuple[int, int], SweepSetting]:
        """The settings of a panel by row and column; rows run from the greatest value to the least."""
        inside = [one for one in self.settings if self.panels is None or one.values[self.panels.key] == panel]
        last = len(self.down.distinct) - 1
        return {
            (last - self.down.index(one.values[self.down.key]), self.across.index(one.values[self.across.key])): one
            for one in inside
        }


def grid_of(results: SweepResults) -> Grid | None:
    """A sweep's grid; None where it has not two or three parameters, or most combinations of their values lack."""
    scales = [Scale(key, results.values(key)) for key in results.parameters]
    sizes = [len(scale.distinct) for scale in scales]
    if len(scales) not in (2, 3) or max(sizes) > _MOST or 2 * len(results.settings) < np.prod(sizes):
        return None
    # Names make panels sooner than numbers do, and few values sooner than many.
    scales.sort(key=lambda scale: (not scale.numeric, -len(scale.distinct)))
    if len(scales) == 2:
        return Grid(across=scales[0], down=scales[1], panels=None, settings=results.settings)
    if len(scales[2].distinct) > _PANELS:
        return None
    return Grid(across=scales[1], down=scales[0], panels=scales[2], settings=results.settings)


def plot_heat_map(results: SweepResults, path: Path, *, caption: str) -> bool:
    """Write :func:`draw_heat_map` to a PNG file, where the sweep is a grid with an objective.

    Returns:
        Whether there is one.
    """
    grid = grid_of(results)
    if grid is None or results.best is None:
        return False
    with style.look():
        style.save(draw_heat_map(grid, caption=caption), path)
    return True


def draw_heat_map(grid: Grid, *, caption: str) -> Figure:
    """Draw the mean objective of each setting of a grid.

    Args:
        grid: At least one of its settings has an objective.
        caption: Stands beneath the figure.

    Returns:
        A panel, or one for each value of the third parameter: a cell for each setting, the best one framed, those
        without an objective hatched and signed by how they ended.
    """
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    with style.look():
        panels = [None] if grid.panels is None else grid.panels.distinct
        figure, body = style.new_figure(1.2 + max(_LEAST, _CELL * len(grid.down.distinct)), caption)
        figure.set_layout_engine("constrained", h_pad=0.1)  # cells fill the axes up to their edge
        drawn = body.subplots(1, len(panels), squeeze=False, sharey=True)[0]
        means = [one.mean for one in grid.settings if one.mean is not None]
        colours = ScalarMappable(Normalize(min(means), max(means)), colormaps["viridis_r"])
        endings: dict[str, None] = {}
        for axes, panel in zip(drawn, panels, strict=True):
            endings |= _panel(axes, grid, panel, colours, max(means))
        drawn[0].set_ylabel(grid.down.title)
        bar = body.colorbar(colours, ax=list(drawn), pad=0.02, aspect=15)
        bar.set_label(OBJECTIVE.replace(", ", ",\n"))
        bar.outline.set_visible(False)
        _legend(body, list(endings))
        return figure


def _panel(axes: Axes, grid: Grid, panel: Any, colours: Any, best: float) -> dict[str, None]:
    """Draw one panel, and say which endings it shows beside those with an objective."""
    from matplotlib.patches import Rectangle

    shape = len(grid.down.distinct), len(grid.across.distinct)
    cells, means = grid.cells(panel), np.full(shape, np.nan)
    endings: dict[str, None] = {}
    for place in np.ndindex(shape):
        setting = cells.get((place[0], place[1]))
        mean = None if setting is None else setting.mean
        if mean is not None:
            means[place] = mean
            _figure(axes, place, format_score(mean), colours.to_rgba(mean))
            continue
        ending = "not run" if setting is None else setting.state
        endings[ending] = None
        axes.add_patch(Rectangle((place[1] - 0.5, place[0] - 0.5), 1, 1, zorder=0, **_hatched()))  # beneath the grid
        axes.text(place[1], place[0], SIGNS[ending], ha="center", va="center", backgroundcolor="white")
    axes.imshow(np.ma.masked_invalid(means), cmap=colours.cmap, norm=colours.norm, aspect="auto")
    _ticks(axes, grid, shape)
    if panel is not None and grid.panels is not None:
        axes.set_title(f"{grid.panels.key}={format_value(panel)}", fontsize=style.SMALLEST)
    for row, column in np.argwhere(means == best):
        corner = column - 0.5, row - 0.5
        frame = Rectangle(corner, 1, 1, fill=False, edgecolor=style.VALIDATION, linewidth=2.5, clip_on=False, zorder=3)
        axes.add_patch(frame)
    return endings


def _figure(axes: Axes, place: Sequence[int], text: str, colour: NDArray[np.float64] | Sequence[float]) -> None:
    brightness = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]
    axes.text(place[1], place[0], text, ha="center", va="center", color="black" if brightness > 0.5 else "white")


def _ticks(axes: Axes, grid: Grid, shape: tuple[int, int]) -> None:
    axes.set_xticks(range(shape[1]), [format_value(value) for value in grid.across.distinct])
    axes.set_yticks(range(shape[0]), [format_value(value) for value in reversed(grid.down.distinct)])
    axes.set_xticks(np.arange(0.5, shape[1] - 1), minor=True)
    axes.set_yticks(np.arange(0.5, shape[0] - 1), minor=True)
    axes.grid(which="minor", color="white", linewidth=1.5)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel(grid.across.title)


def _hatched() -> dict[str, Any]:
    return {"facecolor": "#f0f0f0", "edgecolor": "#b0b0b0", "hatch": "////", "linewidth": 0}


def _legend(body: Any, endings: Sequence[str]) -> None:
    from matplotlib.patches import Patch

    handles = [Patch(fill=False, edgecolor=style.VALIDATION, linewidth=2.5, label="best")]
    names = {FINISHED: "finished, no objective"}
    for ending in endings:
        label = f"{SIGNS[ending]} {names.get(ending, ending)}".strip()
        handles.append(Patch(**_hatched(), label=label))
    body.legend(handles=handles, loc="outside lower center", ncols=len(handles))
