"""The virtual scanner: from tissue to an 8-bit image, with what coil, band, motion and noise do to it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lss_lightning.data.phantom.canvas import FIELD_OF_VIEW, Canvas, Mask
from lss_lightning.data.phantom.shapes import Floats
from lss_lightning.data.phantom.texture import Texture
from lss_lightning.data.phantom.tissue import Sequence, signal_table

_COIL_DEPTH = 60.0
_JITTER = 0.10


@dataclass(frozen=True)
class Exam:
    """How a slice was acquired, which T1 and T2 share.

    Attributes:
        band_edge: Row in mm from the image's middle above which a saturation band darkens; far outside if none.
        band_width: Softness of that edge, mm.
        band_floor: Signal left within the band, as a share.
        noise: Rician noise's sigma as a share of fat's signal.
        blur: Sigma of the point spread, pixels.
        bias: Coefficients of the coil's polynomial in the image's coordinates.
    """

    band_edge: float
    band_width: float
    band_floor: float
    noise: float
    blur: float
    bias: tuple[float, ...]


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
    banded = rng.random() < 0.8
    return Exam(
        band_edge=disc_front - rng.uniform(-4, 14) if banded else -2 * FIELD_OF_VIEW,
        band_width=rng.uniform(2.0, 6.0),
        band_floor=rng.uniform(0.01, 0.06),
        noise=rng.uniform(0.02, 0.05),
        blur=rng.uniform(0.3, 0.5),
        # Four terms of at most 0.05 each: ±20 % in the corners.
        bias=tuple(rng.uniform(-0.05, 0.05, 4)),
    )


def sample_motion(rng: np.random.Generator) -> Motion:
    """Draw how the patient moved between T1 and T2: most not at all, the others up to 6 mm and 2°, mostly less."""
    if rng.random() >= 0.19:
        return Motion(0.0, 0.0, 0.0)
    dx, dy = np.clip(rng.laplace(0, 1.4, 2), -6, 6)
    return Motion(float(dx), float(dy), math.radians(float(np.clip(rng.laplace(0, 0.3), -2, 2))))


def acquire(
    canvas: Canvas, sequence: Sequence, hydration: float, exam: Exam, skin: float, rng: np.random.Generator
) -> Floats:
    """Acquire one image.

    Args:
        canvas: The body.
        sequence: T1- or T2-weighted.
        hydration: Of the disc's nucleus, 0-1.
        exam: What both acquisitions share.
        skin: Where the back's skin lies on the body's y axis, mm.
        rng: Source of jitter, texture and noise.

    Returns:
        Magnitude image, float32 (image_size, image_size), fat about 1 to 2.
    """
    table = signal_table(sequence, hydration)
    table *= rng.normal(1, _JITTER / 2, table.shape).clip(1 - _JITTER, 1 + _JITTER).astype(np.float32)
    first, second = table[canvas.tissue], table[canvas.second]
    signal = canvas.pixel_mean(first + canvas.mixture * (second - first))
    across, down = _pixel_middles(canvas.image_size)
    depth = np.maximum(skin - canvas.pixel_middle(canvas.y), 0)
    lumps = Texture(rng, (9.0, 9.0))(across, down) + Texture(rng, (3.5, 3.5))(across, down)
    coil = (1 + np.exp(-depth / _COIL_DEPTH)) * _polynomial(exam.bias, across, down)
    outside = 1 / (1 + np.exp(np.clip((exam.band_edge - down) / exam.band_width, -50, 50)))
    band = exam.band_floor + (1 - exam.band_floor) * outside
    clean = _blur(signal * (1 + 0.03 * lumps) * coil * band, exam.blur)
    real, imaginary = rng.standard_normal((2, *clean.shape), dtype=np.float32) * np.float32(exam.noise)
    return np.hypot(clean + real, imaginary)


def _pixel_middles(image_size: int) -> tuple[Floats, Floats]:
    """Middles of the pixels in mm from the image's middle: a row and a column that broadcast to (H, W)."""
    axis = ((np.arange(image_size) + 0.5) / image_size - 0.5).astype(np.float32) * np.float32(FIELD_OF_VIEW)
    return axis[None, :], axis[:, None]


def _polynomial(coefficients: tuple[float, ...], across: Floats, down: Floats) -> Floats:
    """A smooth second-order field about 1, from the image's middle outwards."""
    u, v = across / np.float32(FIELD_OF_VIEW / 2), down / np.float32(FIELD_OF_VIEW / 2)
    tilt_x, tilt_y, bow_x, twist = coefficients
    return (1 + tilt_x * u + tilt_y * v + bow_x * u * u + twist * u * v).astype(np.float32)


def _blur(image: Floats, sigma: float) -> Floats:
    """Gaussian blur over the two neighbours on each side; edges are repeated."""
    weights = np.exp(-0.5 * (np.arange(-2, 3) / sigma) ** 2).astype(np.float32)
    weights /= weights.sum()
    n = len(image)
    padded = np.pad(image, 2, mode="edge")
    rows = sum(weight * padded[k : k + n] for k, weight in enumerate(weights))
    return sum(weight * rows[:, k : k + n] for k, weight in enumerate(weights))
