"""The spine at a level: disc, thecal sac, facets, laminae and spinous process as shapes in mm.

Frame: origin in the middle of the disc's posterior margin, x to the right of the image, y towards the back.
Sizes are those of published morphometry where named; the rest is drawn after anatomy atlases.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from lss_lightning.data.phantom.patient import LEVELS, Subject
from lss_lightning.data.phantom.shapes import Blob, Bump, Capsule, Harmonic, gap

BACK = math.pi / 2
"""Angle of the posterior direction."""

# By level: the disc's AP length, the bony canal's AP and transverse diameters (upper bound), mm.
_DISC_AP = dict(zip(LEVELS, (32.9, 33.1, 31.3), strict=True))
_CANAL_AP = dict(zip(LEVELS, (24.5, 22.9, 20.4), strict=True))
_CANAL_WIDTH = dict(zip(LEVELS, (27.2, 27.1, 26.5), strict=True))
_DISC_WIDTH = 48.0
# The lines that radiologists draw include the outer ligaments, this much on every side of the measured disc, mm.
_LIGAMENT = 2.0
# Facet joints turn from sagittal towards coronal on the way down, degrees about the mean.
_FACET_TURN = dict(zip(LEVELS, (-5.0, 0.0, 6.0), strict=True))


@dataclass(frozen=True)
class Side:
    """One side of the posterior arch, and the way out for the nerve in front of it.

    Attributes:
        superior: Superior articular process of the lower vertebra.
        inferior: Inferior articular process of the upper one.
        joint: The cleft between the two.
        lamina: From the inferior process to the midline.
        flavum: The ligament that lines the lamina towards the canal; it shows where the lamina does not cover it.
        foramen: Between disc and superior process.
        ganglion: The nerve within.
    """

    superior: Blob
    inferior: Blob
    joint: Capsule
    lamina: Capsule
    flavum: Capsule
    foramen: Capsule
    ganglion: Blob


@dataclass(frozen=True)
class Spine:
    """All that the four anatomical classes are drawn from.

    Attributes:
        disc: With its bulge and outer ligaments.
        sac: The thecal sac.
        sides: Image left, image right.
        spinous: The spinous process, as strokes.
        canal: The region between disc and laminae.
    """

    disc: Blob
    sac: Blob
    sides: tuple[Side, Side]
    spinous: tuple[Capsule, Capsule]
    canal: Blob


def sample_spine(subject: Subject, rng: np.random.Generator) -> Spine:
    """Draw a spine for a subject."""
    level, size = subject.level, subject.size
    disc = _disc(subject, rng)
    sac = _sac(subject, disc, rng)
    # Between the laminae, at the disc, the canal is never shallower than what it holds.
    needed = float(sac.outline[:, 1].max()) + 1.5 + _flavum_thickness(subject.severity)
    depth = max(_CANAL_AP[level] * size * rng.normal(1, 0.04), needed)
    sides = (_side(-1, subject, disc, depth, rng), _side(1, subject, disc, depth, rng))
    canal = Blob((0.0, depth * 0.15), (_CANAL_WIDTH[level] / 2 + 3) * size, depth * 0.87, exponent=1.3)
    return Spine(disc, sac, sides, _spinous(size, depth, rng), canal)


def irregular(rng: np.random.Generator, amplitude: float) -> tuple[Harmonic, ...]:
    """Random low harmonics, so that an outline is not a textbook curve; amplitude as a share of the radius."""
    return tuple(Harmonic(k, rng.normal(0, amplitude / k), rng.uniform(0, 2 * math.pi)) for k in (2, 3, 4, 5))


def _disc(subject: Subject, rng: np.random.Generator) -> Blob:
    spread = 0.7 * (subject.size - 1) / 0.045 + 0.7 * rng.standard_normal()
    depth = _DISC_AP[subject.level] + 2.4 * spread + 2 * _LIGAMENT
    width = float(np.clip(_DISC_WIDTH + 2.4 * spread, 44, 54)) + 2 * _LIGAMENT
    a, b = width / 2, depth / 2
    bulge = 6 * subject.severity * rng.uniform(0.75, 1.0)
    concavity = rng.uniform(0, 2) * (1 - subject.severity)
    # A bulge leans to one side more often than not.
    lean = rng.normal(0, 0.25)
    bumps = (
        Bump(BACK + lean, bulge / b, 0.5),
        Bump(BACK, -concavity / b, 0.28),
        # The hind corners are rounder than a superellipse's.
        Bump(BACK - 0.85, -0.08, 0.35),
        Bump(BACK + 0.85, -0.08, 0.35),
    )
    return Blob((0.0, -b), a, b, exponent=rng.uniform(2.2, 2.45), harmonics=irregular(rng, 0.016), bumps=bumps)


def _sac(subject: Subject, disc: Blob, rng: np.random.Generator) -> Blob:
    """An ellipse that narrowing presses into a trefoil with its tip towards the back."""
    severity = subject.severity
    area = (190 - 145 * severity) * rng.normal(1, 0.06)
    aspect = 19.7 / 12.6 * rng.normal(1, 0.08) * (1 + 0.25 * severity)
    trefoil = Harmonic(3, 0.05 + 0.13 * severity, 3 * BACK)
    lopsided = Harmonic(2, rng.normal(0, 0.02 + 0.03 * severity), rng.uniform(0, 2 * math.pi))
    unit = Blob((0.0, 0.0), aspect, 1.0, turn=rng.normal(0, 0.05), harmonics=(trefoil, lopsided)).with_area(area)
    front = -float(unit.outline[:, 1].min())
    # At L5/S1 more fat lies between disc and sac.
    clearance = rng.uniform(0.6, 1.4) + (rng.uniform(0.5, 3.0) if subject.level == "D5" else 0)
    margin = disc.outline
    behind = margin[np.abs(margin[:, 0]) < unit.a, 1].max()
    return unit.moved(rng.normal(0, 0.7), float(behind) + clearance + front)


def _spinous(size: float, canal_depth: float, rng: np.random.Generator) -> tuple[Capsule, Capsule]:
    """25-30 mm long, 6-8 mm wide, with a waist and a thicker tip that may lean to a side."""
    tip = (rng.normal(0, 1.5), canal_depth + rng.uniform(25, 29) * size)
    waist = (tip[0] * 0.3 + rng.normal(0, 0.4), canal_depth + 13 * size)
    radius = rng.uniform(3.0, 3.6) * size
    return (
        Capsule((0.0, canal_depth + 3.0), waist, radius * 1.15, radius * 0.85),
        Capsule(waist, tip, radius * 0.85, radius * rng.uniform(0.9, 1.25)),
    )


def _side(side: int, subject: Subject, disc: Blob, canal_depth: float, rng: np.random.Generator) -> Side:
    """One side, set so far from the disc that the gap between them is what the severity asks for.

    Args:
        side: -1 for image left, 1 for image right.
        subject: Whose it is.
        disc: The disc in front.
        canal_depth: Where the laminae meet, mm.
        rng: Source of variation.
    """
    size = subject.size
    severity = float(np.clip(subject.severity + rng.normal(0, 0.08), 0, 1))
    angle = math.radians(45 - 7 * severity + _FACET_TURN[subject.level] + rng.normal(0, 4))
    cos, sin = math.cos(angle), math.sin(angle)
    # Both processes' first axis runs across the joint, forwards and outwards; their second along it.
    turn = math.atan2(-sin, side * cos)
    cleft = rng.uniform(0.5, 0.8)
    superior = Blob((0.0, 0.0), 1.0, rng.uniform(1.35, 1.55), turn, 3.2, irregular(rng, 0.03))
    superior = superior.with_area((98 + 31 * severity) * size**2)
    superior = superior.moved(side * cos * (cleft + superior.a), -sin * (cleft + superior.a))
    inferior = Blob((0.0, 0.0), 3.7 * size, 6.2 * size, turn, 3.2, irregular(rng, 0.04))
    inferior = inferior.moved(-side * cos * (cleft + inferior.a), sin * (cleft + inferior.a))
    reach = 0.75 * superior.b
    joint = Capsule((-side * sin * reach, -cos * reach), (side * sin * reach, cos * reach), cleft, cleft)

    x = side * (_CANAL_WIDTH[subject.level] / 2 + 2.8) * size
    y = _row_for_gap(superior.moved(x, 0.0), disc, 7.0 - 5.5 * severity)
    superior, inferior, joint = superior.moved(x, y), inferior.moved(x, y), joint.moved(x, y)

    radius = rng.uniform(3.0, 3.5) * size
    root = (inferior.centre[0] + side * 1.5, inferior.centre[1])
    lamina = Capsule(root, (0.0, canal_depth + radius), 0.9 * radius, radius)
    # Lifted so that, seen across the slanting lamina, it shows its thickness; thinner where the two sides meet.
    rise = _flavum_thickness(severity) * math.dist(lamina.start, lamina.end) / abs(root[0])
    flavum = replace(lamina, start=(root[0], root[1] - rise), end=(0.0, lamina.end[1] - 0.6 * rise))

    margin = disc.centre[1] + disc.b
    foramen = Capsule((side * 8.0, margin - 1.0), (side * 22.0 * size, margin - 5.0 * size), 4.0, 3.2 * size)
    nerve = (side * (21.0 + 4 * severity) * size, -3.0 * size)
    ganglion = Blob(nerve, 3.4 * size, 2.5 * size, side * rng.uniform(0.2, 0.9))
    return Side(superior, inferior, joint, lamina, flavum, foramen, ganglion)


def _flavum_thickness(severity: float) -> float:
    """In mm."""
    return 3.0 + 3.0 * severity


def _row_for_gap(process: Blob, disc: Blob, wanted: float) -> float:
    """How far back from y = 0 to set a process so that its gap to the disc is as wanted, mm, by bisection."""
    low, high = -10.0, 30.0
    for _ in range(13):
        middle = (low + high) / 2
        if gap(process.moved(0, middle), disc) < wanted:
            low = middle
        else:
            high = middle
    return (low + high) / 2
