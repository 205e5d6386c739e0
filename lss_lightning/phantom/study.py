"""One patient's examination: stacks of axial slices in the scanner's room, T2 acquired after the patient moved."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from lss_lightning.phantom.parameters import ParameterRecord
from lss_lightning.phantom.patient import LEVELS, Patient, RandomStream, StenosisSite, generator, sample_subject
from lss_lightning.phantom.render import Body, draw_body
from lss_lightning.phantom.scanner import Motion, acquire, sample_exam
from lss_lightning.phantom.shapes import Floats
from lss_lightning.phantom.table import truth_row
from lss_lightning.phantom.tissue import T1_WEIGHTED, T2_WEIGHTED
from lss_lightning.phantom.vertebra import Height

Vector: TypeAlias = NDArray[np.float64]

SLICE_SPACING = 4.4
"""Distance between neighbouring slices of a group, mm (the data set's page)."""

# A group of slices through each disc, parallel to it: height of the disc in the room, mm, and how far its rear edge
# is tipped towards the head, degrees. Assumed: discs about 36 mm apart, with the lordosis of a lying adult.
_HEIGHT = dict(zip(LEVELS, (36.0, 0.0, -35.0), strict=True))
_TIP = dict(zip(LEVELS, (-4.0, 5.0, 20.0), strict=True))
# What the slices of a group cut, from head to feet; the last is missing in some.
_HEIGHTS = (Height.FORAMEN, Height.DISC, Height.PEDICLE, Height.VEIN, Height.VEIN)
_IN_DISC = _HEIGHTS.index(Height.DISC)
_UNITS_PER_FAT = 420.0
_MOST_MM, _MOST_DEGREES = 6.0, 2.0


@dataclass(frozen=True)
class StudySlice:
    """What is true of one slice of the stack.

    Attributes:
        patient: Number of the patient.
        number: 1-based place in both axial series.
        level: The disc it lies in or next to.
        content: ``disc`` or ``vertebra``.
        severity: Of the stenosis drawn, 0-1; 0 beside the disc.
        dx: Where T2's field of view lies in T1's image after what both headers say is accounted for, mm to the right.
        dy: The same, mm down.
        turn: The same, rotation about T1's middle, degrees; the right edge turned down is positive.
        spine_x: Where the spine lies in T1's image, mm from its middle to the right.
        spine_y: The same, mm down.
        truth: Its row of ``truth.csv``, by column; without measures in a vertebra.
    """

    patient: int
    number: int
    level: str
    content: str
    severity: float
    dx: float
    dy: float
    turn: float
    spine_x: float
    spine_y: float
    truth: ParameterRecord


@dataclass(frozen=True)
class StudyImage:
    """An image and where it lies in the patient's coordinates (x to the left, y to the back, z to the head).

    Attributes:
        pixels: (H, W), uint16.
        centre: Middle of the image, mm.
        across: Unit vector along a row, from left to right.
        down: Unit vector along a column, from top to bottom.
        spacing: Pixel's height and width, mm.
    """

    pixels: NDArray[np.uint16]
    centre: Vector
    across: Vector
    down: Vector
    spacing: tuple[float, float]

    @property
    def corner(self) -> Vector:
        """Middle of the first pixel, mm."""
        rows, columns = self.pixels.shape
        right, low = (columns - 1) / 2 * self.spacing[1], (rows - 1) / 2 * self.spacing[0]
        return self.centre - right * self.across - low * self.down


@dataclass(frozen=True)
class PhantomStudy:
    """An examination: the truth about its slices, and the images, in the order of the slices."""

    slices: list[StudySlice]
    t1: list[StudyImage]
    t2: list[StudyImage]


def render_study(seed: int, patient: int, t1_size: int, t2_size: int) -> PhantomStudy:
    """Render a patient's axial stacks: 12 to 15 slices in three groups, from head to feet.

    T2 lies up to 6 mm and 2° off T1 at each level, which no header tells, and its field of view is centred up to 4 mm
    elsewhere, which the header does tell.

    Args:
        seed: Of the whole set, 0 or more.
        patient: Number of the patient, from 1.
        t1_size: Pixels a side of T1; the field of view is 220 mm.
        t2_size: Pixels a side of T2; likewise.
    """
    rng = generator(seed, patient, None, RandomStream.STUDY)
    counts = rng.integers(4, 6, len(LEVELS))
    offset = rng.uniform(-4, 4, 2)
    study = PhantomStudy([], [], [])
    for level, count in zip(LEVELS, counts, strict=True):
        _render_group(study, seed, patient, level, int(count), offset, (t1_size, t2_size))
    return study


def _render_group(
    study: PhantomStudy, seed: int, patient: int, level: str, count: int, offset: Vector, sizes: tuple[int, int]
) -> None:
    rng = generator(seed, patient, level, RandomStream.STUDY)
    dx, dy = (float(shift) for shift in rng.uniform(-_MOST_MM, _MOST_MM, 2))
    motion = Motion(dx, dy, math.radians(rng.uniform(-_MOST_DEGREES, _MOST_DEGREES)))
    tip = math.radians(_TIP[level])
    across, down = np.array((1.0, 0.0, 0.0)), np.array((0.0, math.cos(tip), math.sin(tip)))
    disc = sample_subject(seed, patient, level)
    # Beside the disc nothing bulges and no joint is worn.
    vertebra = replace(disc, severity=0.0, site=StenosisSite.NONE)
    drawn = {}
    for height in dict.fromkeys(_HEIGHTS[:count]):
        subject = disc if height is Height.DISC else vertebra
        lying = _as_t2_sees(subject, motion, offset)
        bodies = [
            draw_body(seed, patient, who, size, height) for who, size in zip((subject, lying), sizes, strict=True)
        ]
        drawn[height] = subject, bodies
    for k, height in enumerate(_HEIGHTS[:count]):
        subject, bodies = drawn[height]
        number = len(study.slices) + 1
        study.slices.append(_described(patient, number, height, subject, bodies[0], motion))
        centre = np.array((0.0, 0.0, _HEIGHT[level])) + (k - _IN_DISC) * SLICE_SPACING * np.cross(down, across)
        t1, t2 = _acquire_pair(seed, patient, number, subject, bodies)
        study.t1.append(StudyImage(t1, centre, across, down, (220 / len(t1),) * 2))
        centre = centre + offset[0] * across + offset[1] * down
        study.t2.append(StudyImage(t2, centre, across, down, (220 / len(t2),) * 2))


def _described(patient: int, number: int, height: Height, subject: Patient, body: Body, motion: Motion) -> StudySlice:
    content = "disc" if height is Height.DISC else "vertebra"
    place: ParameterRecord = {"number": number, "content": content}
    row = truth_row(patient, subject, body.spine, body.regions if content == "disc" else None, motion)
    offset = motion.dx, motion.dy, math.degrees(motion.turn)
    return StudySlice(
        patient, number, subject.level, content, subject.severity, *offset, *subject.shift, truth=place | row
    )


def _as_t2_sees(subject: Patient, motion: Motion, offset: Vector) -> Patient:
    """The subject in the frame of a T2 image whose field of view is moved, and centred elsewhere."""
    cos, sin = math.cos(motion.turn), math.sin(motion.turn)
    x, y = subject.shift[0] - motion.dx, subject.shift[1] - motion.dy
    shift = cos * x + sin * y - float(offset[0]), cos * y - sin * x - float(offset[1])
    return replace(subject, shift=shift, turn=subject.turn - motion.turn)


def _acquire_pair(
    seed: int, patient: int, number: int, subject: Patient, bodies: list[Body]
) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    exam = sample_exam(
        subject.shift[1] + bodies[0].disc_front, generator(seed, patient, subject.level, RandomStream.EXAM)
    )
    streams = [np.random.default_rng([seed, patient, number, RandomStream.STUDY, stream]) for stream in (1, 2)]
    t1, t2 = (
        acquire(body.canvas, sequence, subject.hydration, exam, body.skin, stream)
        for body, sequence, stream in zip(bodies, (T1_WEIGHTED, T2_WEIGHTED), streams, strict=True)
    )
    return _to_counts(t1), _to_counts(t2)


def _to_counts(image: Floats) -> NDArray[np.uint16]:
    """Magnitude as a scanner stores it, 12 bits."""
    return np.clip(np.rint(image * _UNITS_PER_FAT), 0, 4095).astype(np.uint16)


def sagittal(study: PhantomStudy, x: float, size: int) -> StudyImage:
    """A sagittal T2 image, 260 mm a side: every point is taken from the nearest axial slice, so it looks stepped.

    Args:
        study: The examination.
        x: Where, mm to the patient's left.
        size: Pixels a side.
    """
    across, down = np.array((0.0, 1.0, 0.0)), np.array((0.0, 0.0, -1.0))
    axis = ((np.arange(size) + 0.5) / size - 0.5) * 260
    points = np.array((x, 0.0, 0.0)) + axis[None, :, None] * across + axis[:, None, None] * down
    nearest = np.full((size, size), np.inf)
    pixels = np.zeros((size, size), dtype=np.uint16)
    for picture in study.t2:
        relative = points - picture.corner
        off = np.abs(relative @ np.cross(picture.across, picture.down))
        row = np.rint(relative @ picture.down / picture.spacing[0]).astype(int)
        column = np.rint(relative @ picture.across / picture.spacing[1]).astype(int)
        rows, columns = picture.pixels.shape
        seen = (off < nearest) & (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
        pixels[seen] = picture.pixels[row[seen], column[seen]]
        nearest[seen] = off[seen]
    return StudyImage(pixels, np.array((x, 0.0, 0.0)), across, down, (260 / size, 260 / size))
