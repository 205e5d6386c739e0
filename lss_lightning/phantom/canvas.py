"""The sampling grid on which shapes are drawn, finer than the pixels of the image."""

from __future__ import annotations

import math
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from shapely import get_coordinates, get_parts, get_rings
from shapely.geometry.base import BaseGeometry

from lss_lightning.data.alkafri_layout import FIELD_OF_VIEW
from lss_lightning.labels import LUMBAR
from lss_lightning.phantom.shapes import FloatArray, Shape
from lss_lightning.phantom.texture import Texture
from lss_lightning.phantom.tissue import Tissue

Window: TypeAlias = tuple[slice, slice]
"""Row slice and column slice of a rectangular part of the grid."""

BoolArray: TypeAlias = NDArray[np.bool_]
ComplexArray: TypeAlias = NDArray[np.complexfloating]
ArrayT = TypeVar("ArrayT", FloatArray, ComplexArray)

_OTHER = LUMBAR.keys.index("other")


class Canvas:
    """A grid of sample points that stores the tissue and the class at each point.

    Coordinates are in the body's frame in mm: x points to the right of the image and y towards the back (down).

    Args:
        image_size: Width and height of the image, pixels.
        shift: The body's origin relative to the image centre, in mm (right, down).
        rotation: Rotation of the body's axes in the image, radians.

    Attributes:
        x: x coordinate of each sample in mm, float32 of shape (samples, samples).
        y: y coordinate of each sample in mm, float32 of shape (samples, samples).
        tissue: Tissue at each sample, uint8.
        second: Second tissue, which is mixed with the first at each sample, uint8.
        mixture: Share of the second tissue, 0 to 1, float32.
        label: Class index at each sample, uint8.
    """

    def __init__(self, image_size: int, shift: tuple[float, float], rotation: float) -> None:
        self.image_size = image_size
        # An odd number avoids ties between two classes. Coarse images need more samples to preserve thin structures.
        self.oversampling = 3 if image_size >= 192 else 5
        self.samples = image_size * self.oversampling
        self._spacing = FIELD_OF_VIEW / self.samples
        self._shift, self._cos, self._sin = shift, math.cos(rotation), math.sin(rotation)
        axis = (np.arange(self.samples, dtype=np.float32) + np.float32(0.5)) * np.float32(self._spacing)
        across = axis[None, :] - np.float32(FIELD_OF_VIEW / 2 + shift[0])
        down = axis[:, None] - np.float32(FIELD_OF_VIEW / 2 + shift[1])
        self.x = across * np.float32(self._cos) + down * np.float32(self._sin)
        self.y = down * np.float32(self._cos) - across * np.float32(self._sin)
        shape = (self.samples, self.samples)
        self.tissue = np.full(shape, Tissue.AIR, dtype=np.uint8)
        self.second = np.full(shape, Tissue.AIR, dtype=np.uint8)
        self.mixture = np.zeros(shape, dtype=np.float32)
        self.label = np.full(shape, _OTHER, dtype=np.uint8)

    def window(self, centre: tuple[float, float], radius: float) -> Window:
        """Return the window that encloses a circle given in the body's frame in mm, empty if it is off the grid."""
        across = self._cos * centre[0] - self._sin * centre[1] + self._shift[0]
        down = self._sin * centre[0] + self._cos * centre[1] + self._shift[1]
        return self._span(down, radius), self._span(across, radius)

    def window_around(self, shape: Shape, margin: float = 1.0) -> Window:
        """Return the window that encloses a shape with a margin in mm around it."""
        return self.window(shape.centre, shape.bounding_radius + margin)

    def window_over(self, region: BaseGeometry) -> Window:
        """Return the window that encloses a region given in the body's frame in mm."""
        left, top, right, bottom = region.bounds
        return self.window(((left + right) / 2, (top + bottom) / 2), math.hypot(right - left, bottom - top) / 2)

    def distance(self, shape: Shape, window: Window) -> FloatArray:
        """Return the signed distance in mm from a shape at the samples of a window."""
        return shape.distance(self.x[window], self.y[window])

    def smooth_distance(self, shape: Shape) -> FloatArray:
        """Return the signed distance in mm from a shape without corners, over the whole grid.

        The distance is computed once per pixel and interpolated, which saves most of the computing time.
        """
        field = shape.distance(self.at_pixel_centres(self.x), self.at_pixel_centres(self.y))
        for axis in (0, 1):
            field = self._interpolate(field, axis)
        return field

    def region_mask(self, region: BaseGeometry, window: Window) -> BoolArray:
        """Return a mask of the samples of a window that are inside a region.

        Each row is scanned from left to right. A sample is inside if an odd number of edges has been crossed.

        Args:
            region: One or more polygons in the body's frame, mm.
            window: The window.

        Returns:
            Bool array of the window's shape.
        """
        rows, columns = window
        height, width = rows.stop - rows.start, columns.stop - columns.start
        crossed = np.zeros(height * (width + 1), dtype=np.int32)
        for ring in get_parts(get_rings(get_parts(region))):
            down, across = self._to_indices(get_coordinates(ring))
            down, across = down - rows.start, across - columns.start
            y, x = down[:-1], across[:-1]
            # All pairs of an edge and a row that it crosses, as two arrays.
            first, last = (
                np.ceil(bound(y, down[1:])).clip(0, height).astype(int) for bound in (np.minimum, np.maximum)
            )
            edge = np.repeat(np.arange(len(y)), last - first)
            row = np.arange(len(edge)) - np.repeat(np.cumsum(last - first) - last, last - first)
            slope = np.diff(across)[edge] / np.diff(down)[edge]
            column = np.ceil(x[edge] + (row - y[edge]) * slope).clip(0, width).astype(int)
            crossed += np.bincount(row * (width + 1) + column, minlength=crossed.size).astype(np.int32)
        inside: BoolArray = np.cumsum(crossed.reshape(height, width + 1)[:, :-1], axis=1) % 2 == 1
        return inside

    def paint(
        self,
        window: Window,
        where: BoolArray,
        tissue: Tissue,
        *,
        second: Tissue | None = None,
        mixture: FloatArray | float = 0.0,
    ) -> None:
        """Set the tissue of selected samples of a window.

        Args:
            window: The window.
            where: Mask of the selected samples, a bool array of the window's shape.
            tissue: The tissue.
            second: A tissue to mix in, or None.
            mixture: Share of the second tissue, 0 to 1.
        """
        np.copyto(self.tissue[window], np.uint8(tissue), where=where)
        np.copyto(self.second[window], np.uint8(tissue if second is None else second), where=where)
        np.copyto(self.mixture[window], mixture, where=where, casting="same_kind")

    def classify(self, window: Window, where: BoolArray, key: str) -> None:
        """Set the class of selected samples of a window to the class with the given key."""
        np.copyto(self.label[window], np.uint8(LUMBAR.keys.index(key)), where=where)

    def sample_coarse_texture(self, texture: Texture) -> FloatArray:
        """Return a texture coarser than the pixels at every sample of the grid, computed once per pixel."""
        values = texture(self.at_pixel_centres(self.x), self.at_pixel_centres(self.y))
        return values.repeat(self.oversampling, axis=0).repeat(self.oversampling, axis=1)

    def at_pixel_centres(self, values: FloatArray) -> FloatArray:
        """Return the values at the pixel centres, from (samples, samples) to (image_size, image_size)."""
        k = self.oversampling
        return values[k // 2 :: k, k // 2 :: k]

    def pixel_mean(self, values: ArrayT) -> ArrayT:
        """Return the mean over the samples of each pixel, from (samples, samples) to (image_size, image_size)."""
        n, k = self.image_size, self.oversampling
        rows = values.reshape(n, k, self.samples).sum(axis=1)
        mean: ArrayT = sum(rows[:, offset::k] for offset in range(k)) / np.float32(k * k)
        return mean

    def pixel_labels(self) -> NDArray[np.uint8]:
        """Return the most frequent class among the samples of each pixel, uint8 of shape (image_size, image_size)."""
        counts = [self.pixel_mean((self.label == index).astype(np.float32)) for index in range(len(LUMBAR))]
        return np.argmax(counts, axis=0).astype(np.uint8)

    def _interpolate(self, values: FloatArray, axis: int) -> FloatArray:
        """Interpolate values given at the pixel centres linearly along an axis, and extrapolate at the borders."""
        values = np.moveaxis(values, axis, 0)
        step = np.diff(values, axis=0)
        # Samples before a pixel's centre use the step from the previous pixel, the others the step to the next pixel.
        fine = np.empty((self.samples, *values.shape[1:]), dtype=np.float32)
        for k in range(self.oversampling):
            share = (k + 0.5) / self.oversampling - 0.5
            slope = np.concatenate((step[:1], step)) if share < 0 else np.concatenate((step, step[-1:]))
            fine[k :: self.oversampling] = values + np.float32(share) * slope
        return np.moveaxis(fine, 0, axis)

    def _to_indices(self, points: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Convert points of shape (N, 2) in the body's frame, mm, to fractional row and column indices of the grid."""
        x, y = points.T
        across = self._cos * x - self._sin * y + self._shift[0]
        down = self._sin * x + self._cos * y + self._shift[1]
        middle = FIELD_OF_VIEW / 2
        return (down + middle) / self._spacing - 0.5, (across + middle) / self._spacing - 0.5

    def _span(self, middle: float, radius: float) -> slice:
        first = math.floor((FIELD_OF_VIEW / 2 + middle - radius) / self._spacing)
        last = math.ceil((FIELD_OF_VIEW / 2 + middle + radius) / self._spacing)
        return slice(min(max(first, 0), self.samples), min(max(last, 0), self.samples))
