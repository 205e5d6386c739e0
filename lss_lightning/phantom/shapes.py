"""Analytic shapes in mm, with the signed distance from their outline and the enclosed area."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from shapely import Point as ShapelyPoint
from shapely import Polygon
from shapely.geometry.base import BaseGeometry

FloatArray: TypeAlias = NDArray[np.floating]
Point: TypeAlias = tuple[float, float]

BACK = math.pi / 2
"""Angle of the posterior direction, radians."""

_OUTLINE_POINTS = 256
# Number of angles at which a blob's radius is tabulated. It gives an accuracy of about 0.01 mm.
_TABLE_SIZE = 4096


class Shape(Protocol):
    """A shape that can be drawn, with a signed distance and an enclosing circle."""

    @property
    def centre(self) -> Point:
        """Centre of the enclosing circle, mm."""

    @property
    def bounding_radius(self) -> float:
        """Radius of the enclosing circle, mm."""

    def distance(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """Return the signed distance of points (x, y) from the outline in mm, negative inside."""


@dataclass(frozen=True)
class Bump:
    """A Gaussian bump in a blob's outline, or a dent if its height is negative.

    Attributes:
        angle: Position in radians, in the blob's own frame with its axes scaled to one.
        height: Height as a share of the radius.
        width: Standard deviation of the Gaussian profile, radians.
    """

    angle: float
    height: float
    width: float


@dataclass(frozen=True)
class Harmonic:
    """A periodic modulation that adds ``amplitude * cos(order * angle - phase)`` to a blob's relative radius.

    Attributes:
        order: Number of periods around the blob.
        amplitude: Amplitude as a share of the radius.
        phase: Phase, radians.
    """

    order: int
    amplitude: float
    phase: float


@dataclass(frozen=True)
class Blob:
    """A star-shaped region: a superellipse |u/a|^n + |v/b|^n = 1 whose radius is modulated along the angle.

    Attributes:
        centre: Centre, mm.
        a: Semi-axis along the blob's first axis, mm.
        b: Semi-axis along the blob's second axis, mm.
        rotation: Angle from the x axis to the blob's first axis, radians.
        exponent: n. A value of 2 gives an ellipse, larger values give more box-like shapes.
        harmonics: Periodic modulations of the radius.
        bumps: Bumps and dents of the outline.
    """

    centre: Point
    a: float
    b: float
    rotation: float = 0.0
    exponent: float = 2.0
    harmonics: tuple[Harmonic, ...] = ()
    bumps: tuple[Bump, ...] = ()

    @property
    def bounding_radius(self) -> float:
        """Radius of a circle about the centre that encloses the whole blob, mm."""
        x, y = (self.outline - self.centre).T
        # The outline may bulge a little between two of its points.
        return 1.002 * float(np.hypot(x, y).max())

    def gauge(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """Return a value that grows linearly along every ray, from 0 at the centre to 1 on the outline."""
        cos, sin = math.cos(self.rotation), math.sin(self.rotation)
        dx, dy = x - self.centre[0], y - self.centre[1]
        u, v = (cos * dx + sin * dy) / self.a, (cos * dy - sin * dx) / self.b
        # Angles below 0 give negative indices, which select the upper half of the table.
        index = np.rint(np.arctan2(v, u) * (_TABLE_SIZE / (2 * math.pi))).astype(np.int32)
        return np.hypot(u, v) * self._inverse_radius[index]

    def distance(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """Return the signed distance from the outline in mm along the ray from the centre, negative inside."""
        gauge = np.maximum(self.gauge(x, y), 1e-3)
        return np.hypot(x - self.centre[0], y - self.centre[1]) * (1 - 1 / gauge)

    @cached_property
    def outline(self) -> FloatArray:
        """Points on the outline in mm, of shape (256, 2)."""
        angle = _angles(_OUTLINE_POINTS)
        radius = self._radius(angle)
        u, v = self.a * radius * np.cos(angle), self.b * radius * np.sin(angle)
        cos, sin = math.cos(self.rotation), math.sin(self.rotation)
        return np.stack((self.centre[0] + cos * u - sin * v, self.centre[1] + sin * u + cos * v), axis=1)

    @cached_property
    def polygon(self) -> Polygon:
        """The outline as a polygon in mm."""
        return Polygon(self.outline)

    def point_outside(self, angle: float, distance: float) -> Point:
        """Return the point at a given distance outside the outline.

        Args:
            angle: Angle of the ray from the centre in radians, in the blob's own frame with its axes scaled to one.
            distance: Distance from the outline, mm.
        """
        radius = float(self._radius(np.array([angle]))[0])
        u, v = self.a * radius * math.cos(angle), self.b * radius * math.sin(angle)
        scale = 1 + distance / math.hypot(u, v)
        cos, sin = math.cos(self.rotation), math.sin(self.rotation)
        return self.centre[0] + scale * (cos * u - sin * v), self.centre[1] + scale * (sin * u + cos * v)

    def clearance(self, points: FloatArray) -> FloatArray:
        """Return the signed distance of points (N, 2) from the nearest point of the outline in mm, negative inside."""
        outline = self.outline
        squared = (points[:, None, 0] - outline[None, :, 0]) ** 2 + (points[:, None, 1] - outline[None, :, 1]) ** 2
        nearest = np.sqrt(squared.min(axis=1))
        return np.where(self.gauge(points[:, 0], points[:, 1]) < 1, -nearest, nearest)

    @property
    def area(self) -> float:
        """Enclosed area in mm², a·b/2 times the integral of the squared radius over the angle."""
        return self.a * self.b * math.pi * float((self._radius(_angles(_OUTLINE_POINTS)) ** 2).mean())

    def with_area(self, area: float) -> Blob:
        """Return the blob scaled to a given area in mm²."""
        scale = math.sqrt(area / self.area)
        return replace(self, a=self.a * scale, b=self.b * scale)

    def translated(self, dx: float, dy: float) -> Blob:
        """Return the blob shifted by (dx, dy) mm."""
        return replace(self, centre=(self.centre[0] + dx, self.centre[1] + dy))

    @cached_property
    def _inverse_radius(self) -> FloatArray:
        return (1 / self._radius(_angles(_TABLE_SIZE))).astype(np.float32)

    def _radius(self, angle: FloatArray) -> FloatArray:
        u, v = np.abs(np.cos(angle)), np.abs(np.sin(angle))
        return self._modulation(angle) / (u**self.exponent + v**self.exponent) ** (1 / self.exponent)

    def _modulation(self, angle: FloatArray) -> FloatArray:
        radius = np.ones_like(angle)
        for harmonic in self.harmonics:
            radius += harmonic.amplitude * np.cos(harmonic.order * angle - harmonic.phase)
        for bump in self.bumps:
            offset = np.remainder(angle - bump.angle + math.pi, 2 * math.pi) - math.pi
            radius += bump.height * np.exp(-0.5 * (offset / bump.width) ** 2)
        return radius


@dataclass(frozen=True)
class Capsule:
    """A stroke with round ends whose radius changes linearly from start to end.

    Attributes:
        start: Centre of the first end, mm.
        end: Centre of the second end, mm.
        start_radius: Radius at the first end, mm.
        end_radius: Radius at the second end, mm.
    """

    start: Point
    end: Point
    start_radius: float
    end_radius: float

    @property
    def centre(self) -> Point:
        """Midpoint of the stroke, mm."""
        return (self.start[0] + self.end[0]) / 2, (self.start[1] + self.end[1]) / 2

    @property
    def bounding_radius(self) -> float:
        """Radius of a circle about the midpoint that encloses the whole stroke, mm."""
        return math.dist(self.start, self.end) / 2 + max(self.start_radius, self.end_radius)

    def distance(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """Return the signed distance from the outline in mm, negative inside.

        The distance is measured perpendicular to the stroke, so it is slightly too large where the radius changes.
        """
        dx, dy = self.end[0] - self.start[0], self.end[1] - self.start[1]
        along = np.clip(((x - self.start[0]) * dx + (y - self.start[1]) * dy) / (dx * dx + dy * dy), 0, 1)
        across = np.hypot(x - self.start[0] - along * dx, y - self.start[1] - along * dy)
        return across - (self.start_radius + along * (self.end_radius - self.start_radius))

    @property
    def polygon(self) -> BaseGeometry:
        """The outline as a polygon in mm, the convex hull of the circles at the two ends."""
        start = ShapelyPoint(self.start).buffer(self.start_radius, 32)
        return start.union(ShapelyPoint(self.end).buffer(self.end_radius, 32)).convex_hull

    def translated(self, dx: float, dy: float) -> Capsule:
        """Return the stroke shifted by (dx, dy) mm."""
        start, end = self.start, self.end
        return replace(self, start=(start[0] + dx, start[1] + dy), end=(end[0] + dx, end[1] + dy))


def smooth_union(first: FloatArray, second: FloatArray, radius: float) -> FloatArray:
    """Return the signed distance from the union of two regions, with concave corners rounded over about ``radius`` mm.

    This is the polynomial smooth minimum of I. Quilez, min(a, b) − h²·radius/4 with
    h = max(radius − |a − b|, 0)/radius.

    Args:
        first: Signed distances from the first region, mm.
        second: Signed distances from the second region, an array of the same shape, mm.
        radius: Size of the rounding, mm.
    """
    blend = np.maximum(radius - np.abs(first - second), 0) / radius
    return np.minimum(first, second) - blend * blend * (radius / 4)


def enclosing_circle(shapes: Sequence[Shape], margin: float) -> tuple[Point, float]:
    """Return the centre and radius in mm of a circle that encloses all shapes with a margin around them."""
    centre = tuple(float(mean) for mean in np.mean([shape.centre for shape in shapes], axis=0))
    radius = max(math.dist(centre, shape.centre) + shape.bounding_radius for shape in shapes)
    return (centre[0], centre[1]), margin + radius


def compute_gap(first: Blob, second: Blob) -> float:
    """Return the smallest distance between the outlines of two blobs in mm, negative if they overlap."""
    return float(second.clearance(first.outline).min())


def sample_harmonics(rng: np.random.Generator, amplitude: float) -> tuple[Harmonic, ...]:
    """Sample low-order harmonics that make an outline irregular. The amplitude is a share of the radius."""
    return tuple(Harmonic(k, rng.normal(0, amplitude / k), rng.uniform(0, 2 * math.pi)) for k in (2, 3, 4, 5))


def _angles(count: int) -> FloatArray:
    return np.linspace(0, 2 * math.pi, count, endpoint=False)
