"""What surrounds the spine: skin, muscles, pelvis, vessels and bowel as shapes in mm, in the spine's frame."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from lss_lightning.phantom.patient import Patient
from lss_lightning.phantom.shapes import BACK, Blob, Bump, Capsule, irregular
from lss_lightning.phantom.spine import Spine

Group: TypeAlias = tuple[Blob, ...]


@dataclass(frozen=True)
class Torso:
    """The class Other.

    Attributes:
        body: Outline of the skin.
        cavity: What the abdominal wall encloses.
        back_muscles: Multifidus, longissimus and iliocostalis, a group a side that fills its compartment.
        front_muscles: Groups of psoas, quadratus lumborum, iliacus and gluteus.
        pelvis: Iliac bones, each in two strokes.
        vessels: Great vessels in front of the disc.
        bowel: Loops.
        fat_lines: Depths in mm under the skin at which a membrane runs through the fat.
        infiltration: Share of the muscles that is fat.
    """

    body: Blob
    cavity: Blob
    back_muscles: tuple[Group, ...]
    front_muscles: tuple[Group, ...]
    pelvis: tuple[tuple[Capsule, Capsule], ...]
    vessels: tuple[Blob, ...]
    bowel: tuple[Blob, ...]
    fat_lines: tuple[float, ...]
    infiltration: float


def sample_torso(subject: Patient, spine: Spine, rng: np.random.Generator) -> Torso:
    """Draw the surroundings of a spine."""
    size = subject.size
    skin = spine.spinous[0].start[1] + 26 * size + subject.fat
    depth = (skin + rng.uniform(105, 140)) / 2
    half_groove = subject.groove / depth / 2
    bumps = (
        Bump(BACK, -2 * half_groove, 9 / depth),
        Bump(BACK - 0.3, half_groove, 0.2),
        Bump(BACK + 0.3, half_groove, 0.2),
    )
    body = Blob((0.0, skin - depth), subject.width, depth, bumps=bumps)
    wall = subject.width - subject.fat - rng.uniform(28, 40)
    cavity = Blob((0.0, -48.0), wall, 75.0, exponent=2.3, harmonics=irregular(rng, 0.02))
    at_pelvis = subject.level == "D5"
    back = _pelvic_back(size, rng) if at_pelvis else _lumbar_back(size, rng)
    front = _pelvic_front(size, rng) if at_pelvis else _lumbar_front(spine, size, rng)
    return Torso(
        body=body,
        cavity=cavity,
        back_muscles=back,
        front_muscles=front,
        pelvis=_pelvis(subject, rng),
        vessels=_vessels(subject, spine, rng),
        bowel=_bowel(rng),
        fat_lines=tuple(subject.fat * rng.uniform(0.3, 0.7) for _ in range(rng.integers(1, 3))),
        infiltration=subject.infiltration,
    )


def _muscle(
    rng: np.random.Generator, side: int, x: float, y: float, a: float, b: float, *, tilt: float = 0.0, boxy: float = 2.3
) -> Blob:
    """A muscle's section: x, y from the midline, semi-axes a, b, all mm; tilt in degrees, outwards down."""
    wide, high = rng.normal(1, 0.06), rng.normal(1, 0.06)
    centre = (side * (x + rng.normal(0, 1.0)), y + rng.normal(0, 1.0))
    turn = side * math.radians(tilt + rng.normal(0, 4))
    return Blob(centre, a * wide, b * high, turn=turn, exponent=boxy, harmonics=irregular(rng, 0.05))


def _lumbar_back(size: float, rng: np.random.Generator) -> tuple[Group, ...]:
    return tuple(
        (
            _muscle(rng, side, 61 * size, 24 * size, 14 * size, 16 * size, tilt=25),
            _muscle(rng, side, 39 * size, 33 * size, 15 * size, 20 * size, tilt=10, boxy=2.6),
            _muscle(rng, side, 17 * size, 37 * size, 14 * size, 18 * size, boxy=2.6),
        )
        for side in (-1, 1)
    )


def _lumbar_front(spine: Spine, size: float, rng: np.random.Generator) -> tuple[Group, ...]:
    groups: list[Group] = []
    for side in (-1, 1):
        psoas = _muscle(rng, side, 0, -13 * size, 18.5 * size, 21 * size, tilt=-25, boxy=2.1)
        lumborum = _muscle(rng, side, 74 * size, 2 * size, 21 * size, 8.5 * size, tilt=14, boxy=2.2)
        groups += [(lumborum,), (psoas.moved(side * (spine.disc.a + rng.uniform(13, 17) * size), 0),)]
    return tuple(groups)


