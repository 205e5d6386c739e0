"""Heat map of the objective over a grid of settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lss_lightning.reporting import style
from lss_lightning.reporting.scale import OBJECTIVE_TITLE, ParameterScale
from lss_lightning.reporting.sweep import format_value
from lss_lightning.reporting.tables import format_score
from lss_lightning.sweeps.job_records import DIVERGED, FAILED, FINISHED, PRUNED
from lss_lightning.sweeps.results import UNFINISHED, SweepResults, SweepSetting

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_NOT_RUN = "not run"

STATE_SYMBOLS = {
    DIVERGED: "×",
    PRUNED: "↓",
    FAILED: "!",
    UNFINISHED: "…",
    _NOT_RUN: "",
    FINISHED: style.MISSING,
}
"""Symbols of cells without an objective, keyed by the state of their jobs."""

_MAX_VALUES = 12  # With more values of a parameter, cells are too small for text.
_MAX_PANELS = 4
_CELL_HEIGHT = 0.42  # inches
_MIN_HEIGHT = 2.3  # inches, of a panel, to fit the tick labels and titles
_HATCHED: dict[str, Any] = {"facecolor": "#f0f0f0", "edgecolor": "#b0b0b0", "hatch": "////", "linewidth": 0}


@dataclass(frozen=True)
class SweepGrid:
    """The settings of a sweep arranged by two parameters, and in panels by a third.

    Attributes:
        columns: The parameter of the columns.
        rows: The parameter of the rows.
        panels: The parameter with a panel for each value, or None if there are only two parameters.
        settings: The settings, at most one per cell.
    """

    columns: ParameterScale
    rows: ParameterScale
    panels: ParameterScale | None
    settings: tuple[SweepSetting, ...]

    def cells(self, panel: Any = None) -> dict[tuple[int, int], SweepSetting]:
        """Return the settings of a panel by row and column. Row 0 has the greatest value of the row parameter.

        Args:
            panel: Value of the panel parameter; ignored if there is no such parameter.
        """
        last = len(self.rows.distinct) - 1
        return {
            (
                last - self.rows.index(setting.values[self.rows.key]),
                self.columns.index(setting.values[self.columns.key]),
            ): setting
            for setting in self.settings
            if self.panels is None or setting.values[self.panels.key] == panel
        }


def find_grid(results: SweepResults) -> SweepGrid | None:
    """Arrange the settings of a sweep in a grid.

    Args:
        results: The sweep.

    Returns:
        The grid, or None if the sweep has fewer than two or more than three parameters, if a parameter has too many
        values, or if most combinations of values are missing.
    """
    scales = [ParameterScale(key, results.values(key)) for key in results.parameters]
    sizes = [len(scale.distinct) for scale in scales]
    if len(scales) not in (2, 3) or max(sizes) > _MAX_VALUES or 2 * len(results.settings) < np.prod(sizes):
        return None
    # Panels are best for names and for parameters with few values.
    scales.sort(key=lambda scale: (not scale.is_numeric, -len(scale.distinct)))
    if len(scales) == 2:
        return SweepGrid(columns=scales[0], rows=scales[1], panels=None, settings=results.settings)
    if len(scales[2].distinct) > _MAX_PANELS:
        return None
    return SweepGrid(columns=scales[1], rows=scales[0], panels=scales[2], settings=results.settings)


def plot_heat_map(results: SweepResults, path: Path, *, caption: str) -> bool:
    """Write the figure of :func:`draw_heat_map` to a PNG file if the sweep forms a grid and has an objective.

    Args:
        results: The sweep.
        path: PNG file to write.
        caption: Text below the figure.

    Returns:
        Whether the file was written.
    """
    grid = find_grid(results)
    if grid is None or results.best is None:
        return False
    with style.context():
        style.save(draw_heat_map(grid, caption=caption), path)
    return True


def draw_heat_map(grid: SweepGrid, *, caption: str) -> Figure:
    """Draw the mean objective of each setting of a grid.

    Args:
        grid: The grid; at least one of its settings must have an objective.
        caption: Text below the figure.

    Returns:
        The figure, with a panel for each value of the third parameter and a cell for each setting. The best cell is
        framed. Cells without an objective are hatched and show the symbol of their state.
    """
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    with style.context():
        panels = [None] if grid.panels is None else grid.panels.distinct
        figure, body = style.new_figure(1.2 + max(_MIN_HEIGHT, _CELL_HEIGHT * len(grid.rows.distinct)), caption)
        figure.set_layout_engine("constrained", h_pad=0.1)  # Cells reach the edges of the axes.
        panel_axes = body.subplots(1, len(panels), squeeze=False, sharey=True)[0]
        means = [setting.mean for setting in grid.settings if setting.mean is not None]
        colours = ScalarMappable(Normalize(min(means), max(means)), colormaps["viridis_r"])
        states: dict[str, None] = {}
        for axes, panel in zip(panel_axes, panels, strict=True):
            states |= _draw_panel(axes, grid, panel, colours, max(means))
        panel_axes[0].set_ylabel(grid.rows.title)
        bar = body.colorbar(colours, ax=list(panel_axes), pad=0.02, aspect=15)
        bar.set_label(OBJECTIVE_TITLE)
        bar.outline.set_visible(False)
        _draw_legend(body, list(states))
        return figure


def _draw_panel(axes: Axes, grid: SweepGrid, panel: Any, colours: Any, best: float) -> dict[str, None]:
    """Draw a panel and return the states of its cells without an objective."""
    from matplotlib.patches import Rectangle

    shape = len(grid.rows.distinct), len(grid.columns.distinct)
    cells, means = grid.cells(panel), np.full(shape, np.nan)
    states: dict[str, None] = {}
    for row, column in np.ndindex(shape):
        setting = cells.get((row, column))
        mean = None if setting is None else setting.mean
        if mean is not None:
            means[row, column] = mean
            _write_score(axes, row, column, format_score(mean), colours.to_rgba(mean))
            continue
        state = _NOT_RUN if setting is None else setting.state
        states[state] = None
        axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, zorder=0, **_HATCHED))  # below the grid lines
        axes.text(column, row, STATE_SYMBOLS[state], ha="center", va="center", backgroundcolor="white")
    axes.imshow(np.ma.masked_invalid(means), cmap=colours.cmap, norm=colours.norm, aspect="auto")
    _draw_ticks(axes, grid, shape)
    if panel is not None and grid.panels is not None:
        axes.set_title(f"{grid.panels.key}={format_value(panel)}", fontsize=style.MIN_FONT_SIZE)
    for row, column in np.argwhere(means == best):
        corner = column - 0.5, row - 0.5
        frame = Rectangle(corner, 1, 1, fill=False, edgecolor=style.VALIDATION, linewidth=2.5, clip_on=False, zorder=3)
        axes.add_patch(frame)
    return states


def _write_score(axes: Axes, row: int, column: int, text: str, colour: NDArray[np.float64] | Sequence[float]) -> None:
    brightness = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]
    axes.text(column, row, text, ha="center", va="center", color="black" if brightness > 0.5 else "white")


def _draw_ticks(axes: Axes, grid: SweepGrid, shape: tuple[int, int]) -> None:
    axes.set_xticks(range(shape[1]), [format_value(value) for value in grid.columns.distinct])
    axes.set_yticks(range(shape[0]), [format_value(value) for value in reversed(grid.rows.distinct)])
    axes.set_xticks(np.arange(0.5, shape[1] - 1), minor=True)
    axes.set_yticks(np.arange(0.5, shape[0] - 1), minor=True)
    axes.grid(which="minor", color="white", linewidth=1.5)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel(grid.columns.title)


def _draw_legend(body: Any, states: Sequence[str]) -> None:
    from matplotlib.patches import Patch

    handles = [Patch(fill=False, edgecolor=style.VALIDATION, linewidth=2.5, label="best")]
    names = {FINISHED: "finished, no objective"}
    for state in states:
        label = f"{STATE_SYMBOLS[state]} {names.get(state, state)}".strip()
        handles.append(Patch(**_HATCHED, label=label))
    body.legend(handles=handles, loc="outside lower center", ncols=len(handles))
