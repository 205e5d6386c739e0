"""A slice as a scalable drawing, with images as PNG and the label map, outlines and calipers as SVG."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lss_lightning.labels import LabelSet
from lss_lightning.reporting.calipers import CALIPER_STYLES, REFERENCE_COLOURS, CaliperStyle, find_view
from lss_lightning.stenosis import Caliper, SliceMeasurements
from lss_lightning.stenosis.measurements import Points
from lss_lightning.stenosis.study import SliceResult

_LETTER_OFFSET = 0.033  # from a caliper's end to the centre of its letter, as a fraction of the view's width
_SCALE_BAR_MM = 10
_BRIGHTEST = 99  # percentile


@dataclass(frozen=True)
class Box:
    """A rectangle in the units of a drawing."""

    left: float
    top: float
    width: float
    height: float

    def __str__(self) -> str:
        return " ".join(f"{number:.2f}" for number in (self.left, self.top, self.width, self.height))


@dataclass(frozen=True)
class StructurePaths:
    """The SVG paths of a class on a slice.

    Attributes:
        key: The key of the class.
        colour: ``#rrggbb``.
        pixels: The path around the pixels of the class on the label map. Empty if there are none.
        outline: The path of the sub-pixel outline of the class. Empty if there is none.
    """

    key: str
    colour: str
    pixels: str
    outline: str


@dataclass(frozen=True)
class ReferenceLine:
    """The reference of a measurement: the canal's cross-section, or the ellipse from which a bulge is measured."""

    measurement: str
    colour: str
    outline: str


@dataclass(frozen=True)
class CaliperMark:
    """A caliper from (x0, y0) to (x1, y1), with its letter at (x, y)."""

    measurement: str
    look: CaliperStyle
    x0: float
    y0: float
    x1: float
    y1: float
    x: float
    y: float


@dataclass(frozen=True)
class SlicePicture:
    """The drawing of a slice. The unit is the width of a pixel; (0, 0) is the outer corner of the first pixel.

    Attributes:
        size: The width and height.
        anatomy: The part of the slice that shows the anatomy.
        aspect: The height of a pixel divided by its width.
        images: The images as data URIs, by weighting, e.g. ``T2``.
        structures: The anatomical classes.
        references: The references of the measurements.
        marks: The calipers.
        scale_bar: The length of a 10 mm scale bar. None if the pixel spacing is unknown.
        brightest: The 99th percentile of the grey values of the anatomy, 0 to 255; the maximum over the images.
    """

    size: tuple[float, float]
    anatomy: Box
    aspect: float
    images: Mapping[str, str]
    structures: tuple[StructurePaths, ...]
    references: tuple[ReferenceLine, ...]
    marks: tuple[CaliperMark, ...]
    scale_bar: float | None
    brightest: float

    @property
    def whole(self) -> Box:
        """The whole slice."""
        return Box(0, 0, *self.size)


def draw_slice(result: SliceResult, labels: LabelSet) -> SlicePicture:
    """Draw a slice.

    Args:
        result: The slice. It is drawn without outlines and calipers if it was not measured.
        labels: The classes.
    """
    rows, columns = result.classes.shape
    height, width = result.spacing or (1.0, 1.0)
    aspect = height / width
    measurements = result.measurements
    anatomy, region = Box(0, 0, columns, rows * aspect), (slice(None), slice(None))
    if measurements is not None:
        (top, bottom), (left, right) = find_view(measurements, result.classes.shape)
        anatomy = Box(left + 0.5, (top + 0.5) * aspect, right - left, (bottom - top) * aspect)
        region = slice(round(top + 0.5), round(bottom + 0.5)), slice(round(left + 0.5), round(right + 0.5))
    calipers = measurements.calipers if measurements else {}
    return SlicePicture(
        size=(columns, rows * aspect),
        anatomy=anatomy,
        aspect=aspect,
        images={weighting: encode_png(image) for weighting, image in result.images.items()},
        structures=tuple(
            _structure(result.classes, measurements, labels, index, aspect) for index in labels.anatomical
        ),
        references=tuple(_references(measurements, aspect)) if measurements else (),
        marks=tuple(_mark(name, caliper, anatomy, aspect) for name, caliper in calipers.items()),
        scale_bar=None if result.spacing is None else _SCALE_BAR_MM / width,
        brightest=max(float(np.percentile(image[region], _BRIGHTEST)) for image in result.images.values()),
    )


def encode_png(image: NDArray[np.uint8]) -> str:
    """Encode an image, (H, W) or (H, W, 3), uint8, as a PNG data URI."""
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG")
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"


def trace_pixels(mask: NDArray[np.bool_]) -> str:
    """Return an SVG path around the pixels of a mask, (H, W), as a rectangle for each run of pixels in a row."""
    padded = np.pad(mask.astype(np.int8), ((0, 0), (1, 1)))
    steps = np.diff(padded, axis=1)
    starts, ends = np.argwhere(steps == 1), np.argwhere(steps == -1)
    return "".join(
        f"M{start} {row}h{end - start}v1h{start - end}z"
        for (row, start), (_, end) in zip(starts.tolist(), ends.tolist(), strict=True)
    )


def trace_outline(rings: tuple[Points, ...], aspect: float) -> str:
    """Return a closed SVG path through rings of points.

    Args:
        rings: Rings of points, (N, 2), (x, y) in pixels; (0, 0) is the centre of the first pixel.
        aspect: The height of a pixel divided by its width.
    """
    scaled = [((ring + 0.5) * (1.0, aspect)).tolist() for ring in rings]
    return "".join(f"M{'L'.join(f'{x:.2f} {y:.2f}' for x, y in ring)}z" for ring in scaled)


def _structure(
    classes: NDArray[np.uint8], measurements: SliceMeasurements | None, labels: LabelSet, index: int, aspect: float
) -> StructurePaths:
    label = labels[index]
    rings = measurements.outlines.get(label.key, ()) if measurements else ()
    return StructurePaths(label.key, label.colour, trace_pixels(classes == index), trace_outline(rings, aspect))


def _references(measurements: SliceMeasurements, aspect: float) -> list[ReferenceLine]:
    return [
        ReferenceLine(name, colour, trace_outline(measurements.outlines[name], aspect))
        for name, colour in REFERENCE_COLOURS.items()
        if name in measurements.outlines
    ]


def _mark(name: str, caliper: Caliper, view: Box, aspect: float) -> CaliperMark:
    look = CALIPER_STYLES[name]
    ends = (np.array((caliper.start, caliper.end)) + 0.5) * (1.0, aspect)
    near, far = ends[::-1] if look.at_end else ends
    # The letter is beyond the end of the caliper, in line with it, or above a caliper of length zero.
    direction = near - far if (near != far).any() else np.array((0.0, -1.0))
    if look.at_end:  # the canal's caliper usually continues there, so the letter is beside the line
        direction = np.array((direction[1], -direction[0]))
    x, y = (near + direction / np.hypot(*direction) * _LETTER_OFFSET * view.width).tolist()
    (x0, y0), (x1, y1) = ends.tolist()
    return CaliperMark(name, look, x0, y0, x1, y1, x, y)
