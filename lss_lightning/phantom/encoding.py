"""Image formation: slice thickness, chemical shift, motion, point spread and noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lss_lightning.phantom.canvas import ComplexArray
from lss_lightning.phantom.shapes import FloatArray

SLICE_THICKNESS = 4.0
"""Thickness of every slice, mm (from the web page of the data set)."""

# Positions of the sub-slices relative to the centre of the slice, as fractions of its thickness.
_SUB_SLICES = (-1 / 3, 0.0, 1 / 3)


@dataclass(frozen=True)
class Encoding:
    """Parameters of the readout of a slice.

    Attributes:
        readout: Array axis of frequency encoding: 0 (down) or 1 (across). Phase encoding uses the other axis.
        chemical_shift: Displacement of fat relative to water along the readout axis, mm.
        moved_lines: Fraction of the phase-encoding lines that are acquired while the patient is displaced.
        motion_shift: Displacement of the patient in these lines (down, across), mm.
        blur: Standard deviation of the point spread function, pixels.
        noise: Standard deviation of the noise in each of the two receiver channels, relative to the signal of fat.
    """

    readout: int
    chemical_shift: float
    moved_lines: float
    motion_shift: tuple[float, float]
    blur: float
    noise: float


def average_through_plane(signal: ComplexArray, slopes: tuple[FloatArray, FloatArray], spacing: float) -> ComplexArray:
    """Average the signal over the thickness of a slice whose structures run obliquely through it.

    To first order, a structure at height z is displaced relative to the mid-plane by z times a local slope. Each
    sub-slice is therefore the image of the mid-plane with this displacement.

    Args:
        signal: Signal of the mid-plane, complex64 of shape (H, W).
        slopes: Displacement of structures down and across per mm of height, each of shape (H, W).
        spacing: Pixel spacing, mm.

    Returns:
        complex64 array of shape (H, W).
    """
    rows, columns = (np.arange(length, dtype=np.float32) for length in signal.shape)
    down, across = (slope * np.float32(SLICE_THICKNESS / spacing) for slope in slopes)
    sheets = [
        _sample_bilinear(signal, rows[:, None] + z * down, columns + z * across) if z else signal
        for z in map(np.float32, _SUB_SLICES)
    ]
    average: ComplexArray = np.mean(sheets, axis=0)
    return average


def encode(
    water: FloatArray, fat: FloatArray, encoding: Encoding, spacing: float, rng: np.random.Generator
) -> FloatArray:
    """Simulate the readout and reconstruction of a slice.

    Args:
        water: Signal of water protons, float32 of shape (H, W).
        fat: Signal of fat protons, float32 of shape (H, W).
        encoding: The parameters of the readout.
        spacing: Pixel spacing, mm.
        rng: Random generator for the choice of displaced lines and for the noise.

    Returns:
        Magnitude image, float32 of shape (H, W). The noise is Gaussian in both receiver channels, so the magnitude
        has Rician noise.
    """
    frequencies = [_compute_frequencies(water.shape, axis) for axis in (0, 1)]
    shift = encoding.chemical_shift / spacing
    lines = np.fft.fft2(water) + np.fft.fft2(fat) * _phase_ramp(shift, frequencies[encoding.readout])

    phase = 1 - encoding.readout
    moved = np.expand_dims(rng.random(water.shape[phase]) < encoding.moved_lines, encoding.readout)
    elsewhere = lines
    for distance, along in zip(encoding.motion_shift, frequencies, strict=True):
        elsewhere = elsewhere * _phase_ramp(distance / spacing, along)
    lines = np.where(moved, elsewhere, lines)

    for along in frequencies:
        lines *= np.exp(-2 * (np.pi * encoding.blur * along) ** 2)
    image = np.fft.ifft2(lines)
    real, imaginary = rng.standard_normal((2, *water.shape), dtype=np.float32) * np.float32(encoding.noise)
    magnitude: FloatArray = np.sqrt((image.real + real) ** 2 + (image.imag + imaginary) ** 2)
    return magnitude


def _compute_frequencies(shape: tuple[int, ...], axis: int) -> FloatArray:
    """Return the spatial frequencies along an axis in cycles per pixel, shaped to broadcast."""
    return np.expand_dims(np.fft.fftfreq(shape[axis]).astype(np.float32), 1 - axis)


def _phase_ramp(distance: float, frequency: FloatArray) -> ComplexArray:
    """Return the factor by which a displacement in pixels multiplies the spectrum."""
    return np.exp(-2j * np.pi * distance * frequency).astype(np.complex64)


def _sample_bilinear(image: ComplexArray, rows: FloatArray, columns: FloatArray) -> ComplexArray:
    """Interpolate an image bilinearly at fractional rows and columns. Border pixels are repeated beyond the border."""
    height, width = image.shape
    top, left = np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)
    row, column = np.minimum(top.astype(np.intp), height - 2), np.minimum(left.astype(np.intp), width - 2)
    v, u = (top - row).astype(np.float32), (left - column).astype(np.float32)
    flat, corner = image.ravel(), row * width + column
    upper = flat[corner] * (1 - u) + flat[corner + 1] * u
    lower = flat[corner + width] * (1 - u) + flat[corner + width + 1] * u
    return upper * (1 - v) + lower * v
