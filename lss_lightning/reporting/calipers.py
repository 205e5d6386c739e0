"""A slice with the outlines and calipers that its measures were taken with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lss_lightning.labels import LabelSet
from lss_lightning.reporting import style
from lss_lightning.reporting.raster import PER_POINT, Line, draw_lines, font
from lss_lightning.stenosis import MEASUREMENTS, Side, SliceMeasurements
from lss_lightning.stenosis.measurements import Points

if TYPE_CHECKING:
    from PIL.Image import Image

_MARGIN = 0.08  # of the view's longer side, left around the outlines
_LETTER_AWAY = 9 * PER_POINT  # from a caliper's end to the middle of its letter
_HALO = 1.3  # points of black about what lies on the picture
_DOT = 3.4  # points across, at a caliper's ends
# Of the sheet, pixels: its width and margin; the list's left edge, its titles' and its step from line to line; the top
# of picture and list, and the picture's greatest height.
_WIDTH, _EDGE = round(style.WIDTH * style.DPI), 10
_LIST, _TITLES, _STEP = 575, 609, 24.7
_TOP, _TALLEST = 40, 592
_INDENT = "  "  # of the second and further lines of a note
# What stands at the picture's left and right edge: the patient's sides, with a question mark where they are assumed.
_SIDES: Mapping[Side | None, tuple[str, str]] = {"right": ("R", "L"), "left": ("L", "R"), None: ("R?", "L?")}
_COMPRESSION = 3  # of PNG: as small as the usual 6, in two thirds of the time


@dataclass(frozen=True)
class CaliperStyle:
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


LOOKS: Mapping[str, CaliperStyle] = {
    "canal_ap_mm": CaliperStyle("A", "#f0e442"),
    "canal_ap_min_mm": CaliperStyle("B", "#f0e442", dashed=True),
    "sac_ap_mm": CaliperStyle("C", "#ffffff", at_end=True),
    "sac_transverse_mm": CaliperStyle("D", "#ffffff"),
    "foramen_right_mm": CaliperStyle("E", "#56b4e9"),
    "foramen_left_mm": CaliperStyle("F", "#56b4e9"),
    "disc_ap_mm": CaliperStyle("G", "#d55e00", dashed=True),
    "bulge_mm": CaliperStyle("H", "#d55e00"),
}
"""By measure."""

REFERENCES: Mapping[str, str] = {"canal_area_mm2": "#f0e442", "bulge_mm": "#d55e00"}
"""Colours of what an area is measured on, and of the ellipse that a bulge is measured from, by measure."""


def plot_calipers(
    image: NDArray[np.uint8],
    measured: SliceMeasurements,
    labels: LabelSet,
    path: Path,
    *,
    title: str,
    caption: str,
    aspect: float = 1.0,
    image_left: Side | None = None,
) -> None:
    """Write one slice as PNG, and beside it its measures, the reasons of those withheld and the flags.

    Args:
        image: (H, W) or (H, W, channels), uint8.
        measured: What was measured on it.
        labels: The classes.
        path: File to write.
        title: Which slice it is.
        caption: Which data, labels or checkpoint made the picture.
        aspect: Height of a pixel divided by its width.
        image_left: The patient's side that the image's left shows; None where it is assumed to be the right.
    """
    from PIL import Image, ImageDraw

    plain = font(style.SMALLEST)
    rows, notes = list_measurements(measured), list_notes(measured)
    below = style.wrap(caption, _WIDTH - 2 * _EDGE, plain.getlength)
    middle = _TOP + max(_TALLEST, round(_STEP * (len(rows) + 1 + len(notes)))) + 2 * _EDGE
    sheet = Image.new("RGB", (_WIDTH, round(middle + _STEP * (len(below) + 1))), "white")
    pen = ImageDraw.Draw(sheet)
    pen.text((_EDGE, _EDGE), title, "black", font(style.SMALLEST + 1), anchor="lt")
    _draw_picture(sheet, image, measured, labels, aspect, image_left)
    for place, (letter, name, number) in enumerate(rows):
        height = _TOP + (place + 0.5) * _STEP
        pen.text((_LIST, height), letter, "black", font(style.SMALLEST, bold=True), anchor="lm")
        pen.text((_TITLES, height), name, "black", plain, anchor="lm")
        pen.text((_WIDTH - _EDGE, height), number, "black", plain, anchor="rm")
    for place, note in enumerate(notes, start=len(rows) + 1):
        pen.text((_LIST, _TOP + (place + 0.5) * _STEP), note, style.SUBDUED, plain, anchor="lm")
    for place, line in enumerate(below):
        pen.text((_EDGE, middle + (place + 0.5) * _STEP), line, style.SUBDUED, plain, anchor="lm")
    sheet.save(path, compress_level=_COMPRESSION, dpi=(style.DPI, style.DPI))


def list_measurements(measured: SliceMeasurements) -> list[tuple[str, str, str]]:
    """Of each measure the letter of its caliper, if it has one, its title, and its value or a dash."""
    listed = []
    for name, value in measured.values().items():
        measure = MEASUREMENTS[name]
        number = style.MISSING if value is None else f"{value:.{1 if measure.unit else 2}f} {measure.unit}"
        listed.append((LOOKS[name].letter if name in measured.calipers else "", measure.title, number.strip()))
    return listed


def list_notes(measured: SliceMeasurements) -> list[str]:
    """What is withheld or doubtful, and why, in lines as wide as the list."""
    remarks = dict.fromkeys([flag.message for flag in measured.flags] + [*measured.withheld.values()])
    length = font(style.SMALLEST).getlength
    lines: list[str] = []
    for remark in remarks:
        first, *more = style.wrap(remark, _WIDTH - _EDGE - _LIST - length(_INDENT), length)
        lines += [first, *(_INDENT + line for line in more)]
    return lines


def visible(measured: SliceMeasurements, shape: tuple[int, ...]) -> tuple[tuple[float, float], tuple[float, float]]:
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


def _draw_picture(
    sheet: Image,
    image: NDArray[np.uint8],
    measured: SliceMeasurements,
    labels: LabelSet,
    aspect: float,
    image_left: Side | None,
) -> None:
    """Put the part of the image with the anatomy on the sheet, as large as there is room, and draw on it."""
    from PIL import Image

    grey = image if image.ndim == 2 else image.mean(axis=-1)
    (top, bottom), (left, right) = rows, columns = visible(measured, grey.shape)
    scale = min((_LIST - 3 * _EDGE) / (right - left), _TALLEST / ((bottom - top) * aspect))
    size = round((right - left) * scale), round((bottom - top) * aspect * scale)
    corner = (_LIST - _EDGE - size[0]) // 2, _TOP
    brightest = max(float(np.percentile(grey[_slices(rows, columns)], 99)), 1.0)
    shown = Image.fromarray((np.minimum(grey / brightest, 1) * 255).astype(np.uint8))
    box = (left + 0.5, top + 0.5, right + 0.5, bottom + 0.5)
    picture = shown.resize(size, Image.Resampling.NEAREST, box).convert("RGB")

    def place(points: Points) -> Points:
        return (points - (left, top)) * (size[0] / (right - left), size[1] / (bottom - top))

    draw_lines(picture, (*_outlines(measured, labels, place), *_calipers(measured, place)))
    sheet.paste(picture, corner)
    for name, caliper in measured.calipers.items():
        look = LOOKS[name]
        x, y = _letter_place(place(np.array((caliper.start, caliper.end))), look) + corner
        _write(sheet, (x, y), look.letter, look.colour, "mm")
    first, last = _SIDES[image_left]
    for text, x, anchor in ((first, corner[0] + _EDGE, "lm"), (last, corner[0] + size[0] - _EDGE, "rm")):
        _write(sheet, (x, corner[1] + size[1] / 2), text, "#ffffff", anchor)


def _write(sheet: Image, place: tuple[float, float], text: str, colour: str, anchor: str) -> None:
    """Write on the picture, with a black edge that is seen on bright tissue."""
    from PIL import ImageDraw

    letters = font(style.SMALLEST, bold=True)
    ImageDraw.Draw(sheet).text(
        place, text, colour, letters, anchor, stroke_width=round(_HALO * PER_POINT), stroke_fill="black"
    )


def _outlines(measured: SliceMeasurements, labels: LabelSet, place: Callable[[Points], Points]) -> Iterator[Line]:
    for key, rings in measured.outlines.items():
        reference = REFERENCES.get(key)
        for ring in rings:
            points = place(np.concatenate((ring, ring[:1])))
            if reference:
                yield Line(points, reference, 0.7, dash=(0.7, 1.2))
            else:
                yield Line(points, labels[labels.keys.index(key)].colour, 1.3)


def _calipers(measured: SliceMeasurements, place: Callable[[Points], Points]) -> Iterator[Line]:
    for name, caliper in measured.calipers.items():
        look, ends = LOOKS[name], place(np.array((caliper.start, caliper.end)))
        dash = (3.9, 2.0) if look.dashed else None
        for colour, more in (("#000000", _HALO), (look.colour, 0)):
            yield Line(ends, colour, 1.3 + more, dash)
            for end in ends:
                # So short a line with round ends is a dot.
                yield Line(np.stack((end, end + 0.05)), colour, _DOT + more)


def _letter_place(ends: Points, look: CaliperStyle) -> Points:
    """Outside the caliper, in line with it; of one without length, above."""
    near, far = ends[::-1] if look.at_end else ends
    away = near - far if (near != far).any() else np.array((0.0, -1.0))
    place: Points = near + away / np.hypot(*away) * _LETTER_AWAY
    return place
