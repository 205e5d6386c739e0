"""One side of the posterior arch: facet joint, lamina and flavum, set by the canal's wall and the gap to the disc."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lss_lightning.phantom.patient import LEVELS, Patient
from lss_lightning.phantom.shapes import BACK, Blob, Capsule, Point, gap, irregular

# The bony canal's AP diameter by level, mm: an upper bound, as it was measured between the bones alone.
_CANAL_AP = dict(zip(LEVELS, (24.5, 22.9, 20.4), strict=True))
# Its transverse diameter, mm; 27.2, 27.1 and 26.5 by level.
_CANAL_WIDTH = 27.0
# Facet joints turn from sagittal towards coronal on the way down, degrees about the mean.
_FACET_TURN = dict(zip(LEVELS, (-5.0, 0.0, 6.0), strict=True))


@dataclass(frozen=True)
class Wall:
    """The flavum's inner face: a straight line that bounds the canal behind and to one side.

    Attributes:
        normal: Unit vector out of the canal.
        offset: Distance of the line from the origin along the normal, mm.
    """

    normal: Point
    offset: float

    def depth(self, points: np.ndarray) -> np.ndarray:
        """How far points of shape (N, 2) lie behind the wall, mm; negative within the canal."""
        return points @ np.array(self.normal) - self.offset

    def at(self, y: float) -> Point:
        """The wall's point in a row, mm."""
        return (self.offset - y * self.normal[1]) / self.normal[0], y


@dataclass(frozen=True)
class ArchSide:
    """One side of the posterior arch.

    Attributes:
        superior: Superior articular process of the lower vertebra.
        inferior: Inferior articular process of the upper one.
        joint: The cleft between the two.
        lamina: From the inferior process to the midline.
        wall: The face of the flavum, which lines lamina and joint.
        front: Where the flavum ends in front, on the wall, mm.
        flavum: Its thickness, mm.
        gap: Wanted least distance between disc and what lies behind it, mm.
        ganglion: The nerve on its way out.
    """

    superior: Blob
    inferior: Blob
    joint: Capsule
    lamina: Capsule
    wall: Wall
    front: Point
    flavum: float
    gap: float
    ganglion: Blob


def sample_side(side: int, subject: Patient, disc: Blob, sac: Blob, slope: float, rng: np.random.Generator) -> ArchSide:
    """Draw one side about a disc and a sac.

    Args:
        side: -1 for image left, 1 for image right.
        subject: Whose it is.
        disc: The disc in front.
        sac: What the canal must hold.
        slope: Angle of the wall's normal from the transverse line, degrees.
        rng: Source of variation.
    """
    size = subject.size
    # A narrowed side is worse than the level's severity, the other one better.
    severity = subject.severity * (1 + 0.3 * side * subject.site.side) + rng.normal(0, 0.06)
    severity = float(np.clip(severity, 0, 1))
    flavum = 3.0 + 3.0 * severity
    wall = _wall(side, subject, sac, slope, flavum, rng)

    angle = math.radians(45 - 7 * severity + _FACET_TURN[subject.level] + rng.normal(0, 4))
    cos, sin = math.cos(angle), math.sin(angle)
    # Both processes' first axis runs across the joint, forwards and outwards; their second along it.
    turn = math.atan2(-sin, side * cos)
    cleft = rng.uniform(0.5, 0.8)
    superior = Blob((0.0, 0.0), 1.0, rng.uniform(1.3, 1.55), turn, 2.7, irregular(rng, 0.03))
    superior = superior.with_area((98 + 31 * severity) * size**2)
    superior = superior.moved(side * cos * (cleft + superior.a), -sin * (cleft + superior.a))
    inferior = Blob((0.0, 0.0), 3.5 * size, 5.6 * size, turn, 3.2, irregular(rng, 0.04))
    inferior = inferior.moved(-side * cos * (cleft + inferior.a), sin * (cleft + inferior.a))
    reach = 0.75 * superior.b
    joint = Capsule((-side * sin * reach, -cos * reach), (side * sin * reach, cos * reach), cleft, cleft)

    wanted = 7.0 - 5.5 * severity
    x = side * (_CANAL_WIDTH / 2 + rng.uniform(0.5, 3.0)) * size
    y = _row_for_gap(superior.moved(x, 0.0), disc, wanted)
    # The inferior process leaves room for the flavum before it.
    lacking = min(float(wall.depth(inferior.moved(x, y).outline).min()) - 0.7 * flavum, 0.0)
    x -= lacking / wall.normal[0]
    superior, inferior, joint = superior.moved(x, y), inferior.moved(x, y), joint.moved(x, y)
    radius = rng.uniform(3.0, 3.4) * size
    # Towards the midline, where its two halves meet, the flavum thins.
    behind = wall.offset / wall.normal[1] + 0.7 * flavum + radius
    lamina = Capsule((inferior.centre[0] + side * 1.5, inferior.centre[1]), (0.0, behind), 0.9 * radius, radius)

    nerve = disc.beyond(BACK - side * rng.uniform(0.9, 1.05), 3.0 * size)
    ganglion = Blob(nerve, 3.2 * size, 2.2 * size, side * rng.uniform(-0.9, -0.3))
    return ArchSide(superior, inferior, joint, lamina, wall, _front(wall, disc, wanted), flavum, wanted, ganglion)


def _wall(side: int, subject: Patient, sac: Blob, slope: float, flavum: float, rng: np.random.Generator) -> Wall:
    """As far back as the bony canal's depth asks for, but no more than a little fat away from the sac."""
    angle = math.radians(slope + rng.normal(0, 1.5))
    normal = side * math.cos(angle), math.sin(angle)
    touching = float((sac.outline @ np.array(normal)).max())
    bone = _CANAL_AP[subject.level] * subject.size * rng.normal(1, 0.04)
    return Wall(normal, float(np.clip(bone * normal[1] - flavum, touching + 0.2, touching + 1.5)))


def _row_for_gap(process: Blob, disc: Blob, wanted: float) -> float:
    """How far back from y = 0 to set a process so that its gap to the disc is as wanted, mm, by bisection."""
    low, high = -10.0, 30.0
    for _ in range(13):
        middle = (low + high) / 2
        if gap(process.moved(0.0, middle), disc) < wanted:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _front(wall: Wall, disc: Blob, wanted: float) -> Point:
    """The wall's foremost point that keeps the gap to the disc."""
    rows = np.arange(-3.0, wall.offset / wall.normal[1], 0.05)
    near = disc.clearance(np.array([wall.at(row) for row in rows])) < wanted
    return wall.at(float(rows[near].max(initial=rows[0])))
