"""Pictures of slices with the outlines and calipers of their measurements."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lss_lightning.labels import LabelSet
from lss_lightning.reporting import style
from lss_lightning.reporting.raster import PIXELS_PER_POINT, Line, draw_lines, load_font
from lss_lightning.stenosis import (
    MEASUREMENTS,
    NO_ERROR_KNOWN,
    MeasurementInterval,
    Side,
    SliceMeasurements,
    describe_basis,
)
from lss_lightning.stenosis.measurements import Points

if TYPE_CHECKING:
    from PIL.Image import Image

_MARGIN = 0.08  # around the outlines, as a fraction of the longer side of the view
_LETTER_DISTANCE = 9 * PIXELS_PER_POINT  # from the end of a caliper to the centre of its letter
_HALO = 1.3  # width in points of the black edge of lines and letters
_DOT = 3.4  # diameter in points of the ends of a caliper
# The layout of the sheet in pixels.
_WIDTH, _EDGE = round(style.WIDTH * style.DPI), 10  # width and margin of the sheet
_LIST_LEFT, _TITLE_LEFT, _LINE_HEIGHT = 575, 609, 24.7  # list of measurements
_TOP, _MAX_HEIGHT = 40, 592  # top of the picture and the list, and maximum height of the picture
_INDENT = "  "  # at the start of continuation lines of a note
# Letters at the left and right edges of the picture: the patient's sides, with a question mark if they are assumed.
_SIDE_LETTERS: Mapping[Side | None, tuple[str, str]] = {"right": ("R", "L"), "left": ("L", "R"), None: ("R?", "L?")}
_COMPRESSION = 3  # PNG level: files as small as with the default of 6, written in two thirds of the time


@dataclass(frozen=True)
class CaliperStyle:
    """The appearance of a caliper.

    Attributes:
        letter: Letter at the caliper and in the list of measurements.
        colour: ``#rrggbb``, bright because images are dark.
        dashed: Whether the line is dashed.
        at_end: Whether the letter is at the end of the caliper instead of the start.
    """

    letter: str
    colour: str
    dashed: bool = False
    at_end: bool = False


CALIPER_STYLES: Mapping[str, CaliperStyle] = {
    "canal_ap_mm": CaliperStyle("A", "#f0e442"),
    "canal_ap_min_mm": CaliperStyle("B", "#f0e442", dashed=True),
    "sac_ap_mm": CaliperStyle("C", "#ffffff", at_end=True),
    "sac_transverse_mm": CaliperStyle("D", "#ffffff"),
    "foramen_right_mm": CaliperStyle("E", "#56b4e9"),
    "foramen_left_mm": CaliperStyle("F", "#56b4e9"),
    "disc_ap_mm": CaliperStyle("G", "#d55e00", dashed=True),
    "bulge_mm": CaliperStyle("H", "#d55e00"),
}
"""Styles of calipers by measurement."""

REFERENCE_COLOURS: Mapping[str, str] = {"canal_area_mm2": "#f0e442", "bulge_mm": "#d55e00"}
"""Colours of additional outlines by measurement: the canal section, and the ellipse from which a bulge is measured."""


def plot_calipers(
    image: NDArray[np.uint8],
    measurements: SliceMeasurements,
    labels: LabelSet,
    path: Path,
    *,
    title: str,
    caption: str,
    aspect: float = 1.0,
    image_left: Side | None = None,
    intervals: Mapping[str, MeasurementInterval] | None = None,
) -> None:
    """Write a PNG file of a slice with its measurements, the reasons for withheld measurements, and its flags.

    Args:
        image: The image, (H, W) or (H, W, C), uint8.
        measurements: The measurements of the slice.
        labels: The classes.
        path: PNG file to write.
        title: Title that names the slice.
        caption: Caption that states the data and the labels or checkpoint.
        aspect: Height of a pixel divided by its width.
        image_left: The patient's side on the left of the image, or None if it is assumed to be the right side.
        intervals: The 95 % intervals of the measurements whose error is known, by measurement. If None, errors are
            omitted.
    """
    from PIL import Image, ImageDraw

    regular = load_font(style.MIN_FONT_SIZE)
    rows, notes = list_measurements(measurements, intervals), list_notes(measurements, intervals)
    caption_lines = style.wrap(caption, _WIDTH - 2 * _EDGE, regular.getlength)
    caption_top = _TOP + max(_MAX_HEIGHT, round(_LINE_HEIGHT * (len(rows) + 1 + len(notes)))) + 2 * _EDGE
    sheet = Image.new("RGB", (_WIDTH, round(caption_top + _LINE_HEIGHT * (len(caption_lines) + 1))), "white")
    pen = ImageDraw.Draw(sheet)
    pen.text((_EDGE, _EDGE), title, "black", load_font(style.MIN_FONT_SIZE + 1), anchor="lt")
    _draw_picture(sheet, image, measurements, labels, aspect, image_left)
    for index, (letter, name, value) in enumerate(rows):
        y = _TOP + (index + 0.5) * _LINE_HEIGHT
        pen.text((_LIST_LEFT, y), letter, "black", load_font(style.MIN_FONT_SIZE, bold=True), anchor="lm")
        pen.text((_TITLE_LEFT, y), name, "black", regular, anchor="lm")
        pen.text((_WIDTH - _EDGE, y), value, "black" if name else style.SUBDUED, regular, anchor="rm")
    for index, note in enumerate(notes, start=len(rows) + 1):
        pen.text((_LIST_LEFT, _TOP + (index + 0.5) * _LINE_HEIGHT), note, style.SUBDUED, regular, anchor="lm")
    for index, line in enumerate(caption_lines):
        pen.text((_EDGE, caption_top + (index + 0.5) * _LINE_HEIGHT), line, style.SUBDUED, regular, anchor="lm")
    sheet.save(path, compress_level=_COMPRESSION, dpi=(style.DPI, style.DPI))


def list_measurements(
    measurements: SliceMeasurements, intervals: Mapping[str, MeasurementInterval] | None = None
) -> list[tuple[str, str, str]]:
    """List the letter of the caliper, the title and the value of each measurement.

    The letter is empty if the measurement has no caliper, and the value is a dash if the measurement is withheld. If
    any intervals are given, each value is followed by a row with its interval or a note that its error is unknown.
    """
    rows = []
    for name, value in measurements.values().items():
        measurement = MEASUREMENTS[name]
        letter = CALIPER_STYLES[name].letter if name in measurements.calipers else ""
        rows.append((letter, measurement.title, style.MISSING if value is None else measurement.format(value)))
        if intervals and value is not None:
            interval = intervals.get(name)
            error = measurement.format_range(interval.low, interval.high) if interval else NO_ERROR_KNOWN
            rows.append(("", "", error))
    return rows


def list_notes(
    measurements: SliceMeasurements, intervals: Mapping[str, MeasurementInterval] | None = None
) -> list[str]:
    """List, as wrapped lines, the basis of the intervals, the flags, and the reasons for withheld measurements."""
    basis = []
    if intervals is not None:
        basis = [f"95 % intervals: {describe_basis(intervals.values())}" if intervals else f"values: {NO_ERROR_KNOWN}"]
    reasons = measurements.withheld.values()
    messages = dict.fromkeys([*basis, *(flag.message for flag in measurements.flags), *reasons])
    length = load_font(style.MIN_FONT_SIZE).getlength
    lines: list[str] = []
    for message in messages:
        first, *others = style.wrap(message, _WIDTH - _EDGE - _LIST_LEFT - length(_INDENT), length)
        lines += [first, *(_INDENT + line for line in others)]
    return lines


def find_view(
    measurements: SliceMeasurements, shape: tuple[int, ...]
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Find the part of an image to show: the anatomy with a margin, or the whole image if nothing is outlined.

    Args:
        measurements: The measurements, whose outlines mark the anatomy.
        shape: Shape of the image, (H, W).

    Returns:
        Edges (top, bottom) and (left, right) in pixels; (0, 0) is the centre of the first pixel.
    """
    if not measurements.outlines:
        return (-0.5, shape[0] - 0.5), (-0.5, shape[1] - 0.5)
    # Only the largest ring of each outline is used, because stray parts would widen the view.
    points = np.concatenate(
        [max(rings, key=lambda ring: float(np.ptp(ring, axis=0).min())) for rings in measurements.outlines.values()]
    )
    minimum, maximum = points.min(axis=0), points.max(axis=0)
    margin = _MARGIN * float((maximum - minimum).max())
    (left, top), (right, bottom) = (minimum - margin).tolist(), (maximum + margin).tolist()
    return (max(top, -0.5), min(bottom, shape[0] - 0.5)), (max(left, -0.5), min(right, shape[1] - 0.5))


