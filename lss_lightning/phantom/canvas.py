"""The grid that shapes are drawn on: finer than the image's pixels, in the body's own millimetres."""

from __future__ import annotations

import math
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from shapely import get_coordinates, get_parts, get_rings
from shapely.geometry.base import BaseGeometry

from lss_lightning.labels import LUMBAR
from lss_lightning.phantom.shapes import Floats, Shape
from lss_lightning.phantom.texture import Texture
from lss_lightning.phantom.tissue import Tissue

FIELD_OF_VIEW = 220.0
"""Width and height of every slice, mm."""

Window: TypeAlias = tuple[slice, slice]
Mask: TypeAlias = NDArray[np.bool_]
Complex: TypeAlias = NDArray[np.complexfloating]
Numbers = TypeVar("Numbers", Floats, Complex)

OTHER = LUMBAR.keys.index("other")


class Canvas:
    """Tissue and class at every sample point.

    Args:
        image_size: Pixels a side of the image to come.
        shift: The body's origin in mm from the middle of the image (right, down).
        turn: Rotation of the body's axes in the image, radians.

    Attributes:
        x: Coordinates in the body's frame, mm, to the right of the image; float32 of shape (samples, samples).
        y: The same towards the back (down).
        tissue: Tissue at each sample, uint8.
        second: What each sample is mixed with, uint8.
        mixture: Share of the second tissue, 0-1, float32.
        label: Class index at each sample, uint8.
    """

    def __init__(self, image_size: int, shift: tuple[float, float], turn: float) -> None:
        self.image_size = image_size
        # Odd, so that two classes never tie for a pixel; finer in coarse images, whose thin structures would vanish.
        self.oversampling = 3 if image_size >= 192 else 5
        self.samples = image_size * self.oversampling
        self._spacing = FIELD_OF_VIEW / self.samples
        self._shift, self._cos, self._sin = shift, math.cos(turn), math.sin(turn)
        axis = (np.arange(self.samples, dtype=np.float32) + np.float32(0.5)) * np.float32(self._spacing)
        across = axis[None, :] - np.float32(FIELD_OF_VIEW / 2 + shift[0])
        down = axis[:, None] - np.float32(FIELD_OF_VIEW / 2 + shift[1])
        self.x = across * np.float32(self._cos) + down * np.float32(self._sin)
        self.y = down * np.float32(self._cos) - across * np.float32(self._sin)
        shape = (self.samples, self.samples)
        self.tissue = np.full(shape, Tissue.AIR, dtype=np.uint8)
        self.second = np.full(shape, Tissue.AIR, dtype=np.uint8)
        self.mixture = np.zeros(shape, dtype=np.float32)
        self.label = np.full(shape, OTHER, dtype=np.uint8)

    def window(self, centre: tuple[float, float], reach: float) -> Window:
        """The part of the grid that holds a circle given in the body's frame, mm; empty where it lies outside."""
        across = self._cos * centre[0] - self._sin * centre[1] + self._shift[0]
        down = self._sin * centre[0] + self._cos * centre[1] + self._shift[1]
        return self._span(down, reach), self._span(across, reach)

    def around(self, shape: Shape, margin: float = 1.0) -> Window:
        """The part of the grid that holds a shape and a margin in mm about it."""
        return self.window(shape.centre, shape.reach + margin)

    def over(self, region: BaseGeometry) -> Window:
        """The part of the grid that holds a region given in the body's frame, mm."""
        left, top, right, bottom = region.bounds
        return self.window(((left + right) / 2, (top + bottom) / 2), math.hypot(right - left, bottom - top) / 2)

    def distance(self, shape: Shape, window: Window) -> Floats:
        """Signed distance from a shape, mm, at the samples of a window."""
        return shape.distance(self.x[window], self.y[window])

    def smooth_distance(self, shape: Shape) -> Floats:
        """Signed distance from a shape without corners, mm, over the whole grid.

        It is evaluated once a pixel and interpolated between, which saves most of the time.
        """
        field = shape.distance(self.pixel_middle(self.x), self.pixel_middle(self.y))
        for axis in (0, 1):
            field = self._interpolated(field, axis)
        return field

    def inside(self, region: BaseGeometry, window: Window) -> Mask:
        """Which samples of a window lie within a region, polygon or polygons, given in the body's frame, mm.

        Each row is scanned from left to right; a sample lies inside where an odd number of edges has been crossed.
        """
        rows, columns = window
        height, width = rows.stop - rows.start, columns.stop - columns.start
        crossed = np.zeros(height * (width + 1), dtype=np.int32)
        for ring in get_parts(get_rings(get_parts(region))):
            down, across = self._places(get_coordinates(ring))
            down, across = down - rows.start, across - columns.start
            y, x = down[:-1], across[:-1]
            # The rows that each edge crosses, as one list of (edge, row).
            first, last = (
                np.ceil(bound(y, down[1:])).clip(0, height).astype(int) for bound in (np.minimum, np.maximum)
            )
            edge = np.repeat(np.arange(len(y)), last - first)
            row = np.arange(len(edge)) - np.repeat(np.cumsum(last - first) - last, last - first)
            slope = np.diff(across)[edge] / np.diff(down)[edge]
            column = np.ceil(x[edge] + (row - y[edge]) * slope).clip(0, width).astype(int)
            crossed += np.bincount(row * (width + 1) + column, minlength=crossed.size).astype(np.int32)
        inside: Mask = np.cumsum(crossed.reshape(height, width + 1)[:, :-1], axis=1) % 2 == 1
        return inside

    def paint(
        self,
        window: Window,
        where: Mask,
        tissue: Tissue,
        *,
        second: Tissue | None = None,
        mixture: Floats | float = 0.0,
    ) -> None:
        """Set the tissue where a mask over a window says so, mixed with a share (0-1) of a second one."""
        np.copyto(self.tissue[window], np.uint8(tissue), where=where)
        np.copyto(self.second[window], np.uint8(tissue if second is None else second), where=where)
        np.copyto(self.mixture[window], mixture, where=where, casting="same_kind")

    def classify(self, window: Window, where: Mask, key: str) -> None:
        """Set the class, by its key, where a mask over a window says so."""
        np.copyto(self.label[window], np.uint8(LUMBAR.keys.index(key)), where=where)

    def coarse(self, texture: Texture) -> Floats:
        """A texture coarser than the pixels, over the whole grid; evaluated once a pixel, to save time."""
        values = texture(self.pixel_middle(self.x), self.pixel_middle(self.y))
        return values.repeat(self.oversampling, axis=0).repeat(self.oversampling, axis=1)

    def pixel_middle(self, values: Floats) -> Floats:
        """Values at the pixels' middles: (samples, samples) to (image_size, image_size)."""
        k = self.oversampling
        return values[k // 2 :: k, k // 2 :: k]

    def pixel_mean(self, values: Numbers) -> Numbers:
        """Average over each pixel's samples: (samples, samples) to (image_size, image_size)."""
        n, k = self.image_size, self.oversampling
        rows = values.reshape(n, k, self.samples).sum(axis=1)
        mean: Numbers = sum(rows[:, offset::k] for offset in range(k)) / np.float32(k * k)
        return mean

    def pixel_label(self) -> NDArray[np.uint8]:
        """The class that most of each pixel's samples have, uint8 of shape (image_size, image_size)."""
        counts = [self.pixel_mean((self.label == index).astype(np.float32)) for index in range(len(LUMBAR))]
        return np.argmax(counts, axis=0).astype(np.uint8)

    def _interpolated(self, values: Floats, axis: int) -> Floats:
        """Values at the pixels' middles along an axis as values at the samples, linear between and beyond."""
        values = np.moveaxis(values, axis, 0)
        step = np.diff(values, axis=0)
        # Half way to its neighbour each pixel hands over to the next step.
        fine = np.empty((self.samples, *values.shape[1:]), dtype=np.float32)
        for k in range(self.oversampling):
            share = (k + 0.5) / self.oversampling - 0.5
            slope = np.concatenate((step[:1], step)) if share < 0 else np.concatenate((step, step[-1:]))
            fine[k :: self.oversampling] = values + np.float32(share) * slope
        return np.moveaxis(fine, 0, axis)

    def _places(self, points: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Row and column of points (N, 2) in the body's frame, mm; whole numbers at the samples."""
        x, y = points.T
        across = self._cos * x - self._sin * y + self._shift[0]
        down = self._sin * x + self._cos * y + self._shift[1]
        middle = FIELD_OF_VIEW / 2
        return (down + middle) / self._spacing - 0.5, (across + middle) / self._spacing - 0.5

    def _span(self, middle: float, reach: float) -> slice:
        first = math.floor((FIELD_OF_VIEW / 2 + middle - reach) / self._spacing)
        last = math.ceil((FIELD_OF_VIEW / 2 + middle + reach) / self._spacing)
        return slice(min(max(first, 0), self.samples), min(max(last, 0), self.samples))
