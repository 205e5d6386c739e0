"""The examination of one patient: stacks of axial slices in scanner coordinates, with motion between T1 and T2."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lss_lightning.data.alkafri_layout import ALKAFRI_LEVELS
from lss_lightning.data.dicom.geometry import Vector
from lss_lightning.phantom.patient import Patient, RandomStream, StenosisSite, make_generator, sample_patient
from lss_lightning.phantom.render import DrawnBody, draw_body
from lss_lightning.phantom.scanner import Motion, acquire, sample_acquisition
from lss_lightning.phantom.shapes import FloatArray
from lss_lightning.phantom.table import build_truth_row
from lss_lightning.phantom.tissue import T1_WEIGHTED, T2_WEIGHTED
from lss_lightning.phantom.truth_parameters import ParameterRecord
from lss_lightning.phantom.vertebra import SliceHeight

SLICE_SPACING = 4.4
"""Distance between neighbouring slices of a group, mm (from the web page of the data set)."""

# Each disc has a group of parallel slices. Height of the disc in scanner coordinates, mm, and tilt of its posterior
# edge towards the head, degrees. Discs are assumed to be about 36 mm apart, with the lordosis of a supine adult.
_DISC_HEIGHT = dict(zip(ALKAFRI_LEVELS, (36.0, 0.0, -35.0), strict=True))
_TILT = dict(zip(ALKAFRI_LEVELS, (-4.0, 5.0, 20.0), strict=True))
# Heights of the slices of a group, from head to feet. Some groups lack the last one.
_HEIGHTS = (SliceHeight.FORAMEN, SliceHeight.DISC, SliceHeight.PEDICLE, SliceHeight.VEIN, SliceHeight.VEIN)
_DISC_INDEX = _HEIGHTS.index(SliceHeight.DISC)
# Stored value that represents the signal of fat.
_COUNTS_PER_FAT_SIGNAL = 420.0
_MAX_SHIFT_MM, _MAX_ROTATION_DEG = 6.0, 2.0


@dataclass(frozen=True)
class StudySlice:
    """The ground truth of one slice of the axial stacks.

    Attributes:
        patient_id: Number of the patient.
        number: Position in both axial series, from 1.
        level: Level of the disc that the slice passes through or is next to.
        content: ``disc`` or ``vertebra``.
        severity: Severity of the stenosis, 0 to 1. It is 0 for slices through a vertebra.
        dx: Shift of T2 relative to T1 that is not recorded in the headers, mm to the right.
        dy: The same shift, mm downwards.
        rotation: Rotation of T2 about the centre of T1 that is not recorded in the headers, degrees. It is positive if
            the right edge moves down.
        spine_x: Position of the spine in T1 relative to the image centre, mm to the right.
        spine_y: Position of the spine in T1 relative to the image centre, mm downwards.
        truth: The slice's row of ``truth.csv`` as a dictionary by column. A vertebra has no measurements.
    """

    patient_id: int
    number: int
    level: str
    content: str
    severity: float
    dx: float
    dy: float
    rotation: float
    spine_x: float
    spine_y: float
    truth: ParameterRecord


@dataclass(frozen=True)
class StudyImage:
    """An image and its position in patient coordinates (x to the left, y to the back, z to the head).

    Attributes:
        pixels: uint16 array of shape (H, W).
        centre: Centre of the image, mm.
        across: Unit vector along a row, from left to right.
        down: Unit vector along a column, from top to bottom.
        spacing: Pixel height and width, mm.
    """

    pixels: NDArray[np.uint16]
    centre: Vector
    across: Vector
    down: Vector
    spacing: tuple[float, float]

    @property
    def corner(self) -> Vector:
        """Centre of the first pixel, mm."""
        rows, columns = self.pixels.shape
        right, low = (columns - 1) / 2 * self.spacing[1], (rows - 1) / 2 * self.spacing[0]
        return self.centre - right * self.across - low * self.down


@dataclass(frozen=True)
class PhantomStudy:
    """The examination of one patient.

    Attributes:
        slices: The ground truth of each slice.
        t1: The T1 images, in the order of the slices.
        t2: The T2 images, in the order of the slices.
    """

    slices: list[StudySlice]
    t1: list[StudyImage]
    t2: list[StudyImage]


def render_study(seed: int, patient_id: int, t1_size: int, t2_size: int) -> PhantomStudy:
    """Render a patient's axial stacks: 12 to 15 slices in three groups, from head to feet.

    At each level, T2 is displaced relative to T1 by up to 6 mm in each direction and 2°, which the headers do not
    record. In addition, the fields of view differ by up to 4 mm in each direction, which the headers record.

    Args:
        seed: Seed of the data set, 0 or more.
        patient_id: Number of the patient, from 1.
        t1_size: Width and height of the T1 images in pixels. The field of view is 220 mm.
        t2_size: Width and height of the T2 images in pixels. The field of view is 220 mm.
    """
    rng = make_generator(seed, patient_id, None, RandomStream.STUDY)
    counts = rng.integers(4, 6, len(ALKAFRI_LEVELS))
    offset = rng.uniform(-4, 4, 2)
    study = PhantomStudy([], [], [])
    for level, count in zip(ALKAFRI_LEVELS, counts, strict=True):
        _render_group(study, seed, patient_id, level, int(count), offset, (t1_size, t2_size))
    return study


def _render_group(
    study: PhantomStudy, seed: int, patient_id: int, level: str, count: int, offset: Vector, sizes: tuple[int, int]
) -> None:
    rng = make_generator(seed, patient_id, level, RandomStream.STUDY)
    dx, dy = (float(shift) for shift in rng.uniform(-_MAX_SHIFT_MM, _MAX_SHIFT_MM, 2))
    motion = Motion(dx, dy, math.radians(rng.uniform(-_MAX_ROTATION_DEG, _MAX_ROTATION_DEG)))
    tilt = math.radians(_TILT[level])
    across, down = np.array((1.0, 0.0, 0.0)), np.array((0.0, math.cos(tilt), math.sin(tilt)))
    disc_patient = sample_patient(seed, patient_id, level)
    # Slices next to the disc show no bulge and no degenerate joint.
    vertebra_patient = replace(disc_patient, severity=0.0, site=StenosisSite.NONE)
    drawn = {}
    for height in dict.fromkeys(_HEIGHTS[:count]):
        t1_patient = disc_patient if height is SliceHeight.DISC else vertebra_patient
        t2_patient = _to_t2_frame(t1_patient, motion, offset)
        bodies = [
            draw_body(seed, patient_id, patient, size, height)
            for patient, size in zip((t1_patient, t2_patient), sizes, strict=True)
        ]
        drawn[height] = t1_patient, bodies
    for k, height in enumerate(_HEIGHTS[:count]):
        patient, bodies = drawn[height]
        number = len(study.slices) + 1
        study.slices.append(_describe_slice(patient_id, number, height, patient, bodies[0], motion))
        centre = np.array((0.0, 0.0, _DISC_HEIGHT[level])) + (k - _DISC_INDEX) * SLICE_SPACING * np.cross(down, across)
        t1, t2 = _acquire_pair(seed, patient_id, number, patient, bodies)
        study.t1.append(StudyImage(t1, centre, across, down, (220 / len(t1),) * 2))
        centre = centre + offset[0] * across + offset[1] * down
        study.t2.append(StudyImage(t2, centre, across, down, (220 / len(t2),) * 2))


def _describe_slice(
    patient_id: int, number: int, height: SliceHeight, patient: Patient, body: DrawnBody, motion: Motion
) -> StudySlice:
    content = "disc" if height is SliceHeight.DISC else "vertebra"
    head: ParameterRecord = {"number": number, "content": content}
    row = build_truth_row(patient_id, patient, body.spine, body.regions if content == "disc" else None, motion)
    displacement = motion.dx, motion.dy, math.degrees(motion.rotation)
    return StudySlice(
        patient_id, number, patient.level, content, patient.severity, *displacement, *patient.shift, truth=head | row
    )


def _to_t2_frame(patient: Patient, motion: Motion, offset: Vector) -> Patient:
    """Return the patient in the frame of a T2 image, given the patient's motion and the offset of its field of view."""
    cos, sin = math.cos(motion.rotation), math.sin(motion.rotation)
    x, y = patient.shift[0] - motion.dx, patient.shift[1] - motion.dy
    shift = cos * x + sin * y - float(offset[0]), cos * y - sin * x - float(offset[1])
    return replace(patient, shift=shift, rotation=patient.rotation - motion.rotation)


