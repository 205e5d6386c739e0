"""From the body's signal to a magnitude image: what thickness, chemical shift, motion, point spread and noise do."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lss_lightning.phantom.canvas import Complex
from lss_lightning.phantom.shapes import Floats

SLICE_THICKNESS = 4.0
"""Of every slice, mm (the data set's page)."""

# Where the sub-slices lie that stand for the thickness, as a share of it from its middle.
_SUB_SLICES = (-1 / 3, 0.0, 1 / 3)


@dataclass(frozen=True)
class Encoding:
    """How a slice is read out.

    Attributes:
        readout: Axis of the array along which frequency encodes: 0 down, 1 across; phase encodes along the other.
        chemical_shift: How far fat appears displaced against water along the readout, mm.
        moved_lines: Share of the phase-encode lines that are acquired while the patient lies elsewhere.
        jerk: How far the patient lies off in them, mm down and across.
        blur: Sigma of the point spread, pixels.
        noise: Sigma of the noise in each of the two receiver channels, as a share of fat's signal.
    """

    readout: int
    chemical_shift: float
    moved_lines: float
    jerk: tuple[float, float]
    blur: float
    noise: float


def through_plane(signal: Complex, slopes: tuple[Floats, Floats], spacing: float) -> Complex:
    """Average over the slice's thickness of a body whose surfaces run obliquely through it.

    To first order, what lies at a point of the mid-plane lies at the point plus z times a slope at height z: the
    sub-slices are the mid-plane's image, displaced so.

    Args:
        signal: (H, W) complex64, at the mid-plane.
        slopes: How far structures move down and across per mm of height, (H, W) each.
        spacing: Pixel, mm.
    """
    rows, columns = (np.arange(length, dtype=np.float32) for length in signal.shape)
    down, across = (slope * np.float32(SLICE_THICKNESS / spacing) for slope in slopes)
    sheets = [
        _sampled(signal, rows[:, None] + z * down, columns + z * across) if z else signal
        for z in map(np.float32, _SUB_SLICES)
    ]
    average: Complex = np.mean(sheets, axis=0)
    return average


def encode(water: Floats, fat: Floats, encoding: Encoding, spacing: float, rng: np.random.Generator) -> Floats:
    """Read a slice out and reconstruct it.

    Args:
        water: Signal of water protons, (H, W) float32.
        fat: Signal of fat protons, likewise.
        encoding: How.
        spacing: Pixel, mm.
        rng: Chooses the lines that move, and is the source of the noise.

    Returns:
        Magnitude, (H, W) float32: with Gaussian noise in both receiver channels, its own is Rician.
    """
    frequency = [_frequency(water.shape, axis) for axis in (0, 1)]
    shift = encoding.chemical_shift / spacing
    lines = np.fft.fft2(water) + np.fft.fft2(fat) * _displaced(shift, frequency[encoding.readout])

    phase = 1 - encoding.readout
    moved = np.expand_dims(rng.random(water.shape[phase]) < encoding.moved_lines, encoding.readout)
    elsewhere = lines
    for distance, along in zip(encoding.jerk, frequency, strict=True):
        elsewhere = elsewhere * _displaced(distance / spacing, along)
    lines = np.where(moved, elsewhere, lines)

    for along in frequency:
        lines *= np.exp(-2 * (np.pi * encoding.blur * along) ** 2)
    image = np.fft.ifft2(lines)
    real, imaginary = rng.standard_normal((2, *water.shape), dtype=np.float32) * np.float32(encoding.noise)
    magnitude: Floats = np.sqrt((image.real + real) ** 2 + (image.imag + imaginary) ** 2)
    return magnitude


def _frequency(shape: tuple[int, ...], axis: int) -> Floats:
    """Spatial frequency along an axis in cycles per pixel, a row or column that broadcasts to the shape."""
    return np.expand_dims(np.fft.fftfreq(shape[axis]).astype(np.float32), 1 - axis)


def _displaced(distance: float, frequency: Floats) -> Complex:
    """What a displacement in pixels does to the spectrum."""
    return np.exp(-2j * np.pi * distance * frequency).astype(np.complex64)


def _sampled(image: Complex, rows: Floats, columns: Floats) -> Complex:
    """An image at points between its pixels, bilinearly; beyond the border the border's pixels continue."""
    height, width = image.shape
    top, left = np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)
    row, column = np.minimum(top.astype(np.intp), height - 2), np.minimum(left.astype(np.intp), width - 2)
    v, u = (top - row).astype(np.float32), (left - column).astype(np.float32)
    flat, corner = image.ravel(), row * width + column
    upper = flat[corner] * (1 - u) + flat[corner + 1] * u
    lower = flat[corner + width] * (1 - u) + flat[corner + width + 1] * u
    return upper * (1 - v) + lower * v