def _make_slices(rows: tuple[float, float], columns: tuple[float, float]) -> tuple[slice, slice]:
    return slice(round(rows[0] + 0.5), round(rows[1] + 0.5)), slice(round(columns[0] + 0.5), round(columns[1] + 0.5))


def _draw_picture(
    sheet: Image,
    image: NDArray[np.uint8],
    measurements: SliceMeasurements,
    labels: LabelSet,
    aspect: float,
    image_left: Side | None,
) -> None:
    """Draw the anatomy of the image with outlines and calipers on the sheet, as large as possible."""
    from PIL import Image

    grey = image if image.ndim == 2 else image.mean(axis=-1)
    (top, bottom), (left, right) = rows, columns = find_view(measurements, grey.shape)
    scale = min((_LIST_LEFT - 3 * _EDGE) / (right - left), _MAX_HEIGHT / ((bottom - top) * aspect))
    size = round((right - left) * scale), round((bottom - top) * aspect * scale)
    corner = (_LIST_LEFT - _EDGE - size[0]) // 2, _TOP
    brightest = max(float(np.percentile(grey[_make_slices(rows, columns)], 99)), 1.0)
    scaled = Image.fromarray((np.minimum(grey / brightest, 1) * 255).astype(np.uint8))
    box = (left + 0.5, top + 0.5, right + 0.5, bottom + 0.5)
    picture = scaled.resize(size, Image.Resampling.NEAREST, box).convert("RGB")

    def to_picture(points: Points) -> Points:
        return (points - (left, top)) * (size[0] / (right - left), size[1] / (bottom - top))

    draw_lines(picture, (*_make_outlines(measurements, labels, to_picture), *_make_calipers(measurements, to_picture)))
    sheet.paste(picture, corner)
    for name, caliper in measurements.calipers.items():
        caliper_style = CALIPER_STYLES[name]
        x, y = _find_letter_position(to_picture(np.array((caliper.start, caliper.end))), caliper_style) + corner
        _write(sheet, (x, y), caliper_style.letter, caliper_style.colour, "mm")
    first, last = _SIDE_LETTERS[image_left]
    for text, x, anchor in ((first, corner[0] + _EDGE, "lm"), (last, corner[0] + size[0] - _EDGE, "rm")):
        _write(sheet, (x, corner[1] + size[1] / 2), text, "#ffffff", anchor)


