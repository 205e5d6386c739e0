"""The virtual scanner: simulation of coil, saturation band, slice thickness and readout."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lss_lightning.data.alkafri_layout import FIELD_OF_VIEW
from lss_lightning.phantom.canvas import BoolArray, Canvas, ComplexArray
from lss_lightning.phantom.encoding import Encoding, average_through_plane, encode
from lss_lightning.phantom.shapes import FloatArray
from lss_lightning.phantom.texture import Texture
from lss_lightning.phantom.tissue import FAT_SHARE, T2_WEIGHTED, PulseSequence, Tissue, build_signal_table

# Largest relative deviation of a tissue's signal.
_JITTER = 0.10


@dataclass(frozen=True)
class Coil:
    """The sensitivity of a surface coil: 1 + gain · e^(−d / depth) at d mm below the skin, times a polynomial.

    Attributes:
        gain: Additional sensitivity at the skin.
        depth: Depth at which the additional sensitivity has fallen to 1/e, mm.
        bias: Coefficients of u, v, u² and uv in the polynomial, whose constant term is 1. The image coordinates u
            (right) and v (down) run from -1 to 1.
    """

    gain: float
    depth: float
    bias: tuple[float, ...]


@dataclass(frozen=True)
class SaturationBand:
    """The saturation band, which darkens the anterior part of the image.

    Attributes:
        edge: Row above which the image is darkened, in mm from the image centre. It is far outside the image if there
            is no band.
        width: Width of the transition, mm.
        floor: Share of the signal that remains in the band.
    """

    edge: float
    width: float
    floor: float


@dataclass(frozen=True)
class Acquisition:
    """The acquisition parameters of a slice, shared by T1 and T2.

    Attributes:
        coil: The receiving coil.
        band: The saturation band.
        encoding: The parameters of the readout.
        slopes: Displacement of structures down and across per mm of height, as textures in the body's frame.
        slope_factor: Factor by which the slopes are multiplied.
        pulsation: Share of the CSF signal that is lost to flow at the echo time of T2. The loss is far smaller for T1.
        mottle: Variation of the signal within a tissue. Its standard deviation is 0.7 times this share.
        signal_randomisation: Weight of random tissue signals, from 0 (true signals only) to 1 (random signals only).
        gamma: Exponent applied to the magnitude.
    """

    coil: Coil
    band: SaturationBand
    encoding: Encoding
    slopes: tuple[Texture, Texture]
    slope_factor: float = 0.3
    pulsation: float = 0.0
    mottle: float = 0.04
    signal_randomisation: float = 0.0
    gamma: float = 1.0


@dataclass(frozen=True)
class Motion:
    """The displacement of T2 relative to T1 before registration.

    Attributes:
        dx: Shift to the right, mm.
        dy: Shift downwards, mm.
        rotation: Rotation, radians.
    """

    dx: float
    dy: float
    rotation: float

    def covers(self, image_size: int) -> BoolArray:
        """Return a mask of the T1 pixels whose centres are in the field of view of T2, bool of shape (H, W)."""
        across, down = _get_pixel_centres(image_size)
        cos, sin = np.float32(math.cos(self.rotation)), np.float32(math.sin(self.rotation))
        x, y = across - np.float32(self.dx), down - np.float32(self.dy)
        half = FIELD_OF_VIEW / 2
        return (np.abs(cos * x + sin * y) <= half) & (np.abs(cos * y - sin * x) <= half)


def sample_acquisition(disc_front: float, rng: np.random.Generator) -> Acquisition:
    """Sample realistic acquisition parameters.

    Args:
        disc_front: Row of the disc's anterior margin, in mm from the image centre.
        rng: Random generator.
    """
    has_band = rng.random() < 0.85
    return Acquisition(
        # Four terms of at most 0.05 each give ±20 % in the corners.
        coil=Coil(gain=rng.uniform(1.0, 3.0), depth=rng.uniform(45, 75), bias=tuple(rng.uniform(-0.05, 0.05, 4))),
        band=SaturationBand(
            edge=disc_front - rng.uniform(-4, 25) if has_band else -2 * FIELD_OF_VIEW,
            width=rng.uniform(1.5, 6.0),
            floor=rng.uniform(0.01, 0.06),
        ),
        encoding=Encoding(
            readout=int(rng.integers(2)),
            chemical_shift=float(rng.choice((-1, 1)) * rng.uniform(0.4, 1.0)),
            moved_lines=rng.uniform(0.05, 0.15),
            motion_shift=(rng.normal(0, 0.5), rng.normal(0, 0.5)),
            blur=rng.uniform(0.3, 0.5),
            noise=rng.uniform(0.02, 0.05),
        ),
        slopes=(Texture(rng, (28.0, 28.0)), Texture(rng, (28.0, 28.0))),
        pulsation=rng.uniform(0, 0.4),
    )


def sample_motion(rng: np.random.Generator) -> Motion:
    """Sample the motion between T1 and T2: none in 81 % of slices, shifts of up to 6 mm and up to 2° in the others."""
    if rng.random() >= 0.19:
        return Motion(0.0, 0.0, 0.0)
    dx, dy = np.clip(rng.laplace(0, 1.4, 2), -6, 6)
    return Motion(float(dx), float(dy), math.radians(float(np.clip(rng.laplace(0, 0.3), -2, 2))))


def acquire(
    canvas: Canvas,
    sequence: PulseSequence,
    hydration: float,
    acquisition: Acquisition,
    skin: float,
    rng: np.random.Generator,
) -> FloatArray:
    """Acquire one image.

    Args:
        canvas: The drawn body.
        sequence: The pulse sequence, T1- or T2-weighted.
        hydration: Hydration of the disc's nucleus, 0 to 1.
        acquisition: The acquisition parameters shared by T1 and T2.
        skin: Position of the skin of the back on the body's y axis, mm.
        rng: Random generator for signal jitter, texture, motion and noise.

    Returns:
        Magnitude image, float32 of shape (image_size, image_size). The value of fat is about 1 to 3.
    """
    table = build_signal_table(sequence, hydration)
    table *= rng.normal(1, _JITTER / 2, table.shape).clip(1 - _JITTER, 1 + _JITTER).astype(np.float32)
    table[Tissue.CSF] *= (1 - acquisition.pulsation) ** (sequence.echo_time / T2_WEIGHTED.echo_time)
    random_table = rng.uniform(0, 1.2, table.shape).astype(np.float32)
    table += np.float32(acquisition.signal_randomisation) * (random_table - table)
    # Water is the real part and fat the imaginary part, so the following steps process both at once.
    protons: ComplexArray = (table * (1 + (1j - 1) * FAT_SHARE)).astype(np.complex64)
    first, second = protons[canvas.tissue], protons[canvas.second]
    signal = canvas.pixel_mean(first + canvas.mixture * (second - first))

    spacing = FIELD_OF_VIEW / canvas.image_size
    x, y = canvas.at_pixel_centres(canvas.x), canvas.at_pixel_centres(canvas.y)
    slopes = [np.float32(acquisition.slope_factor) * texture(x, y) for texture in acquisition.slopes]
    signal = average_through_plane(signal, (slopes[0], slopes[1]), spacing)

    across, down = _get_pixel_centres(canvas.image_size)
    signal *= 1 + np.float32(acquisition.mottle) * Texture(rng, (5.0, 5.0))(across, down)
    sensitivity = _compute_sensitivity(acquisition.coil, np.maximum(skin - y, 0), across, down)
    signal *= sensitivity * _compute_transmission(acquisition.band, down)
    return encode(signal.real, signal.imag, acquisition.encoding, spacing, rng) ** np.float32(acquisition.gamma)


def _get_pixel_centres(image_size: int) -> tuple[FloatArray, FloatArray]:
    """Return the x and y coordinates of the pixel centres in mm from the image centre, broadcastable to (H, W)."""
    axis = ((np.arange(image_size) + 0.5) / image_size - 0.5).astype(np.float32) * np.float32(FIELD_OF_VIEW)
    return axis[None, :], axis[:, None]


def _compute_sensitivity(coil: Coil, under_skin: FloatArray, across: FloatArray, down: FloatArray) -> FloatArray:
    u, v = across / np.float32(FIELD_OF_VIEW / 2), down / np.float32(FIELD_OF_VIEW / 2)
    tilt_x, tilt_y, bow_x, twist = map(np.float32, coil.bias)
    polynomial = 1 + tilt_x * u + tilt_y * v + bow_x * u * u + twist * u * v
    return (1 + np.float32(coil.gain) * np.exp(-under_skin / np.float32(coil.depth))) * polynomial


def _compute_transmission(band: SaturationBand, down: FloatArray) -> FloatArray:
    """Return the share of the signal that remains after saturation."""
    outside = 1 / (1 + np.exp(np.clip((band.edge - down) / band.width, -50, 50)))
    return (band.floor + (1 - band.floor) * outside).astype(np.float32)
