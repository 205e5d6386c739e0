"""The random parameters of one image's augmentation, including the key of its noise."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lss_lightning.data.augment.config import AugmentationConfig
from lss_lightning.data.slices import ImageSize

BIAS_SPACING = 110.0
"""Distance between neighbouring control points of a bias field in mm: about the range of a spine coil's elements."""


@dataclass(frozen=True)
class AugmentationDraw:
    """The parameters of one image's augmentation. C is the number of channels; x points right and y down.

    Attributes:
        flip: Whether left and right are swapped.
        angle: Rotation in degrees, counter-clockwise as displayed.
        zoom: Scale factor.
        shift: (2,) shift in x and y, in mm.
        bend: (2, ny, nx) displacement of the B-spline's control points in x and y, in mm.
        offset: (2,) shift of T2 relative to T1 in x and y, in mm.
        bias: (C, ny, nx) control points of the bias field's deviation from 1.
        blur: (C,) standard deviations of the blur, in mm.
        noise: (C,) standard deviations of the noise, as a fraction of the grey range.
        noise_key: (C,) int32 keys of the noise.
        gamma: (C,) exponents.
        kept: (C,) 1 for each channel that is kept, 0 for one that is dropped.
    """

    flip: bool
    angle: float
    zoom: float
    shift: NDArray[np.float64]
    bend: NDArray[np.float64]
    offset: NDArray[np.float64]
    bias: NDArray[np.float64]
    blur: NDArray[np.float64]
    noise: NDArray[np.float64]
    noise_key: NDArray[np.int32]
    gamma: NDArray[np.float64]
    kept: NDArray[np.float64]


def make_image_generator(seed: int, epoch: int, digest: str) -> np.random.Generator:
    """Return the random generator of one image in one epoch.

    Args:
        seed: The run's seed.
        epoch: Index of the epoch.
        digest: Hash of the image's content, which makes the result independent of split and order.
    """
    key = hashlib.blake2b(f"{seed} {epoch} {digest}".encode(), digest_size=16).digest()
    return np.random.default_rng(int.from_bytes(key, "big"))


def count_control_points(length: int, pitch: float) -> int:
    """Return the number of control points that a cubic B-spline needs to cover a row of pixels.

    Args:
        length: Number of pixels.
        pitch: Distance between neighbouring control points, in pixels.
    """
    return int((length - 1) / pitch) + 4


def draw_augmentation(
    config: AugmentationConfig, rng: np.random.Generator, channels: int, size: ImageSize, spacing: float
) -> AugmentationDraw:
    """Draw the parameters of one image's augmentation.

    The same random numbers are drawn regardless of the ranges, so setting a range to 0 does not change the other
    parameters.

    Args:
        config: Ranges and probabilities.
        rng: The image's generator.
        channels: Number of acquired channels.
        size: Height and width of the image, in pixels.
        spacing: Pixel spacing, in mm.
    """
    bend_grid, bias_grid = (
        [count_control_points(length, pitch / spacing) for length in size]
        for pitch in (config.elastic_spacing, BIAS_SPACING)
    )
    geometry, intensity = rng.spawn(2)
    flip, warped = geometry.random(2) < (config.flip, config.warp_probability)
    angle, log_zoom, *shift = geometry.uniform(-1, 1, 4) * warped
    offset = geometry.uniform(-1, 1, 2)
    bend = geometry.random() * geometry.uniform(-1, 1, (2, *bend_grid)) * warped
    changed = intensity.random((4, channels)) < config.intensity_probability
    bias, blur, noise = intensity.random((3, channels)) * changed[:3]
    log_gamma = intensity.uniform(-1, 1, channels) * changed[3]
    noise_key = intensity.integers(-(2**31), 2**31, channels, dtype=np.int32)
    kept = np.ones(channels)
    drops, dropped = intensity.random() < config.channel_dropout, intensity.integers(channels)
    if drops and channels > 1:
        kept[dropped] = 0
    field = bias[:, None, None] * intensity.uniform(-1, 1, (channels, *bias_grid))
    return AugmentationDraw(
        flip=bool(flip),
        angle=config.rotation * angle,
        zoom=(1 + config.scale) ** log_zoom,
        shift=config.translation * np.array(shift),
        bend=config.elastic * bend,
        offset=config.misregistration * offset,
        bias=config.bias_field * field,
        blur=config.blur * blur,
        noise=config.noise * noise,
        noise_key=noise_key,
        gamma=(1 + config.gamma) ** log_gamma,
        kept=kept,
    )