def _pelvic_back(size: float, rng: np.random.Generator) -> tuple[Group, ...]:
    return tuple(
        (
            _muscle(rng, side, 43 * size, 29 * size, 13 * size, 15 * size, tilt=20),
            _muscle(rng, side, 19 * size, 36 * size, 16 * size, 19 * size, boxy=2.4),
        )
        for side in (-1, 1)
    )


def _pelvic_front(size: float, rng: np.random.Generator) -> tuple[Group, ...]:
    """Psoas; iliacus inside the wing of the ilium, the gluteal muscles outside it."""
    groups: list[Group] = []
    for side in (-1, 1):
        psoas = _muscle(rng, side, 49 * size, -24 * size, 15 * size, 19 * size, tilt=-20, boxy=2.1)
        iliacus = _muscle(rng, side, 80 * size, -20 * size, 24 * size, 9 * size, tilt=-48, boxy=2.2)
        medius = _muscle(rng, side, 101 * size, -2 * size, 26 * size, 10 * size, tilt=-52, boxy=2.4)
        maximus = _muscle(rng, side, 80 * size, 26 * size, 19 * size, 8 * size, tilt=-38, boxy=2.2)
        groups += [(psoas, iliacus), (medius, maximus)]
    return tuple(groups)


def _pelvis(subject: Patient, rng: np.random.Generator) -> tuple[tuple[Capsule, Capsule], ...]:
    """Wings of the ilium at L5/S1; at L4/L5 the crest's tips in some; above, none."""
    size = subject.size
    if subject.level == "D3" or (subject.level == "D4" and rng.random() < 0.5):
        return ()
    # The crest's tips lie further out than the wings.
    out = 0.0 if subject.level == "D5" else 30.0
    wings = []
    for side in (-1, 1):
        inner = (side * (rng.uniform(54, 60) + out) * size, (24 - 0.4 * out) * size)
        bend = (side * (80 + out) * size, rng.uniform(-3, 5) * size)
        outer = (side * (105 + out) * size, -38 * size)
        wings.append((Capsule(inner, bend, 6.5 * size, 3.5 * size), Capsule(bend, outer, 3.5 * size, 4.5 * size)))
    return tuple(wings)


def _vessels(subject: Patient, spine: Spine, rng: np.random.Generator) -> tuple[Blob, ...]:
    """Vena cava and aorta; below the bifurcation the two iliac arteries and veins."""
    front = spine.disc.centre[1] - spine.disc.b
    places: tuple[tuple[float, float, float, float], ...]
    if subject.level == "D3":
        places = ((-12.0, 9.0, 11.0, 8.0), (9.0, 9.5, 8.5, 8.5))
    elif subject.level == "D4":
        places = ((-13.0, 8.0, 11.0, 6.5), (-2.0, 13.0, 5.5, 5.0), (14.0, 8.5, 5.5, 5.5))
    else:
        places = ((-20.0, 3.0, 6.0, 5.0), (-27.0, 9.0, 4.5, 4.5), (21.0, 3.0, 6.0, 5.0), (28.0, 9.0, 4.5, 4.5))
    return tuple(
        Blob((x + rng.normal(0, 1.5), front - y), a, b, turn=rng.normal(0, 0.2), harmonics=irregular(rng, 0.05))
        for x, y, a, b in places
    )


def _bowel(rng: np.random.Generator) -> tuple[Blob, ...]:
    """Colon on both sides and small bowel in front."""
    loops = []
    for side in (-1, 1):
        for _ in range(rng.integers(1, 4)):
            centre = (side * rng.uniform(62, 100), rng.uniform(-75, -22))
            loops.append(Blob(centre, rng.uniform(9, 18), rng.uniform(8, 15), harmonics=irregular(rng, 0.12)))
    for _ in range(rng.integers(6, 12)):
        centre = (rng.uniform(-70, 70), rng.uniform(-100, -62))
        loops.append(Blob(centre, rng.uniform(8, 16), rng.uniform(7, 12), harmonics=irregular(rng, 0.12)))
    return tuple(loops)
