"""A slice with the outlines and calipers that its measures were taken with."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lss_lightning.labels import LabelSet
from lss_lightning.reporting import style
from lss_lightning.stenosis import MEASURES, Caliper, Measurements

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MARGIN = 0.08  # of the view's longer side, left around the outlines
_LETTER_AWAY = 9  # points from a caliper's end to the middle of its letter
_REASON_WIDTH = 44  # characters of a line of the list


@dataclass(frozen=True)
class Look:
    """How a caliper is drawn: bright, as it lies on a dark image, and told apart by its letter as well.

    Attributes:
        letter: Stands beside it and in the list of measures.
        colour: ``#rrggbb``.
        dashed: Whether it is.
        at_end: Whether the letter stands at its end; else at its start.
    """

    letter: str
    colour: str
    dashed: bool = False
    at_end: bool = False


LOOKS: Mapping[str, Look] = {
    "canal_ap_mm": Look("A", "#f0e442"),
    "canal_ap_min_mm": Look("B", "#f0e442", dashed=True),
    "sac_ap_mm": Look("C", "#ffffff", at_end=True),
    "sac_transverse_mm": Look("D", "#ffffff"),
    "foramen_right_mm": Look("E", "#56b4e9"),
    "foramen_left_mm": Look("F", "#56b4e9"),
    "disc_ap_mm": Look("G", "#d55e00", dashed=True),
    "bulge_mm": Look("H", "#d55e00"),
}
"""By measure."""

REFERENCES: Mapping[str, str] = {"canal_area_mm2": "#f0e442", "bulge_mm": "#d55e00"}
"""Colours of what an area is measured on, and of the ellipse that a bulge is measured from, by measure."""


def plot_calipers(
    image: NDArray[np.uint8],
    measured: Measurements,
    labels: LabelSet,
    path: Path,
    *,
    title: str,
    caption: str,
    aspect: float = 1.0,
) -> None:
    """Write :func:`draw_calipers` to a PNG file."""
    with style.look():
        style.save(draw_calipers(image, measured, labels, title=title, caption=caption, aspect=aspect), path)


def draw_calipers(
    image: NDArray[np.uint8], measured: Measurements, labels: LabelSet, *, title: str, caption: str, aspect: float = 1.0
) -> Figure:
    """Draw one slice, and beside it its measures, the reasons of those withheld and the flags.

    Args:
        image: (H, W) or (H, W, channels), uint8.
        measured: What was measured on it.
        labels: The classes.
        title: Which slice it is.
        caption: Which data, labels or checkpoint made the figure.
        aspect: Height of a pixel divided by its width.
    """
    with style.look():
        figure, body = style.new_figure(4.3, caption)
        body.suptitle(title, x=0.01, ha="left", fontsize=style.SMALLEST + 1)
        picture, listing = body.subplots(1, 2, width_ratios=(1.15, 1))
        grey = image if image.ndim == 2 else image.mean(axis=-1)
        rows, columns = visible(measured, grey.shape)
        picture.imshow(grey, cmap="gray", aspect=aspect, vmin=0, vmax=np.percentile(grey[_slices(rows, columns)], 99))
        picture.set(xlim=columns, ylim=rows[::-1], xticks=[], yticks=[])
        picture.spines[:].set_visible(False)
        _draw_outlines(picture, measured, labels)
        for name, caliper in measured.calipers.items():
            _draw_caliper(picture, caliper, LOOKS[name])
        _list(listing, measured)
        return figure


def visible(measured: Measurements, shape: tuple[int, ...]) -> tuple[tuple[float, float], tuple[float, float]]:
    """First and last row and column to show: those of the anatomy, with a margin."""
    if not measured.outlines:
        return (-0.5, shape[0] - 0.5), (-0.5, shape[1] - 0.5)
    # Of several parts only the largest: strays would widen the view.
    points = np.concatenate(
        [max(rings, key=lambda ring: float(np.ptp(ring, axis=0).min())) for rings in measured.outlines.values()]
    )
    least, most = points.min(axis=0), points.max(axis=0)
    margin = _MARGIN * float((most - least).max())
    (left, top), (right, bottom) = (least - margin).tolist(), (most + margin).tolist()
    return (max(top, -0.5), min(bottom, shape[0] - 0.5)), (max(left, -0.5), min(right, shape[1] - 0.5))


def _slices(rows: tuple[float, float], columns: tuple[float, float]) -> tuple[slice, slice]:
    return slice(round(rows[0] + 0.5), round(rows[1] + 0.5)), slice(round(columns[0] + 0.5), round(columns[1] + 0.5))


def _draw_outlines(axes: Axes, measured: Measurements, labels: LabelSet) -> None:
    for key, rings in measured.outlines.items():
        reference = REFERENCES.get(key)
        colour = reference or labels[labels.keys.index(key)].colour
        for ring in rings:
            closed = np.concatenate((ring, ring[:1]))
            axes.plot(*closed.T, color=colour, linewidth=0.7 if reference else 1.3, linestyle=":" if reference else "-")


def _draw_caliper(axes: Axes, caliper: Caliper, look: Look) -> None:
    from matplotlib.patheffects import withStroke

    halo = [withStroke(linewidth=2.6, foreground="black")]
    (x0, y0), (x1, y1) = caliper.start, caliper.end
    dash = (0, (3, 1.5)) if look.dashed else "-"
    axes.plot((x0, x1), (y0, y1), color=look.colour, linewidth=1.3, linestyle=dash, path_effects=halo)
    axes.plot((x0, x1), (y0, y1), color=look.colour, linestyle="none", marker="o", markersize=2.2, path_effects=halo)
    near, far = (caliper.end, caliper.start) if look.at_end else (caliper.start, caliper.end)
    # Outside the caliper, in line with it; of one without length, above.
    away = np.subtract(near, far) if near != far else np.array((0.0, -1.0))
    across, down = (away / np.hypot(*away) * _LETTER_AWAY).tolist()
    text = axes.annotate(look.letter, near, (across, -down), textcoords="offset points", ha="center", va="center")
    text.set(color=look.colour, weight="bold", path_effects=halo)


def _list(axes: Axes, measured: Measurements) -> None:
    """Letters, titles and values; below them what is withheld or doubtful, and why."""
    axes.set_axis_off()
    lines: list[tuple[str, str, str]] = []
    for name, value in measured.values().items():
        measure = MEASURES[name]
        number = style.MISSING if value is None else f"{value:.{1 if measure.unit else 2}f} {measure.unit}"
        lines.append((LOOKS[name].letter if name in measured.calipers else "", measure.title, number.strip()))
    remarks = dict.fromkeys([flag.message for flag in measured.flags] + [*measured.withheld.values()])
    notes = [line for remark in remarks for line in textwrap.wrap(remark, _REASON_WIDTH, subsequent_indent="  ")]
    step = 1 / max(24, len(lines) + len(notes) + 1)
    for place, (letter, title, number) in enumerate(lines):
        height = 1 - (place + 0.5) * step
        axes.text(0.0, height, letter, weight="bold", va="center")
        axes.text(0.07, height, title, va="center")
        axes.text(1.0, height, number, va="center", ha="right")
    for place, note in enumerate(notes, start=len(lines) + 1):
        axes.text(0.0, 1 - (place + 0.5) * step, note, va="center", color=style.SUBDUED)
