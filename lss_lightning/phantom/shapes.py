"""Analytic shapes in millimetres: how far a point lies from the outline, and what area the outline encloses."""

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

Floats: TypeAlias = NDArray[np.floating]
Point: TypeAlias = tuple[float, float]

BACK = math.pi / 2
"""Angle of the posterior direction."""

_OUTLINE = 256
# A blob's radius is looked up by angle in this many steps, so to within about 0.01 mm.
_TABLE = 4096


class Shape(Protocol):
    """What can be drawn: a distance, and a circle outside which there is nothing to draw."""

    @property
    def centre(self) -> Point:
        """Centre of the enclosing circle, mm."""

    @property
    def reach(self) -> float:
        """Radius of the enclosing circle, mm."""

    def distance(self, x: Floats, y: Floats) -> Floats:
        """Signed distance of the points (x, y) from the outline in mm, negative inside."""


@dataclass(frozen=True)
class Bump:
    """A rise (or, if negative, a dent) of a blob's outline.

    Attributes:
        angle: Where, in radians, in the blob's own frame with its axes scaled to one.
        height: As a share of the radius.
        width: Standard deviation of its Gaussian profile, radians.
    """

    angle: float
    height: float
    width: float


@dataclass(frozen=True)
class Harmonic:
    """A periodic modulation of a blob's radius by ``amplitude * cos(order * angle - phase)`` of itself."""

    order: int
    amplitude: float
    phase: float


@dataclass(frozen=True)
class Blob:
    """A star-shaped region: a superellipse |u/a|^n + |v/b|^n = 1 whose radius is modulated along the angle.

    Attributes:
        centre: Centre, mm.
        a: Semi-axis along the first own axis, mm.
        b: Semi-axis along the second own axis, mm.
        turn: Angle from the x axis to the first own axis, radians.
        exponent: n; 2 is an ellipse, more is boxier.
        harmonics: Modulations of the radius.
        bumps: Rises and dents of the radius.
    """

    centre: Point
    a: float
    b: float
    turn: float = 0.0
    exponent: float = 2.0
    harmonics: tuple[Harmonic, ...] = ()
    bumps: tuple[Bump, ...] = ()

    @property
    def reach(self) -> float:
        """Radius of a circle about the centre that holds the whole blob, mm."""
        x, y = (self.outline - self.centre).T
        # Between two points of the outline it may bulge a little.
        return 1.002 * float(np.hypot(x, y).max())

    def gauge(self, x: Floats, y: Floats) -> Floats:
        """0 at the centre, 1 on the outline, and linear along every ray between."""
        cos, sin = math.cos(self.turn), math.sin(self.turn)
        dx, dy = x - self.centre[0], y - self.centre[1]
        u, v = (cos * dx + sin * dy) / self.a, (cos * dy - sin * dx) / self.b
        # From -π to π the places run over the table's upper half, then its lower: negative indices count from the end.
        place = np.rint(np.arctan2(v, u) * (_TABLE / (2 * math.pi))).astype(np.int32)
        return np.hypot(u, v) * self._inverse_radius[place]

    def distance(self, x: Floats, y: Floats) -> Floats:
        """Signed distance along the ray from the centre, mm: zero exactly on the outline, negative inside."""
        gauge = np.maximum(self.gauge(x, y), 1e-3)
        return np.hypot(x - self.centre[0], y - self.centre[1]) * (1 - 1 / gauge)

    @cached_property
    def outline(self) -> Floats:
        """Points on the outline, mm, of shape (256, 2)."""
        angle = _angles(_OUTLINE)
        radius = self._radius(angle)
        u, v = self.a * radius * np.cos(angle), self.b * radius * np.sin(angle)
        cos, sin = math.cos(self.turn), math.sin(self.turn)
        return np.stack((self.centre[0] + cos * u - sin * v, self.centre[1] + sin * u + cos * v), axis=1)

    @cached_property
    def polygon(self) -> Polygon:
        """The outline as a polygon, mm."""
        return Polygon(self.outline)

    def beyond(self, angle: float, distance: float) -> Point:
        """The point that lies so far outside the outline, mm, on the ray at an angle of the axes scaled to one."""
        radius = float(self._radius(np.array([angle]))[0])
        u, v = self.a * radius * math.cos(angle), self.b * radius * math.sin(angle)
        scale = 1 + distance / math.hypot(u, v)
        cos, sin = math.cos(self.turn), math.sin(self.turn)
        return self.centre[0] + scale * (cos * u - sin * v), self.centre[1] + scale * (sin * u + cos * v)

    def clearance(self, points: Floats) -> Floats:
        """Least distance of points (N, 2) from the outline, mm, negative inside."""
        outline = self.outline
        squared = (points[:, None, 0] - outline[None, :, 0]) ** 2 + (points[:, None, 1] - outline[None, :, 1]) ** 2
        least = np.sqrt(squared.min(axis=1))
        return np.where(self.gauge(points[:, 0], points[:, 1]) < 1, -least, least)

    @property
    def area(self) -> float:
        """Enclosed area in mm²: a·b/2 times the integral of the squared radius over the angle."""
        return self.a * self.b * math.pi * float((self._radius(_angles(_OUTLINE)) ** 2).mean())

    def with_area(self, area: float) -> Blob:
        """The same form at another size, area in mm²."""
        scale = math.sqrt(area / self.area)
        return replace(self, a=self.a * scale, b=self.b * scale)

    def moved(self, dx: float, dy: float) -> Blob:
        """The same blob elsewhere, shift in mm."""
        return replace(self, centre=(self.centre[0] + dx, self.centre[1] + dy))

    @cached_property
    def _inverse_radius(self) -> Floats:
        return (1 / self._radius(_angles(_TABLE))).astype(np.float32)

    def _radius(self, angle: Floats) -> Floats:
        u, v = np.abs(np.cos(angle)), np.abs(np.sin(angle))
        return self._modulation(angle) / (u**self.exponent + v**self.exponent) ** (1 / self.exponent)

    def _modulation(self, angle: Floats) -> Floats:
        radius = np.ones_like(angle)
        for harmonic in self.harmonics:
            radius += harmonic.amplitude * np.cos(harmonic.order * angle - harmonic.phase)
        for bump in self.bumps:
            off = np.remainder(angle - bump.angle + math.pi, 2 * math.pi) - math.pi
            radius += bump.height * np.exp(-0.5 * (off / bump.width) ** 2)
        return radius


