"""Rendering of individual slices. Seed, patient and level determine every pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lss_lightning.data.alkafri_layout import ALKAFRI_LEVELS, FIELD_OF_VIEW
from lss_lightning.data.composite import stretch_to_uint8
from lss_lightning.errors import UserError
from lss_lightning.labels import LUMBAR
from lss_lightning.phantom.canvas import Canvas
from lss_lightning.phantom.drawing import draw_spine, draw_torso, draw_vertebra
from lss_lightning.phantom.patient import FULL_SEVERITY_RANGE, Patient, RandomStream, make_generator, sample_patient
from lss_lightning.phantom.randomise import sample_randomised_acquisition
from lss_lightning.phantom.regions import TissueRegions, build_regions
from lss_lightning.phantom.scanner import acquire, sample_acquisition, sample_motion
from lss_lightning.phantom.spine import Spine, sample_spine
from lss_lightning.phantom.table import build_truth_row
from lss_lightning.phantom.tissue import T1_WEIGHTED, T2_WEIGHTED
from lss_lightning.phantom.torso import sample_torso
from lss_lightning.phantom.truth_parameters import ParameterRecord
from lss_lightning.phantom.vertebra import SliceHeight, build_vertebra

MIN_IMAGE_SIZE = 64
"""Smallest width and height of an image in pixels. At 3.4 mm per pixel the thecal sac is a few pixels wide."""

_UNREGISTERED = LUMBAR.keys.index("unregistered")


@dataclass(frozen=True)
class RenderedSlice:
    """One axial slice of the phantom, 220 mm wide and high.

    Attributes:
        t1: T1-weighted image, uint8 of shape (H, W).
        t2: T2-weighted image registered to T1, uint8 of shape (H, W); 0 outside the field of view of T2.
        label: Class indices of ``LUMBAR``, uint8 of shape (H, W).
        truth: The slice's row of ``truth.csv`` as a dictionary by column.
    """

    t1: NDArray[np.uint8]
    t2: NDArray[np.uint8]
    label: NDArray[np.uint8]
    truth: ParameterRecord


def render_slice(
    seed: int,
    patient_id: int,
    level: str,
    image_size: int,
    randomise: float = 0.0,
    severities: tuple[float, float] = FULL_SEVERITY_RANGE,
) -> RenderedSlice:
    """Render one slice.

    Args:
        seed: Seed of the data set, 0 or more.
        patient_id: Number of the patient, from 1.
        level: ``D3``, ``D4`` or ``D5``.
        image_size: Width and height in pixels, at least 64. The pixel spacing is 220 / ``image_size`` mm.
        randomise: Probability that signal and artefacts are randomised far beyond realistic values. The label is not
            affected.
        severities: Lowest and highest severity of the stenosis, each from 0 to 1.

    Raises:
        UserError: If an argument is out of range.
    """
    check_request(seed, image_size)
    if patient_id < 1:
        raise UserError(f"phantom patient {patient_id} does not exist: patients are numbered from 1")
    if level not in ALKAFRI_LEVELS:
        raise UserError(f"phantom level {level!r} does not exist: choose one of {', '.join(ALKAFRI_LEVELS)}")
    streams = (RandomStream.ACQUISITION, RandomStream.T1, RandomStream.T2)
    acquisition_rng, t1_rng, t2_rng = (make_generator(seed, patient_id, level, stream) for stream in streams)
    patient = sample_patient(seed, patient_id, level, severities)
    body = draw_body(seed, patient_id, patient, image_size)
    canvas = body.canvas
    disc_front = patient.shift[1] + body.disc_front
    acquisition = sample_acquisition(disc_front, acquisition_rng)
    motion = sample_motion(make_generator(seed, patient_id, level, RandomStream.MOTION))
    covered = motion.covers(image_size)
    randomisation_rng = make_generator(seed, patient_id, level, RandomStream.RANDOMISATION)
    if randomisation_rng.random() < randomise:
        acquisition = sample_randomised_acquisition(disc_front, FIELD_OF_VIEW / image_size, randomisation_rng)
    t1 = acquire(canvas, T1_WEIGHTED, patient.hydration, acquisition, body.skin, t1_rng)
    t2 = acquire(canvas, T2_WEIGHTED, patient.hydration, acquisition, body.skin, t2_rng)
    label = np.where(covered, canvas.pixel_labels(), np.uint8(_UNREGISTERED))
    truth = build_truth_row(patient_id, patient, body.spine, body.regions, motion)
    return RenderedSlice(stretch_to_uint8(t1, np.ones_like(covered)), stretch_to_uint8(t2, covered), label, truth)


@dataclass(frozen=True)
class DrawnBody:
    """A patient's body, drawn on a canvas.

    Attributes:
        canvas: Tissue and class at every sample point.
        spine: The shapes of the spine.
        regions: The regions of the anatomical classes.
        disc_front: Position of the disc's anterior margin on the body's y axis, mm.
        skin: Position of the skin of the back on the body's y axis, mm.
    """

    canvas: Canvas
    spine: Spine
    regions: TissueRegions
    disc_front: float
    skin: float


def draw_body(
    seed: int, patient_id: int, patient: Patient, image_size: int, height: SliceHeight = SliceHeight.DISC
) -> DrawnBody:
    """Draw a patient's body. The patient's ``shift`` and ``rotation`` move the body without changing it.

    Args:
        seed: Seed of the data set.
        patient_id: Number of the patient.
        patient: The patient at a level.
        image_size: Width and height in pixels.
        height: Height of the slice, through the disc or through a neighbouring vertebra.
    """
    streams = (RandomStream.ANATOMY, RandomStream.TEXTURE)
    anatomy_rng, texture_rng = (make_generator(seed, patient_id, patient.level, stream) for stream in streams)
    spine = sample_spine(patient, anatomy_rng)
    torso = sample_torso(patient, spine, anatomy_rng)
    canvas = Canvas(image_size, patient.shift, patient.rotation)
    draw_torso(canvas, torso, texture_rng)
    regions = build_regions(spine)
    draw_spine(canvas, spine, regions, texture_rng)
    if height is not SliceHeight.DISC:
        draw_vertebra(canvas, build_vertebra(spine, height), texture_rng)
    return DrawnBody(canvas, spine, regions, -2 * spine.disc.b, torso.body.centre[1] + torso.body.b)


def check_request(seed: int, image_size: int) -> None:
    """Check a seed and an image size.

    Raises:
        UserError: If the seed is negative, or the image is smaller than 64 pixels.
    """
    if seed < 0:
        raise UserError(f"phantom seed is {seed}: it must be 0 or more")
    if image_size < MIN_IMAGE_SIZE:
        raise UserError(f"phantom image_size is {image_size}: it must be at least {MIN_IMAGE_SIZE} pixels")
