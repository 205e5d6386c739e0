"""Measures in mm of two kinds, slice by slice: Bland-Altman plots, and errors against the severity drawn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lss_lightning.reporting import style
from lss_lightning.stenosis import CRITERIA, MEASUREMENTS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHOWN = ("sac_area_mm2", "canal_area_mm2", "canal_ap_mm", "sac_ap_mm", "foramen_left_mm", "foramen_right_mm")
"""The measures that have a panel."""

_COLUMNS = 3
_ROW = 2.35  # inches
_Z = 1.96
_SEVERITY = "Severity drawn"

Values = NDArray[np.float64]
"""(N, F), in the order of :data:`~lss_lightning.stenosis.MEASUREMENTS`; NaN where withheld."""


def plot_bland_altman(first: Values, second: Values, path: Path, *, names: tuple[str, str], caption: str) -> None:
    """Draw each slice's difference, first minus second, over the mean of the two.

    Args:
        first: One kind of measures.
        second: The other.
        path: PNG to write.
        names: What the two are, e.g. ``prediction`` and ``label``.
        caption: Which data and checkpoint made the figure.
    """
    note = (
        f"A point is a slice: {names[0]} minus {names[1]} over the mean of the two. Lines: bias, and 95 % limits of "
        "agreement (dashed, bias ± 1.96 SD); dotted, across: published thresholds."
    )
    middles = (first + second) / 2
    _plot(middles, first - second, path, across="Mean of the two", caption=f"{note} {caption}")


def plot_severity(errors: Values, severities: NDArray[np.float64], path: Path, *, caption: str) -> None:
    """Draw each slice's error over the severity of the stenosis drawn.

    Args:
        errors: Prediction minus truth.
        severities: (N,), 0 to 1.
        path: PNG to write.
        caption: Which data and checkpoint made the figure.
    """
    note = "A point is a slice: prediction minus truth over the severity drawn. Lines: bias, and 95 % limits (dashed)."
    places = np.broadcast_to(severities[:, None], errors.shape)
    _plot(places, errors, path, across=_SEVERITY, caption=f"{note} {caption}")


def _plot(places: Values, differences: Values, path: Path, *, across: str, caption: str) -> None:
    with style.look():
        rows = -(-len(SHOWN) // _COLUMNS)
        figure, body = style.new_figure(_ROW * rows, caption)
        panels: list[Axes] = body.subplots(rows, _COLUMNS, squeeze=False).ravel().tolist()
        for name, axes in zip(SHOWN, panels, strict=False):
            index = list(MEASUREMENTS).index(name)
            same = across != _SEVERITY  # a measure on both axes
            thresholds = [one.below for one in CRITERIA if same and one.measure == name and one.site]
            unit = MEASUREMENTS[name].unit
            _panel(axes, places[:, index], differences[:, index], thresholds)
            axes.set_title(MEASUREMENTS[name].title, fontsize=style.SMALLEST)
            axes.set_xlabel(f"{across} ({unit})" if same else across)
            axes.set_ylabel(f"Difference ({unit})")
        style.save(figure, path)


def _panel(
    axes: Axes, places: NDArray[np.float64], differences: NDArray[np.float64], thresholds: Sequence[float]
) -> None:
    there = ~np.isnan(differences) & ~np.isnan(places)
    x, y = places[there], differences[there]
    if not len(x):
        axes.text(0.5, 0.5, "Nothing measured", ha="center", va="center", transform=axes.transAxes, color=style.SUBDUED)
        axes.set(xticks=[], yticks=[])
        return
    bias, spread = y.mean(), y.std(ddof=1) if len(y) > 1 else np.nan
    axes.axhline(0, color="#d9d9d9", linewidth=0.8, zorder=0)
    axes.plot(x, y, linestyle="none", marker="o", markersize=2.6, alpha=0.6, markeredgewidth=0, color=style.TRAINING)
    axes.axhline(bias, color=style.DIFFERENCE, linewidth=1.2)
    # Room for the lines even where few points reach them, and for the figures above all points.
    reach = max(np.abs(y - bias).max(), _Z * spread if len(y) > 1 else 0.0, 1e-6)
    axes.set_ylim(bias - 1.15 * reach, bias + 1.5 * reach)
    for end in (-_Z, _Z) if len(y) > 1 else ():
        axes.axhline(bias + end * spread, color=style.DIFFERENCE, linewidth=1.0, linestyle=(0, (4, 2)))
    low, high = axes.get_xlim()
    for threshold in thresholds:
        if low <= threshold <= high:
            axes.axvline(threshold, color=style.SUBDUED, linewidth=0.8, linestyle=":", zorder=0)
    limits = f"{bias:+.2f}" + (f" ({bias - _Z * spread:+.1f} to {bias + _Z * spread:+.1f})" if len(y) > 1 else "")
    text = axes.text(0.99, 0.98, limits.replace("-", "−"), ha="right", va="top", transform=axes.transAxes)
    text.set(color=style.DIFFERENCE, bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5})
