"""The spine at a level: disc, thecal sac, facets, laminae and spinous process as shapes in mm.

Frame: origin in the middle of the disc's posterior margin, x to the right of the image, y towards the back.
Sizes are those of published morphometry where named; the rest is drawn after anatomy atlases.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lss_lightning.phantom.arch import ArchSide, sample_side
from lss_lightning.phantom.patient import LEVELS, Patient
from lss_lightning.phantom.shapes import BACK, Blob, Bump, Capsule, Harmonic, Point, irregular

# By level: the disc's AP length, mm.
_DISC_AP = dict(zip(LEVELS, (32.9, 33.1, 31.3), strict=True))
_DISC_WIDTH = 48.0
# The class holds the outer fibres and the longitudinal ligaments too, as dark as the annulus: with this much on every
# side of the disc of published morphometry it has its share of the real labels, 3.54 %; without, 2.7 %.
_LIGAMENT = 2.0


@dataclass(frozen=True)
class Spine:
    """All that the four anatomical classes are drawn from.

    Attributes:
        disc: With its bulge and outer ligaments.
        sac: The thecal sac; the disc cuts off what reaches into it.
        sides: Image left, image right.
        spinous: The spinous process, as strokes.
        foramen: How far the fat beside the disc reaches forwards, radians from the back, and its width, mm.
        padding: Mean thickness of the fat between bone and muscles, mm; most at L5/S1.
    """

    disc: Blob
    sac: Blob
    sides: tuple[ArchSide, ArchSide]
    spinous: tuple[Capsule, Capsule]
    foramen: tuple[float, float]
    padding: float

    @property
    def notch(self) -> Point:
        """Where the two walls meet behind the sac, mm."""
        left, right = (side.wall for side in self.sides)
        x, y = np.linalg.solve(np.array((left.normal, right.normal)), np.array((left.offset, right.offset)))
        return float(x), float(y)


def sample_spine(subject: Patient, rng: np.random.Generator) -> Spine:
    """Draw a spine for a subject."""
    disc = sample_disc(subject, rng)
    sac = _sac(subject, disc, rng)
    slope = rng.normal(41, 3)
    left, right = (sample_side(side, subject, disc, sac, slope, rng) for side in (-1, 1))
    behind = max(left.lamina.end[1], right.lamina.end[1])
    foramen = (rng.uniform(1.0, 1.2), rng.uniform(3.6, 4.8) * subject.size)
    padding = rng.uniform(0.5, 2.5) + (1.5 if subject.level == "D5" else 0)
    return Spine(disc, sac, (left, right), _spinous(subject.size, behind, rng), foramen, padding)


def sample_disc(subject: Patient, rng: np.random.Generator) -> Blob:
    """The disc with what bulges: 0 to 6 mm, most at the midline or towards the side that is narrowed."""
    spread = 0.7 * (subject.size - 1) / 0.045 + 0.7 * rng.standard_normal()
    depth = _DISC_AP[subject.level] + 2.4 * spread + 2 * _LIGAMENT
    width = float(np.clip(_DISC_WIDTH + 2.4 * spread, 44, 54)) + 2 * _LIGAMENT
    a, b = width / 2, depth / 2
    bulge = 6 * subject.severity * rng.uniform(0.75, 1.0)
    concavity = rng.uniform(0, 2) * (1 - subject.severity)
    # Towards the image's right the angle falls.
    lean = rng.normal(0, 0.12) - subject.site.side * rng.uniform(0.3, 0.5)
    bumps = (
        Bump(BACK + lean, bulge / b, 0.55),
        Bump(BACK, -concavity / b, 0.28),
        # The hind corners are rounder than a superellipse's.
        Bump(BACK - 0.85, -0.04, 0.3),
        Bump(BACK + 0.85, -0.04, 0.3),
    )
    return Blob((0.0, -b), a, b, exponent=rng.uniform(2.25, 2.5), harmonics=irregular(rng, 0.016), bumps=bumps)


def _sac(subject: Patient, disc: Blob, rng: np.random.Generator) -> Blob:
    """An ellipse, flat where it leans on the disc, that narrowing presses into a trefoil with its tip to the back."""
    severity = subject.severity
    area = (190 - 145 * severity) * rng.normal(1, 0.06)
    aspect = 19.7 / 12.6 * rng.normal(1, 0.08) * (1 + 0.2 * severity)
    trefoil = Harmonic(3, 0.05 + 0.11 * severity + abs(rng.normal(0, 0.03)), 3 * BACK)
    lopsided = Harmonic(2, rng.normal(0, 0.02 + 0.03 * severity), rng.uniform(0, 2 * math.pi))
    # A narrowed side presses the sac towards the other.
    place = rng.normal(0, 0.7) - 1.5 * severity * subject.site.side
    # The sac lies against the disc; at L5/S1 fat often lies between.
    pressed = rng.uniform(0.4, 1.0) - (rng.uniform(0, 2.6) if subject.level == "D5" else 0)
    unit = Blob((place, 0.0), aspect, 1.0, turn=rng.normal(0, 0.05), harmonics=(trefoil, lopsided))
    margin = disc.outline[disc.outline[:, 1] > disc.centre[1]]
    sac = unit.with_area(area)
    for _ in range(4):
        behind = float(margin[np.abs(margin[:, 0] - place) < 0.6 * sac.a, 1].max())
        sac = sac.moved(0.0, behind - pressed - float(sac.outline[:, 1].min()))
        sac = sac.with_area(sac.area * area / (sac.area - shared_area(sac, disc)))
    return sac


def shared_area(first: Blob, second: Blob) -> float:
    """Area in mm² that two blobs share."""
    return first.polygon.intersection(second.polygon).area


def _spinous(size: float, behind: float, rng: np.random.Generator) -> tuple[Capsule, Capsule]:
    """6-8 mm wide, with a waist and a thicker tip, leaning or not.

    It is 25-30 mm long with the laminae's junction; a slice through the disc runs below its middle and cuts it shorter.
    """
    length = rng.uniform(13, 25) * size
    tip = (rng.normal(0, 1.2), behind + length)
    waist = (tip[0] * 0.3 + rng.normal(0, 0.4), behind + 0.4 * length)
    radius = rng.uniform(2.9, 3.4) * size
    return (
        Capsule((0.0, behind), waist, radius * 1.15, radius * 0.85),
        Capsule(waist, tip, radius * 0.85, radius * rng.uniform(0.9, 1.25)),
    )
