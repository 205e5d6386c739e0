"""The surroundings of the spine: skin, muscles, pelvis, vessels and bowel as shapes in mm in the spine's frame."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from lss_lightning.phantom.patient import Patient
from lss_lightning.phantom.shapes import BACK, Blob, Bump, Capsule, sample_harmonics
from lss_lightning.phantom.spine import Spine

MuscleGroup: TypeAlias = tuple[Blob, ...]
"""Muscles that fill one compartment."""


@dataclass(frozen=True)
class Torso:
    """The shapes that surround the spine, all of them in the class Other.

    Attributes:
        body: Outline of the skin.
        cavity: Inner outline of the abdominal wall.
        back_muscles: Multifidus, longissimus and iliocostalis, one group per side.
        front_muscles: Groups of psoas, quadratus lumborum, iliacus and gluteal muscles.
        pelvis: Iliac bones, each as two strokes.
        vessels: Great vessels in front of the disc.
        bowel: Bowel loops.
        fat_lines: Depths below the skin at which membranes run through the fat, mm.
        infiltration: Fat content of the muscles, 0 to 1.
    """

    body: Blob
    cavity: Blob
    back_muscles: tuple[MuscleGroup, ...]
    front_muscles: tuple[MuscleGroup, ...]
    pelvis: tuple[tuple[Capsule, Capsule], ...]
    vessels: tuple[Blob, ...]
    bowel: tuple[Blob, ...]
    fat_lines: tuple[float, ...]
    infiltration: float


def sample_torso(patient: Patient, spine: Spine, rng: np.random.Generator) -> Torso:
    """Sample the surroundings of a spine."""
    size = patient.size
    skin = spine.spinous[0].start[1] + 26 * size + patient.fat_thickness
    depth = (skin + rng.uniform(105, 140)) / 2
    half_groove = patient.groove_depth / depth / 2
    bumps = (
        Bump(BACK, -2 * half_groove, 9 / depth),
        Bump(BACK - 0.3, half_groove, 0.2),
        Bump(BACK + 0.3, half_groove, 0.2),
    )
    body = Blob((0.0, skin - depth), patient.half_width, depth, bumps=bumps)
    wall = patient.half_width - patient.fat_thickness - rng.uniform(28, 40)
    cavity = Blob((0.0, -48.0), wall, 75.0, exponent=2.3, harmonics=sample_harmonics(rng, 0.02))
    is_pelvic = patient.level == "D5"
    back = _sample_pelvic_back(size, rng) if is_pelvic else _sample_lumbar_back(size, rng)
    front = _sample_pelvic_front(size, rng) if is_pelvic else _sample_lumbar_front(spine, size, rng)
    return Torso(
        body=body,
        cavity=cavity,
        back_muscles=back,
        front_muscles=front,
        pelvis=_sample_pelvis(patient, rng),
        vessels=_sample_vessels(patient, spine, rng),
        bowel=_sample_bowel(rng),
        fat_lines=tuple(patient.fat_thickness * rng.uniform(0.3, 0.7) for _ in range(rng.integers(1, 3))),
        infiltration=patient.infiltration,
    )


def _sample_muscle(
    rng: np.random.Generator,
    side: int,
    x: float,
    y: float,
    a: float,
    b: float,
    *,
    tilt: float = 0.0,
    exponent: float = 2.3,
) -> Blob:
    """Sample the cross-section of a muscle.

    Args:
        rng: Random generator.
        side: -1 for the image's left, 1 for the image's right.
        x: Distance of the centre from the midline, mm.
        y: Position of the centre towards the back, mm.
        a: First semi-axis, mm.
        b: Second semi-axis, mm.
        tilt: Tilt in degrees, positive if the lateral end points backwards.
        exponent: Exponent of the superellipse.
    """
    wide, high = rng.normal(1, 0.06), rng.normal(1, 0.06)
    centre = (side * (x + rng.normal(0, 1.0)), y + rng.normal(0, 1.0))
    rotation = side * math.radians(tilt + rng.normal(0, 4))
    return Blob(centre, a * wide, b * high, rotation=rotation, exponent=exponent, harmonics=sample_harmonics(rng, 0.05))


def _sample_lumbar_back(size: float, rng: np.random.Generator) -> tuple[MuscleGroup, ...]:
    return tuple(
        (
            _sample_muscle(rng, side, 61 * size, 24 * size, 14 * size, 16 * size, tilt=25),
            _sample_muscle(rng, side, 39 * size, 33 * size, 15 * size, 20 * size, tilt=10, exponent=2.6),
            _sample_muscle(rng, side, 17 * size, 37 * size, 14 * size, 18 * size, exponent=2.6),
        )
        for side in (-1, 1)
    )


def _sample_lumbar_front(spine: Spine, size: float, rng: np.random.Generator) -> tuple[MuscleGroup, ...]:
    groups: list[MuscleGroup] = []
    for side in (-1, 1):
        psoas = _sample_muscle(rng, side, 0, -13 * size, 18.5 * size, 21 * size, tilt=-25, exponent=2.1)
        lumborum = _sample_muscle(rng, side, 74 * size, 2 * size, 21 * size, 8.5 * size, tilt=14, exponent=2.2)
        groups += [(lumborum,), (psoas.translated(side * (spine.disc.a + rng.uniform(13, 17) * size), 0),)]
    return tuple(groups)


def _sample_pelvic_back(size: float, rng: np.random.Generator) -> tuple[MuscleGroup, ...]:
    return tuple(
        (
            _sample_muscle(rng, side, 43 * size, 29 * size, 13 * size, 15 * size, tilt=20),
            _sample_muscle(rng, side, 19 * size, 36 * size, 16 * size, 19 * size, exponent=2.4),
        )
        for side in (-1, 1)
    )


def _sample_pelvic_front(size: float, rng: np.random.Generator) -> tuple[MuscleGroup, ...]:
    """Sample the psoas, the iliacus inside the wing of the ilium, and the gluteal muscles outside it."""
    groups: list[MuscleGroup] = []
    for side in (-1, 1):
        psoas = _sample_muscle(rng, side, 49 * size, -24 * size, 15 * size, 19 * size, tilt=-20, exponent=2.1)
        iliacus = _sample_muscle(rng, side, 80 * size, -20 * size, 24 * size, 9 * size, tilt=-48, exponent=2.2)
        medius = _sample_muscle(rng, side, 101 * size, -2 * size, 26 * size, 10 * size, tilt=-52, exponent=2.4)
        maximus = _sample_muscle(rng, side, 80 * size, 26 * size, 19 * size, 8 * size, tilt=-38, exponent=2.2)
        groups += [(psoas, iliacus), (medius, maximus)]
    return tuple(groups)


def _sample_pelvis(patient: Patient, rng: np.random.Generator) -> tuple[tuple[Capsule, Capsule], ...]:
    """Sample the wings of the ilium at L5/S1, and the tips of the crest in half of the patients at L4/L5."""
    size = patient.size
    if patient.level == "D3" or (patient.level == "D4" and rng.random() < 0.5):
        return ()
    # The tips of the crest are further from the midline than the wings.
    outwards = 0.0 if patient.level == "D5" else 30.0
    wings = []
    for side in (-1, 1):
        inner = (side * (rng.uniform(54, 60) + outwards) * size, (24 - 0.4 * outwards) * size)
        bend = (side * (80 + outwards) * size, rng.uniform(-3, 5) * size)
        outer = (side * (105 + outwards) * size, -38 * size)
        wings.append((Capsule(inner, bend, 6.5 * size, 3.5 * size), Capsule(bend, outer, 3.5 * size, 4.5 * size)))
    return tuple(wings)


def _sample_vessels(patient: Patient, spine: Spine, rng: np.random.Generator) -> tuple[Blob, ...]:
    """Sample the vena cava and the aorta, or the iliac vessels below the bifurcation."""
    front = spine.disc.centre[1] - spine.disc.b
    ellipses: tuple[tuple[float, float, float, float], ...]
    if patient.level == "D3":
        ellipses = ((-12.0, 9.0, 11.0, 8.0), (9.0, 9.5, 8.5, 8.5))
    elif patient.level == "D4":
        ellipses = ((-13.0, 8.0, 11.0, 6.5), (-2.0, 13.0, 5.5, 5.0), (14.0, 8.5, 5.5, 5.5))
    else:
        ellipses = ((-20.0, 3.0, 6.0, 5.0), (-27.0, 9.0, 4.5, 4.5), (21.0, 3.0, 6.0, 5.0), (28.0, 9.0, 4.5, 4.5))
    return tuple(
        Blob(
            (x + rng.normal(0, 1.5), front - y),
            a,
            b,
            rotation=rng.normal(0, 0.2),
            harmonics=sample_harmonics(rng, 0.05),
        )
        for x, y, a, b in ellipses
    )


def _sample_bowel(rng: np.random.Generator) -> tuple[Blob, ...]:
    """Sample the colon on both sides and the small bowel in front."""
    loops = []
    for side in (-1, 1):
        for _ in range(rng.integers(1, 4)):
            centre = (side * rng.uniform(62, 100), rng.uniform(-75, -22))
            loops.append(Blob(centre, rng.uniform(9, 18), rng.uniform(8, 15), harmonics=sample_harmonics(rng, 0.12)))
    for _ in range(rng.integers(6, 12)):
        centre = (rng.uniform(-70, 70), rng.uniform(-100, -62))
        loops.append(Blob(centre, rng.uniform(8, 16), rng.uniform(7, 12), harmonics=sample_harmonics(rng, 0.12)))
    return tuple(loops)
