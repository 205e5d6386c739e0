"""One side of the posterior arch: facet joint, lamina and flavum, positioned relative to the canal and the disc."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lss_lightning.data.alkafri_layout import ALKAFRI_LEVELS
from lss_lightning.phantom.patient import Patient
from lss_lightning.phantom.shapes import BACK, Blob, Capsule, Point, compute_gap, sample_harmonics

# AP diameter of the bony canal by level, mm. It is an upper bound, because it was measured between bones.
_CANAL_AP = dict(zip(ALKAFRI_LEVELS, (24.5, 22.9, 20.4), strict=True))
# Transverse diameter of the bony canal, mm. The values by level are 27.2, 27.1 and 26.5.
_CANAL_WIDTH = 27.0
# Angle of the facet joints relative to the mean, degrees. Further down the spine they turn from sagittal to coronal.
_FACET_ROTATION = dict(zip(ALKAFRI_LEVELS, (-5.0, 0.0, 6.0), strict=True))


@dataclass(frozen=True)
class Wall:
    """The inner face of the ligamentum flavum on one side: a straight line that bounds the canal posteriorly.

    Attributes:
        normal: Unit vector pointing out of the canal.
        offset: Distance of the line from the origin along the normal, mm.
    """

    normal: Point
    offset: float

    def depth(self, points: np.ndarray) -> np.ndarray:
        """Return the signed distance of points of shape (N, 2) from the wall in mm, negative within the canal."""
        return points @ np.array(self.normal) - self.offset

    def point_at(self, y: float) -> Point:
        """Return the point on the wall at a given y coordinate, mm."""
        return (self.offset - y * self.normal[1]) / self.normal[0], y


@dataclass(frozen=True)
class ArchSide:
    """One side of the posterior arch.

    Attributes:
        superior: Superior articular process of the lower vertebra.
        inferior: Inferior articular process of the upper vertebra.
        joint: The joint space between the two processes.
        lamina: The lamina, from the inferior process to the midline.
        wall: The inner face of the flavum, which lines the lamina and the joint.
        front: Anterior end of the flavum on the wall, mm.
        flavum: Thickness of the flavum, mm.
        gap: Target value of the smallest distance between the disc and the structures behind it, mm.
        ganglion: The ganglion of the nerve that leaves the canal.
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


def sample_arch_side(
    side: int, patient: Patient, disc: Blob, sac: Blob, slope: float, rng: np.random.Generator
) -> ArchSide:
    """Sample one side of the posterior arch, given the disc and the thecal sac.

    Args:
        side: -1 for the image's left, 1 for the image's right.
        patient: The patient at this level.
        disc: The disc in front of the arch.
        sac: The thecal sac, which must fit in the canal.
        slope: Mean angle between the wall's normal and the transverse axis, degrees.
        rng: Random generator.
    """
    size = patient.size
    # The stenosis of the narrowed side is more severe than that of the level, and that of the other side less severe.
    severity = patient.severity * (1 + 0.3 * side * patient.site.image_side) + rng.normal(0, 0.06)
    severity = float(np.clip(severity, 0, 1))
    flavum = 3.0 + 3.0 * severity
    wall = _sample_wall(side, patient, sac, slope, flavum, rng)

    angle = math.radians(45 - 7 * severity + _FACET_ROTATION[patient.level] + rng.normal(0, 4))
    cos, sin = math.cos(angle), math.sin(angle)
    # The first axis of both processes runs across the joint, forwards and outwards; the second runs along the joint.
    rotation = math.atan2(-sin, side * cos)
    cleft = rng.uniform(0.5, 0.8)
    superior = Blob((0.0, 0.0), 1.0, rng.uniform(1.3, 1.55), rotation, 2.7, sample_harmonics(rng, 0.03))
    superior = superior.with_area((98 + 31 * severity) * size**2)
    superior = superior.translated(side * cos * (cleft + superior.a), -sin * (cleft + superior.a))
    inferior = Blob((0.0, 0.0), 3.5 * size, 5.6 * size, rotation, 3.2, sample_harmonics(rng, 0.04))
    inferior = inferior.translated(-side * cos * (cleft + inferior.a), sin * (cleft + inferior.a))
    half_length = 0.75 * superior.b
    joint_end = side * sin * half_length, cos * half_length
    joint = Capsule((-joint_end[0], -joint_end[1]), joint_end, cleft, cleft)

    target_gap = 7.0 - 5.5 * severity
    x = side * (_CANAL_WIDTH / 2 + rng.uniform(0.5, 3.0)) * size
    y = _find_row_for_gap(superior.translated(x, 0.0), disc, target_gap)
    # The inferior process leaves room for the flavum in front of it.
    overlap = min(float(wall.depth(inferior.translated(x, y).outline).min()) - 0.7 * flavum, 0.0)
    x -= overlap / wall.normal[0]
    superior, inferior, joint = superior.translated(x, y), inferior.translated(x, y), joint.translated(x, y)
    radius = rng.uniform(3.0, 3.4) * size
    # The flavum thins towards the midline, where its two halves meet.
    behind = wall.offset / wall.normal[1] + 0.7 * flavum + radius
    lamina = Capsule((inferior.centre[0] + side * 1.5, inferior.centre[1]), (0.0, behind), 0.9 * radius, radius)

    nerve = disc.point_outside(BACK - side * rng.uniform(0.9, 1.05), 3.0 * size)
    ganglion = Blob(nerve, 3.2 * size, 2.2 * size, side * rng.uniform(-0.9, -0.3))
    front = _find_flavum_front(wall, disc, target_gap)
    return ArchSide(superior, inferior, joint, lamina, wall, front, flavum, target_gap, ganglion)


def _sample_wall(side: int, patient: Patient, sac: Blob, slope: float, flavum: float, rng: np.random.Generator) -> Wall:
    """Sample the wall at the depth of the bony canal, limited to 0.2 to 1.5 mm behind the thecal sac."""
    angle = math.radians(slope + rng.normal(0, 1.5))
    normal = side * math.cos(angle), math.sin(angle)
    touching = float((sac.outline @ np.array(normal)).max())
    bone = _CANAL_AP[patient.level] * patient.size * rng.normal(1, 0.04)
    return Wall(normal, float(np.clip(bone * normal[1] - flavum, touching + 0.2, touching + 1.5)))


def _find_row_for_gap(process: Blob, disc: Blob, target_gap: float) -> float:
    """Return the backward shift of a process at which its gap to the disc has the target value, mm."""
    low, high = -10.0, 30.0
    for _ in range(13):
        middle = (low + high) / 2
        if compute_gap(process.translated(0.0, middle), disc) < target_gap:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _find_flavum_front(wall: Wall, disc: Blob, target_gap: float) -> Point:
    """Return the most anterior point of the wall that keeps the target gap to the disc."""
    rows = np.arange(-3.0, wall.offset / wall.normal[1], 0.05)
    near = disc.clearance(np.array([wall.point_at(row) for row in rows])) < target_gap
    return wall.point_at(float(rows[near].max(initial=rows[0])))