@dataclass(frozen=True)
class Capsule:
    """A stroke from one point to another with round ends and a radius that tapers linearly, all in mm."""

    start: Point
    end: Point
    start_radius: float
    end_radius: float

    @property
    def centre(self) -> Point:
        """Middle of the stroke, mm."""
        return (self.start[0] + self.end[0]) / 2, (self.start[1] + self.end[1]) / 2

    @property
    def reach(self) -> float:
        """Radius of a circle about the middle that holds the whole stroke, mm."""
        return math.dist(self.start, self.end) / 2 + max(self.start_radius, self.end_radius)

    def distance(self, x: Floats, y: Floats) -> Floats:
        """Signed distance from the outline, mm (measured across the stroke, so slightly more where it tapers)."""
        dx, dy = self.end[0] - self.start[0], self.end[1] - self.start[1]
        along = np.clip(((x - self.start[0]) * dx + (y - self.start[1]) * dy) / (dx * dx + dy * dy), 0, 1)
        across = np.hypot(x - self.start[0] - along * dx, y - self.start[1] - along * dy)
        return across - (self.start_radius + along * (self.end_radius - self.start_radius))

    @property
    def polygon(self) -> BaseGeometry:
        """The outline as a polygon, mm: the hull of the two ends' circles."""
        start = ShapelyPoint(self.start).buffer(self.start_radius, 32)
        return start.union(ShapelyPoint(self.end).buffer(self.end_radius, 32)).convex_hull

    def moved(self, dx: float, dy: float) -> Capsule:
        """The same stroke elsewhere, shift in mm."""
        start, end = self.start, self.end
        return replace(self, start=(start[0] + dx, start[1] + dy), end=(end[0] + dx, end[1] + dy))


def smooth_union(first: Floats, second: Floats, radius: float) -> Floats:
    """Distance to the union of two regions whose inner corners are filled, as bone is, over about ``radius`` mm.

    The polynomial smooth minimum of I. Quilez: min(a, b) − h²·radius/4 with h = max(radius − |a − b|, 0)/radius.
    """
    blend = np.maximum(radius - np.abs(first - second), 0) / radius
    return np.minimum(first, second) - blend * blend * (radius / 4)


def enclosing_circle(shapes: Sequence[Shape], margin: float) -> tuple[Point, float]:
    """Centre and radius in mm of a circle that holds all shapes and a margin about them."""
    centre = tuple(float(mean) for mean in np.mean([shape.centre for shape in shapes], axis=0))
    return (centre[0], centre[1]), margin + max(math.dist(centre, shape.centre) + shape.reach for shape in shapes)


def gap(first: Blob, second: Blob) -> float:
    """Least distance between two blobs' outlines in mm; negative when they cross."""
    return float(second.clearance(first.outline).min())


def irregular(rng: np.random.Generator, amplitude: float) -> tuple[Harmonic, ...]:
    """Random low harmonics, so that an outline is not a textbook curve; amplitude as a share of the radius."""
    return tuple(Harmonic(k, rng.normal(0, amplitude / k), rng.uniform(0, 2 * math.pi)) for k in (2, 3, 4, 5))


def _angles(count: int) -> Floats:
    return np.linspace(0, 2 * math.pi, count, endpoint=False)
