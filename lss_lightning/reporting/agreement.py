"""Agreement of two sets of measurements: Bland-Altman plots, and plots of errors against the simulated severity."""

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

PLOTTED_MEASUREMENTS = (
    "sac_area_mm2",
    "canal_area_mm2",
    "canal_ap_mm",
    "sac_ap_mm",
    "foramen_left_mm",
    "foramen_right_mm",
)
"""The measurements that are plotted, each in its own panel."""

_COLUMNS = 3
_ROW_HEIGHT = 2.35  # inches
_Z = 1.96
_SEVERITY = "Simulated severity"

MeasurementArray = NDArray[np.float64]
"""F measurements of N slices, (N, F), ordered as :data:`~lss_lightning.stenosis.MEASUREMENTS`; NaN where withheld."""


def plot_bland_altman(
    first: MeasurementArray, second: MeasurementArray, path: Path, *, names: tuple[str, str], caption: str
) -> None:
    """Plot the difference of each slice, first minus second, against the mean of both values.

    Args:
        first: Measurements of N slices, (N, F), mm or mm².
        second: Measurements of the same slices to compare with, (N, F), mm or mm².
        path: PNG file to write.
        names: Names of the two sets of measurements, e.g. ``prediction`` and ``label``.
        caption: Caption that states the data and the checkpoint.
    """
    note = (
        f"Each point is a slice: {names[0]} minus {names[1]}, against the mean of the two. Solid line: bias. Dashed "
        "lines: 95 % limits of agreement (bias ± 1.96 SD). Dotted vertical lines: published thresholds."
    )
    means = (first + second) / 2
    _plot(means, first - second, path, xlabel="Mean of the two", caption=f"{note} {caption}")


def plot_severity(errors: MeasurementArray, severities: NDArray[np.float64], path: Path, *, caption: str) -> None:
    """Plot the error of each slice against the severity of its simulated stenosis.

    Args:
        errors: Prediction minus truth, (N, F), mm or mm².
        severities: Severity of each slice's stenosis, (N,), 0 to 1.
        path: PNG file to write.
        caption: Caption that states the data and the checkpoint.
    """
    note = (
        "Each point is a slice: prediction minus truth, against the severity of the simulated stenosis. Solid line: "
        "bias. Dashed lines: 95 % limits."
    )
    x = np.broadcast_to(severities[:, None], errors.shape)
    _plot(x, errors, path, xlabel=_SEVERITY, caption=f"{note} {caption}")


def _plot(x: MeasurementArray, differences: MeasurementArray, path: Path, *, xlabel: str, caption: str) -> None:
    with style.context():
        rows = -(-len(PLOTTED_MEASUREMENTS) // _COLUMNS)
        figure, body = style.new_figure(_ROW_HEIGHT * rows, caption)
        panels: list[Axes] = body.subplots(rows, _COLUMNS, squeeze=False).ravel().tolist()
        for name, axes in zip(PLOTTED_MEASUREMENTS, panels, strict=False):
            index = list(MEASUREMENTS).index(name)
            has_unit = xlabel != _SEVERITY  # the x axis also has the unit of the measurement
            thresholds = [
                criterion.below
                for criterion in CRITERIA
                if has_unit and criterion.measurement == name and criterion.site
            ]
            unit = MEASUREMENTS[name].unit
            _draw_panel(axes, x[:, index], differences[:, index], thresholds)
            axes.set_title(MEASUREMENTS[name].title, fontsize=style.MIN_FONT_SIZE)
            axes.set_xlabel(f"{xlabel} ({unit})" if has_unit else xlabel)
            axes.set_ylabel(f"Difference ({unit})")
        style.save(figure, path)


def _draw_panel(
    axes: Axes, x: NDArray[np.float64], differences: NDArray[np.float64], thresholds: Sequence[float]
) -> None:
    defined = ~np.isnan(differences) & ~np.isnan(x)
    x, y = x[defined], differences[defined]
    if not len(x):
        axes.text(0.5, 0.5, "No measurements", ha="center", va="center", transform=axes.transAxes, color=style.SUBDUED)
        axes.set(xticks=[], yticks=[])
        return
    bias, sd = y.mean(), y.std(ddof=1) if len(y) > 1 else np.nan
    axes.axhline(0, color="#d9d9d9", linewidth=0.8, zorder=0)
    axes.plot(x, y, linestyle="none", marker="o", markersize=2.6, alpha=0.6, markeredgewidth=0, color=style.TRAINING)
    axes.axhline(bias, color=style.DIFFERENCE, linewidth=1.2)
    # The limits must be visible even if few points reach them, and the text must fit above all points.
    reach = max(np.abs(y - bias).max(), _Z * sd if len(y) > 1 else 0.0, 1e-6)
    axes.set_ylim(bias - 1.15 * reach, bias + 1.5 * reach)
    for sign in (-_Z, _Z) if len(y) > 1 else ():
        axes.axhline(bias + sign * sd, color=style.DIFFERENCE, linewidth=1.0, linestyle=(0, (4, 2)))
    low, high = axes.get_xlim()
    for threshold in thresholds:
        if low <= threshold <= high:
            axes.axvline(threshold, color=style.SUBDUED, linewidth=0.8, linestyle=":", zorder=0)
    limits = f"{bias:+.2f}" + (f" ({bias - _Z * sd:+.1f} to {bias + _Z * sd:+.1f})" if len(y) > 1 else "")
    text = axes.text(0.99, 0.98, limits.replace("-", "−"), ha="right", va="top", transform=axes.transAxes)
    text.set(color=style.DIFFERENCE, bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5})