def _acquire_pair(
    seed: int, patient_id: int, number: int, patient: Patient, bodies: list[DrawnBody]
) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    acquisition_rng = make_generator(seed, patient_id, patient.level, RandomStream.ACQUISITION)
    acquisition = sample_acquisition(patient.shift[1] + bodies[0].disc_front, acquisition_rng)
    generators = [np.random.default_rng([seed, patient_id, number, RandomStream.STUDY, k]) for k in (1, 2)]
    t1, t2 = (
        acquire(body.canvas, sequence, patient.hydration, acquisition, body.skin, rng)
        for body, sequence, rng in zip(bodies, (T1_WEIGHTED, T2_WEIGHTED), generators, strict=True)
    )
    return _to_counts(t1), _to_counts(t2)


def _to_counts(image: FloatArray) -> NDArray[np.uint16]:
    """Convert a magnitude image to the 12-bit integers that a scanner stores."""
    return np.clip(np.rint(image * _COUNTS_PER_FAT_SIGNAL), 0, 4095).astype(np.uint16)


def cut_sagittal(study: PhantomStudy, x: float, size: int) -> StudyImage:
    """Return a sagittal T2 image, 260 mm wide and 260 mm high.

    Each pixel has the value of the nearest axial slice at its position, so the image shows steps.

    Args:
        study: The examination.
        x: Position of the image, mm to the patient's left.
        size: Width and height in pixels.
    """
    across, down = np.array((0.0, 1.0, 0.0)), np.array((0.0, 0.0, -1.0))
    axis = ((np.arange(size) + 0.5) / size - 0.5) * 260
    points = np.array((x, 0.0, 0.0)) + axis[None, :, None] * across + axis[:, None, None] * down
    nearest = np.full((size, size), np.inf)
    pixels = np.zeros((size, size), dtype=np.uint16)
    for image in study.t2:
        relative = points - image.corner
        distance = np.abs(relative @ np.cross(image.across, image.down))
        row = np.rint(relative @ image.down / image.spacing[0]).astype(int)
        column = np.rint(relative @ image.across / image.spacing[1]).astype(int)
        rows, columns = image.pixels.shape
        closer = (distance < nearest) & (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
        pixels[closer] = image.pixels[row[closer], column[closer]]
        nearest[closer] = distance[closer]
    return StudyImage(pixels, np.array((x, 0.0, 0.0)), across, down, (260 / size, 260 / size))