def _write(sheet: Image, position: tuple[float, float], text: str, colour: str, anchor: str) -> None:
    """Write text on the picture, with a black edge that keeps it legible on bright tissue."""
    from PIL import ImageDraw

    font, edge = load_font(style.MIN_FONT_SIZE, bold=True), round(_HALO * PIXELS_PER_POINT)
    ImageDraw.Draw(sheet).text(position, text, colour, font, anchor, stroke_width=edge, stroke_fill="black")


def _make_outlines(
    measurements: SliceMeasurements, labels: LabelSet, to_picture: Callable[[Points], Points]
) -> Iterator[Line]:
    for key, rings in measurements.outlines.items():
        reference = REFERENCE_COLOURS.get(key)
        for ring in rings:
            points = to_picture(np.concatenate((ring, ring[:1])))
            if reference:
                yield Line(points, reference, 0.7, dash=(0.7, 1.2))
            else:
                yield Line(points, labels[labels.keys.index(key)].colour, 1.3)


def _make_calipers(measurements: SliceMeasurements, to_picture: Callable[[Points], Points]) -> Iterator[Line]:
    for name, caliper in measurements.calipers.items():
        caliper_style, ends = CALIPER_STYLES[name], to_picture(np.array((caliper.start, caliper.end)))
        dash = (3.9, 2.0) if caliper_style.dashed else None
        for colour, halo in (("#000000", _HALO), (caliper_style.colour, 0)):
            yield Line(ends, colour, 1.3 + halo, dash)
            for end in ends:
                # A very short line with round ends is a dot.
                yield Line(np.stack((end, end + 0.05)), colour, _DOT + halo)


def _find_letter_position(ends: Points, caliper_style: CaliperStyle) -> Points:
    """Return the position of the letter beyond the end of a caliper, or above a caliper of length zero."""
    near, far = ends[::-1] if caliper_style.at_end else ends
    direction = near - far if (near != far).any() else np.array((0.0, -1.0))
    position: Points = near + direction / np.hypot(*direction) * _LETTER_DISTANCE
    return position
