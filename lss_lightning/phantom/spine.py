"""The spine at a level: disc, thecal sac, facets, laminae and spinous process as shapes in mm.

The origin is the midpoint of the disc's posterior margin; x points to the right of the image and y to the back.
Sizes follow published morphometry where a source is named, and anatomy atlases otherwise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lss_lightning.data.alkafri_layout import ALKAFRI_LEVELS
from lss_lightning.phantom.arch import ArchSide, sample_arch_side
from lss_lightning.phantom.patient import Patient
from lss_lightning.phantom.shapes import BACK, Blob, Bump, Capsule, Harmonic, Point, sample_harmonics

# AP diameter of the disc by level, mm.
_DISC_AP = dict(zip(ALKAFRI_LEVELS, (32.9, 33.1, 31.3), strict=True))
_DISC_WIDTH = 48.0
# Thickness of the ligaments around the disc, mm. The disc's class includes the outer fibres and the longitudinal
# ligaments, which are as dark as the annulus. With this margin around a disc of published size, the class covers
# 3.54 % of the pixels, as in the real labels; without it, 2.7 %.
_LIGAMENT = 2.0


@dataclass(frozen=True)
class Spine:
    """The shapes from which the four anatomical classes are drawn.

    Attributes:
        disc: The disc with its bulge and outer ligaments.
        sac: The thecal sac. Where it overlaps the disc, the disc takes precedence.
        sides: The sides of the arch on the left and on the right of the image.
        spinous: The two strokes of the spinous process.
        foramen: Extent of the fat beside the disc: angle forwards from the back in radians, and width in mm.
        padding: Mean thickness of the fat between bone and muscles, mm. It is thickest at L5/S1.
    """

    disc: Blob
    sac: Blob
    sides: tuple[ArchSide, ArchSide]
    spinous: tuple[Capsule, Capsule]
    foramen: tuple[float, float]
    padding: float

    @property
    def notch(self) -> Point:
        """Point at which the two walls meet behind the sac, mm."""
        left, right = (side.wall for side in self.sides)
        x, y = np.linalg.solve(np.array((left.normal, right.normal)), np.array((left.offset, right.offset)))
        return float(x), float(y)


def sample_spine(patient: Patient, rng: np.random.Generator) -> Spine:
    """Sample the spine of a patient."""
    disc = sample_disc(patient, rng)
    sac = _sample_sac(patient, disc, rng)
    slope = rng.normal(41, 3)
    left, right = (sample_arch_side(side, patient, disc, sac, slope, rng) for side in (-1, 1))
    behind = max(left.lamina.end[1], right.lamina.end[1])
    foramen = (rng.uniform(1.0, 1.2), rng.uniform(3.6, 4.8) * patient.size)
    padding = rng.uniform(0.5, 2.5) + (1.5 if patient.level == "D5" else 0)
    return Spine(disc, sac, (left, right), _sample_spinous(patient.size, behind, rng), foramen, padding)


def sample_disc(patient: Patient, rng: np.random.Generator) -> Blob:
    """Sample the disc with a bulge of 0 to 6 mm that is highest near the midline or towards the narrowed side."""
    spread = 0.7 * (patient.size - 1) / 0.045 + 0.7 * rng.standard_normal()
    depth = _DISC_AP[patient.level] + 2.4 * spread + 2 * _LIGAMENT
    width = float(np.clip(_DISC_WIDTH + 2.4 * spread, 44, 54)) + 2 * _LIGAMENT
    a, b = width / 2, depth / 2
    bulge = 6 * patient.severity * rng.uniform(0.75, 1.0)
    concavity = rng.uniform(0, 2) * (1 - patient.severity)
    # The angle decreases towards the image's right.
    bulge_offset = rng.normal(0, 0.12) - patient.site.image_side * rng.uniform(0.3, 0.5)
    bumps = (
        Bump(BACK + bulge_offset, bulge / b, 0.55),
        Bump(BACK, -concavity / b, 0.28),
        # The posterior corners are rounder than those of a superellipse.
        Bump(BACK - 0.85, -0.04, 0.3),
        Bump(BACK + 0.85, -0.04, 0.3),
    )
    return Blob((0.0, -b), a, b, exponent=rng.uniform(2.25, 2.5), harmonics=sample_harmonics(rng, 0.016), bumps=bumps)


def _sample_sac(patient: Patient, disc: Blob, rng: np.random.Generator) -> Blob:
    """Sample the thecal sac.

    The sac is an ellipse that is flattened against the disc. Stenosis deforms it into a trefoil whose tip points
    backwards.
    """
    severity = patient.severity
    area = (190 - 145 * severity) * rng.normal(1, 0.06)
    aspect = 19.7 / 12.6 * rng.normal(1, 0.08) * (1 + 0.2 * severity)
    trefoil = Harmonic(3, 0.05 + 0.11 * severity + abs(rng.normal(0, 0.03)), 3 * BACK)
    asymmetry = Harmonic(2, rng.normal(0, 0.02 + 0.03 * severity), rng.uniform(0, 2 * math.pi))
    # A narrowed side pushes the sac to the other side.
    x = rng.normal(0, 0.7) - 1.5 * severity * patient.site.image_side
    # The sac touches the disc, but at L5/S1 there is often fat between them.
    overlap = rng.uniform(0.4, 1.0) - (rng.uniform(0, 2.6) if patient.level == "D5" else 0)
    unit = Blob((x, 0.0), aspect, 1.0, rotation=rng.normal(0, 0.05), harmonics=(trefoil, asymmetry))
    margin = disc.outline[disc.outline[:, 1] > disc.centre[1]]
    sac = unit.with_area(area)
    for _ in range(4):
        behind = float(margin[np.abs(margin[:, 0] - x) < 0.6 * sac.a, 1].max())
        sac = sac.translated(0.0, behind - overlap - float(sac.outline[:, 1].min()))
        sac = sac.with_area(sac.area * area / (sac.area - compute_overlap_area(sac, disc)))
    return sac


def compute_overlap_area(first: Blob, second: Blob) -> float:
    """Return the area of the overlap of two blobs, mm²."""
    return first.polygon.intersection(second.polygon).area


def _sample_spinous(size: float, behind: float, rng: np.random.Generator) -> tuple[Capsule, Capsule]:
    """Sample the spinous process, 6-8 mm wide, with a waist, a thicker tip and a random lean.

    Including the junction of the laminae, the process is 25-30 mm long. It appears shorter, because a slice through
    the disc passes below its middle.
    """
    length = rng.uniform(13, 25) * size
    tip = (rng.normal(0, 1.2), behind + length)
    waist = (tip[0] * 0.3 + rng.normal(0, 0.4), behind + 0.4 * length)
    radius = rng.uniform(2.9, 3.4) * size
    return (
        Capsule((0.0, behind), waist, radius * 1.15, radius * 0.85),
        Capsule(waist, tip, radius * 0.85, radius * rng.uniform(0.9, 1.25)),
    )
