"""One slice from its name: seed, patient and level decide every pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lss_lightning.data.composite import to_bytes
from lss_lightning.errors import UserError
from lss_lightning.labels import LUMBAR
from lss_lightning.phantom.canvas import FIELD_OF_VIEW, Canvas
from lss_lightning.phantom.drawing import draw_spine, draw_torso, draw_vertebra
from lss_lightning.phantom.parameters import ParameterRecord
from lss_lightning.phantom.patient import FULL_RANGE, LEVELS, Patient, RandomStream, generator, sample_subject
from lss_lightning.phantom.randomise import random_exam
from lss_lightning.phantom.regions import TissueRegions, class_regions
from lss_lightning.phantom.scanner import acquire, sample_exam, sample_motion
from lss_lightning.phantom.spine import Spine, sample_spine
from lss_lightning.phantom.table import truth_row
from lss_lightning.phantom.tissue import T1_WEIGHTED, T2_WEIGHTED
from lss_lightning.phantom.torso import sample_torso
from lss_lightning.phantom.vertebra import Height, sample_vertebra

MINIMUM_SIZE = 64
"""Fewest pixels a side: at 3.4 mm a pixel the thecal sac is still a few pixels wide."""

_UNREGISTERED = LUMBAR.keys.index("unregistered")


@dataclass(frozen=True)
class RenderedSlice:
    """One axial slice of the phantom, 220 mm wide and high.

    Attributes:
        t1: T1-weighted image, uint8 of shape (H, W).
        t2: T2-weighted image registered to T1, uint8 of shape (H, W); 0 where it has no signal.
        label: Class indices of ``LUMBAR``, uint8 of shape (H, W).
        truth: The slice's row of ``truth.csv``, by column.
    """

    t1: NDArray[np.uint8]
    t2: NDArray[np.uint8]
    label: NDArray[np.uint8]
    truth: ParameterRecord


def render_slice(
    seed: int,
    patient: int,
    level: str,
    image_size: int,
    randomise: float = 0.0,
    severities: tuple[float, float] = FULL_RANGE,
) -> RenderedSlice:
    """Render one slice.

    Args:
        seed: Of the whole set, 0 or more.
        patient: Number of the patient, from 1.
        level: ``D3``, ``D4`` or ``D5``.
        image_size: Pixels a side, at least 64; the pixel is 220 / ``image_size`` mm.
        randomise: Probability that signal and artefacts are drawn far beyond what is realistic; the label stays.
        severities: Least and greatest severity of the stenosis, within 0 to 1.

    Raises:
        UserError: an argument outside its range.
    """
    check_request(seed, image_size)
    if patient < 1:
        raise UserError(f"phantom patient {patient} does not exist: patients are numbered from 1")
    if level not in LEVELS:
        raise UserError(f"phantom level {level!r} does not exist: choose one of {', '.join(LEVELS)}")
    exam_rng, t1_rng, t2_rng = (
        generator(seed, patient, level, stream) for stream in (RandomStream.EXAM, RandomStream.T1, RandomStream.T2)
    )
    subject = sample_subject(seed, patient, level, severities)
    body = draw_body(seed, patient, subject, image_size)
    canvas = body.canvas
    front = subject.shift[1] + body.disc_front
    exam = sample_exam(front, exam_rng)
    motion = sample_motion(generator(seed, patient, level, RandomStream.MOTION))
    covered = motion.covers(image_size)
    strange = generator(seed, patient, level, RandomStream.RANDOMISATION)
    if strange.random() < randomise:
        exam = random_exam(front, FIELD_OF_VIEW / image_size, strange)
    t1 = acquire(canvas, T1_WEIGHTED, subject.hydration, exam, body.skin, t1_rng)
    t2 = acquire(canvas, T2_WEIGHTED, subject.hydration, exam, body.skin, t2_rng)
    label = np.where(covered, canvas.pixel_label(), np.uint8(_UNREGISTERED))
    truth = truth_row(patient, subject, body.spine, body.regions, motion)
    return RenderedSlice(to_bytes(t1, np.ones_like(covered)), to_bytes(t2, covered), label, truth)


@dataclass(frozen=True)
class Body:
    """A subject, drawn.

    Attributes:
        canvas: Tissue and class at every sample point.
        spine: What was drawn.
        regions: Its classes.
        disc_front: Where the disc begins in front, on the body's y axis, mm.
        skin: Where the back's skin lies on that axis, mm.
    """

    canvas: Canvas
    spine: Spine
    regions: TissueRegions
    disc_front: float
    skin: float


def draw_body(seed: int, patient: int, subject: Patient, image_size: int, height: Height = Height.DISC) -> Body:
    """Draw a subject; where the subject lies, ``shift`` and ``turn``, moves the body without changing it.

    Args:
        seed: Of the whole set.
        patient: Number of the patient.
        subject: The patient at a level.
        image_size: Pixels a side.
        height: Through the disc, or through a vertebra beside it.
    """
    anatomy, texture = (
        generator(seed, patient, subject.level, stream) for stream in (RandomStream.ANATOMY, RandomStream.TEXTURE)
    )
    spine = sample_spine(subject, anatomy)
    torso = sample_torso(subject, spine, anatomy)
    canvas = Canvas(image_size, subject.shift, subject.turn)
    draw_torso(canvas, torso, texture)
    regions = class_regions(spine)
    draw_spine(canvas, spine, regions, texture)
    if height is not Height.DISC:
        draw_vertebra(canvas, sample_vertebra(spine, height), texture)
    return Body(canvas, spine, regions, -2 * spine.disc.b, torso.body.centre[1] + torso.body.b)


def check_request(seed: int, image_size: int) -> None:
    """Refuse a seed or a size that no slice can be made of.

    Raises:
        UserError: a negative seed, or an image below 64 pixels.
    """
    if seed < 0:
        raise UserError(f"phantom seed is {seed}: it must be 0 or more")
    if image_size < MINIMUM_SIZE:
        raise UserError(f"phantom image_size is {image_size}: at least {MINIMUM_SIZE} pixels a side are needed")
