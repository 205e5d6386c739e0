"""Axial lumbar slices and images of other kinds, from the phantom's scanner."""

from __future__ import annotations

import math

import numpy as np

from lss_lightning.data.composite import stretch_to_uint8
from lss_lightning.phantom import render_slice
from lss_lightning.phantom.canvas import Canvas
from lss_lightning.phantom.scanner import acquire, sample_acquisition
from lss_lightning.phantom.shapes import Blob
from lss_lightning.phantom.study import cut_sagittal, render_study
from lss_lightning.phantom.tissue import T1_WEIGHTED, T2_WEIGHTED, Tissue

# An axial knee through the femoral condyles, front up, in mm; each part covers the previous ones.
_KNEE = [
    (Blob((0, 0), 66, 62), Tissue.SKIN),
    (Blob((0, 0), 64, 60), Tissue.FAT),
    (Blob((0, 4), 56, 52), Tissue.MUSCLE),
    (Blob((0, -8), 48, 42), Tissue.FAT),
    (Blob((-19, 0), 21, 30, 0.15), Tissue.CORTEX),
    (Blob((19, 0), 21, 30, -0.15), Tissue.CORTEX),
    (Blob((0, -12), 26, 15), Tissue.CORTEX),
    (Blob((-19, 0), 19, 28, 0.15), Tissue.MARROW),
    (Blob((19, 0), 19, 28, -0.15), Tissue.MARROW),
    (Blob((0, -12), 24, 13), Tissue.MARROW),
    (Blob((0, 16), 6, 14), Tissue.LIGAMENT),
    (Blob((0, -40), 21, 9), Tissue.CORTEX),
    (Blob((0, -40), 19, 7), Tissue.MARROW),
    (Blob((4, 38), 4, 4), Tissue.BLOOD),
    (Blob((-5, 42), 3, 3), Tissue.BLOOD),
]


def lumbar(patient: int = 1, level: str = "D4", size: int = 160, seed: int = 0, randomise: float = 0.0):
    """T1 and T2 of a slice of the phantom, (2, H, W) uint8."""
    rendered = render_slice(seed, patient, level, size, randomise)
    return np.stack((rendered.t1, rendered.t2))


def knee(size: int = 160, seed: int = 0):
    """T1 and T2 of an axial knee, (2, H, W) uint8, with the field of view of a lumbar slice."""
    rng = np.random.default_rng(seed)
    canvas = Canvas(size, (rng.uniform(-5, 5), rng.uniform(-5, 5)), math.radians(rng.uniform(-5, 5)))
    for blob, tissue in _KNEE:
        window = canvas.window_around(blob)
        canvas.paint(window, canvas.distance(blob, window) < 0, tissue)
    acquisition = sample_acquisition(-400.0, rng)  # out of reach of the saturation band
    return np.stack(
        [_image(acquire(canvas, sequence, 0.5, acquisition, 62.0, rng)) for sequence in (T1_WEIGHTED, T2_WEIGHTED)]
    )


def sagittal_slice(size: int = 160, seed: int = 0, x: float = 0.0):
    """A sagittal T2 slice as both T1 and T2, (2, H, W) uint8."""
    image = cut_sagittal(render_study(seed, 1, 96, 96), x, size)
    return np.stack([_image(image.pixels.astype(np.float32))] * 2)


def noise(size: int = 160, seed: int = 0):
    """Uniform noise, (2, H, W) uint8."""
    return np.random.default_rng(seed).integers(0, 256, (2, size, size), dtype=np.uint8)


def _image(pixels):
    return stretch_to_uint8(pixels, np.ones(pixels.shape, dtype=bool))
