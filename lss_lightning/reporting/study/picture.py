"""A slice as a drawing that stays sharp at any size: images as PNG, label map, outlines and calipers as curves."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lss_lightning.labels import LabelSet
from lss_lightning.reporting.calipers import LOOKS, REFERENCES, CaliperStyle, visible
from lss_lightning.stenosis import Caliper, SliceMeasurements
from lss_lightning.stenosis.measurements import Points
from lss_lightning.stenosis.study import SliceResult

_LETTER_AWAY = 0.033  # from a caliper's end to the middle of its letter, by the view's width
_BAR_MM = 10
_BRIGHTEST = 99  # percentile


@dataclass(frozen=True)
class Box:
    """A part of a drawing, in its units."""

    left: float
    top: float
    width: float
    height: float

    def __str__(self) -> str:
        return " ".join(f"{number:.2f}" for number in (self.left, self.top, self.width, self.height))


@dataclass(frozen=True)
class Structure:
    """A class on a slice.

    Attributes:
        key: Of the class.
        colour: ``#rrggbb``.
        pixels: Path around its pixels on the label map; empty where it has none.
        outline: Path of its sub-pixel outline; empty where it has none.
    """

    key: str
    colour: str
    pixels: str
    outline: str


@dataclass(frozen=True)
class ReferenceLine:
    """What a measure was taken on: the canal's section, or the ellipse that a bulge is measured from."""

    measure: str
    colour: str
    outline: str


@dataclass(frozen=True)
class Mark:
    """A caliper, from (x0, y0) to (x1, y1), its letter at (x, y)."""

    measure: str
    look: CaliperStyle
    x0: float
    y0: float
    x1: float
    y1: float
    x: float
    y: float


@dataclass(frozen=True)
class SlicePicture:
    """A slice, drawn. The unit is a pixel's width; (0, 0) is the outer corner of the first pixel.

    Attributes:
        size: Width and height.
        near: The part with the anatomy.
        stretch: Height of a pixel.
        images: Data URIs by weighting.
        structures: The anatomical classes.
        references: What measures were taken on.
        marks: The calipers.
        bar: Length of 10 mm; None where the spacing is unknown.
        brightest: Grey value that a hundredth of the anatomy's pixels exceed.
    """

    size: tuple[float, float]
    near: Box
    stretch: float
    images: Mapping[str, str]
    structures: tuple[Structure, ...]
    references: tuple[ReferenceLine, ...]
    marks: tuple[Mark, ...]
    bar: float | None
    brightest: float

    @property
    def whole(self) -> Box:
        """All of it."""
        return Box(0, 0, *self.size)


def draw(result: SliceResult, labels: LabelSet) -> SlicePicture:
    """Draw a slice.

    Args:
        result: The slice; one that was not measured has neither outlines nor calipers.
        labels: The classes.
    """
    rows, columns = result.classes.shape
    height, width = result.spacing or (1.0, 1.0)
    stretch = height / width
    measured = result.measurements
    near, part = Box(0, 0, columns, rows * stretch), (slice(None), slice(None))
    if measured is not None:
        (top, bottom), (left, right) = visible(measured, result.classes.shape)
        near = Box(left + 0.5, (top + 0.5) * stretch, right - left, (bottom - top) * stretch)
        part = slice(round(top + 0.5), round(bottom + 0.5)), slice(round(left + 0.5), round(right + 0.5))
    return SlicePicture(
        size=(columns, rows * stretch),
        near=near,
        stretch=stretch,
        images={kind: png_uri(image) for kind, image in result.images.items()},
        structures=tuple(_structure(result.classes, measured, labels, index, stretch) for index in labels.anatomical),
        references=tuple(_references(measured, stretch)) if measured else (),
        marks=tuple(_mark(name, caliper, near, stretch) for name, caliper in measured.calipers.items())
        if measured
        else (),
        bar=None if result.spacing is None else _BAR_MM / width,
        brightest=max(float(np.percentile(image[part], _BRIGHTEST)) for image in result.images.values()),
    )


def png_uri(image: NDArray[np.uint8]) -> str:
    """An image (H, W) or (H, W, 3), uint8, as a data URI."""
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG")
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"


def run_path(mask: NDArray[np.bool_]) -> str:
    """Path around the pixels of a mask (H, W), a rectangle for every run of them in a row."""
    padded = np.pad(mask.astype(np.int8), ((0, 0), (1, 1)))
    steps = np.diff(padded, axis=1)
    starts, ends = np.argwhere(steps == 1), np.argwhere(steps == -1)
    return "".join(
        f"M{start} {row}h{end - start}v1h{start - end}z"
        for (row, start), (_, end) in zip(starts.tolist(), ends.tolist(), strict=True)
    )


def ring_path(rings: tuple[Points, ...], stretch: float) -> str:
    """Closed path through points in pixels, (0, 0) being the middle of the first."""
    scaled = [((ring + 0.5) * (1.0, stretch)).tolist() for ring in rings]
    return "".join(f"M{'L'.join(f'{x:.2f} {y:.2f}' for x, y in ring)}z" for ring in scaled)


def _structure(
    classes: NDArray[np.uint8], measured: SliceMeasurements | None, labels: LabelSet, index: int, stretch: float
) -> Structure:
    label = labels[index]
    rings = measured.outlines.get(label.key, ()) if measured else ()
    return Structure(label.key, label.colour, run_path(classes == index), ring_path(rings, stretch))


def _references(measured: SliceMeasurements, stretch: float) -> list[ReferenceLine]:
    drawn = {name: colour for name, colour in REFERENCES.items() if name in measured.outlines}
    return [ReferenceLine(name, colour, ring_path(measured.outlines[name], stretch)) for name, colour in drawn.items()]


def _mark(name: str, caliper: Caliper, near: Box, stretch: float) -> Mark:
    look = LOOKS[name]
    ends = (np.array((caliper.start, caliper.end)) + 0.5) * (1.0, stretch)
    close, far = ends[::-1] if look.at_end else ends
    # Outside the caliper, in line with it; of one without length, above.
    away = close - far if (close != far).any() else np.array((0.0, -1.0))
    if look.at_end:  # mostly where the canal's caliper runs on: beside it
        away = np.array((away[1], -away[0]))
    x, y = (close + away / np.hypot(*away) * _LETTER_AWAY * near.width).tolist()
    (x0, y0), (x1, y1) = ends.tolist()
    return Mark(name, look, x0, y0, x1, y1, x, y)
