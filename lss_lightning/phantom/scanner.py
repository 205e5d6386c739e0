"""The virtual scanner: from tissue to an image, with what coil, saturation band, slice and readout do to it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lss_lightning.phantom.canvas import FIELD_OF_VIEW, Canvas, Complex, Mask
from lss_lightning.phantom.encoding import Encoding, encode, through_plane
from lss_lightning.phantom.shapes import Floats
from lss_lightning.phantom.texture import Texture
from lss_lightning.phantom.tissue import FAT_SHARE, T2_WEIGHTED, PulseSequence, Tissue, signal_table

_JITTER = 0.10


@dataclass(frozen=True)
class Coil:
    """The surface coil's sensitivity: 1 + gain · e^(−d / depth) at d mm under the back's skin, times a polynomial.

    Attributes:
        gain: What the skin has more than the depth.
        depth: Over which that falls to 1/e, mm.
        bias: Coefficients of a smooth second-order field about 1 in the image's coordinates.
    """

    gain: float
    depth: float
    bias: tuple[float, ...]


@dataclass(frozen=True)
class Band:
    """The saturation band that darkens the front.

    Attributes:
        edge: Row in mm from the image's middle above which it darkens; far outside if there is none.
        width: Softness of that edge, mm.
        floor: Signal left within the band, as a share.
    """

    edge: float
    width: float
    floor: float


@dataclass(frozen=True)
class Exam:
    """How a slice was acquired, which T1 and T2 share.

    Attributes:
        coil: The receiving coil.
        band: The saturation band.
        encoding: How the slice is read out.
        slopes: How far structures move down and across per mm of height, in the body's frame.
        steepness: Factor to those slopes.
        pulsation: Share of its signal that the sac's fluid loses by moving, until T2's echo; until T1's far less.
        mottle: Of the signal within a tissue: its standard deviation is 0.7 times this share.
        estrangement: 0 leaves the tissues' signals as they are, 1 replaces them by random ones.
        gamma: Power that the magnitude is raised to.
    """

    coil: Coil
    band: Band
    encoding: Encoding
    slopes: tuple[Texture, Texture]
    steepness: float = 0.3
    pulsation: float = 0.0
    mottle: float = 0.04
    estrangement: float = 0.0
    gamma: float = 1.0


@dataclass(frozen=True)
class Motion:
    """Where T2 lay against T1 before it was registered: shift in mm, rotation in radians."""

    dx: float
    dy: float
    turn: float

    def covers(self, image_size: int) -> Mask:
        """Which pixels of the T1 grid T2 has signal for: those whose middle lies in its field of view, bool (H, W)."""
        across, down = _pixel_middles(image_size)
        cos, sin = np.float32(math.cos(self.turn)), np.float32(math.sin(self.turn))
        x, y = across - np.float32(self.dx), down - np.float32(self.dy)
        half = FIELD_OF_VIEW / 2
        return (np.abs(cos * x + sin * y) <= half) & (np.abs(cos * y - sin * x) <= half)


def sample_exam(disc_front: float, rng: np.random.Generator) -> Exam:
    """Draw the acquisition; ``disc_front`` is the row of the disc's front in mm from the image's middle."""
    banded = rng.random() < 0.85
    return Exam(
        # Four terms of at most 0.05 each: ±20 % in the corners.
        coil=Coil(gain=rng.uniform(1.0, 3.0), depth=rng.uniform(45, 75), bias=tuple(rng.uniform(-0.05, 0.05, 4))),
        band=Band(
            edge=disc_front - rng.uniform(-4, 25) if banded else -2 * FIELD_OF_VIEW,
            width=rng.uniform(1.5, 6.0),
            floor=rng.uniform(0.01, 0.06),
        ),
        encoding=Encoding(
            readout=int(rng.integers(2)),
            chemical_shift=float(rng.choice((-1, 1)) * rng.uniform(0.4, 1.0)),
            moved_lines=rng.uniform(0.05, 0.15),
            jerk=(rng.normal(0, 0.5), rng.normal(0, 0.5)),
            blur=rng.uniform(0.3, 0.5),
            noise=rng.uniform(0.02, 0.05),
        ),
        slopes=(Texture(rng, (28.0, 28.0)), Texture(rng, (28.0, 28.0))),
        pulsation=rng.uniform(0, 0.4),
    )


def sample_motion(rng: np.random.Generator) -> Motion:
    """Draw how the patient moved between T1 and T2: most not at all, the others up to 6 mm and 2°, mostly less."""
    if rng.random() >= 0.19:
        return Motion(0.0, 0.0, 0.0)
    dx, dy = np.clip(rng.laplace(0, 1.4, 2), -6, 6)
    return Motion(float(dx), float(dy), math.radians(float(np.clip(rng.laplace(0, 0.3), -2, 2))))


def acquire(
    canvas: Canvas, sequence: PulseSequence, hydration: float, exam: Exam, skin: float, rng: np.random.Generator
) -> Floats:
    """Acquire one image.

    Args:
        canvas: The body.
        sequence: T1- or T2-weighted.
        hydration: Of the disc's nucleus, 0-1.
        exam: What both acquisitions share.
        skin: Where the back's skin lies on the body's y axis, mm.
        rng: Source of jitter, texture, motion and noise.

    Returns:
        Magnitude image, float32 (image_size, image_size), fat about 1 to 3.
    """
    table = signal_table(sequence, hydration)
    table *= rng.normal(1, _JITTER / 2, table.shape).clip(1 - _JITTER, 1 + _JITTER).astype(np.float32)
    table[Tissue.CSF] *= (1 - exam.pulsation) ** (sequence.echo / T2_WEIGHTED.echo)
    table += np.float32(exam.estrangement) * (rng.uniform(0, 1.2, table.shape).astype(np.float32) - table)
    # Water's signal is the real part, fat's the imaginary one: what follows treats them alike and goes once over both.
    protons: Complex = (table * (1 + (1j - 1) * FAT_SHARE)).astype(np.complex64)
    first, second = protons[canvas.tissue], protons[canvas.second]
    signal = canvas.pixel_mean(first + canvas.mixture * (second - first))

    spacing = FIELD_OF_VIEW / canvas.image_size
    x, y = canvas.pixel_middle(canvas.x), canvas.pixel_middle(canvas.y)
    slopes = [np.float32(exam.steepness) * texture(x, y) for texture in exam.slopes]
    signal = through_plane(signal, (slopes[0], slopes[1]), spacing)

    across, down = _pixel_middles(canvas.image_size)
    signal *= 1 + np.float32(exam.mottle) * Texture(rng, (5.0, 5.0))(across, down)
    signal *= _sensitivity(exam.coil, np.maximum(skin - y, 0), across, down) * _passed(exam.band, down)
    return encode(signal.real, signal.imag, exam.encoding, spacing, rng) ** np.float32(exam.gamma)


def _pixel_middles(image_size: int) -> tuple[Floats, Floats]:
    """Middles of the pixels in mm from the image's middle: a row and a column that broadcast to (H, W)."""
    axis = ((np.arange(image_size) + 0.5) / image_size - 0.5).astype(np.float32) * np.float32(FIELD_OF_VIEW)
    return axis[None, :], axis[:, None]


def _sensitivity(coil: Coil, under_skin: Floats, across: Floats, down: Floats) -> Floats:
    u, v = across / np.float32(FIELD_OF_VIEW / 2), down / np.float32(FIELD_OF_VIEW / 2)
    tilt_x, tilt_y, bow_x, twist = map(np.float32, coil.bias)
    polynomial = 1 + tilt_x * u + tilt_y * v + bow_x * u * u + twist * u * v
    return (1 + np.float32(coil.gain) * np.exp(-under_skin / np.float32(coil.depth))) * polynomial


def _passed(band: Band, down: Floats) -> Floats:
    """Share of the signal that the saturation band leaves."""
    outside = 1 / (1 + np.exp(np.clip((band.edge - down) / band.width, -50, 50)))
    return (band.floor + (1 - band.floor) * outside).astype(np.float32)
