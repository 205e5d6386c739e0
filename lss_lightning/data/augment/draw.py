"""What one image gets: every random number of its augmentation, but for the noise's, which this seeds."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lss_lightning.data.augment.config import AugmentationConfig

Size = tuple[int, int]
"""Height and width in pixels."""

BIAS_SPACING = 110.0
"""From one control point of a bias field to the next, mm: about the reach of a spine coil's elements."""


@dataclass(frozen=True)
class AugmentationDraw:
    """One image's augmentation; C is the number of its channels, x points right and y down.

    Attributes:
        flip: Whether left and right change places.
        angle: Counter-clockwise as displayed, degrees.
        zoom: The factor that everything grows by.
        shift: x and y, mm.
        bend: (2, ny, nx) x and y by which the B-spline's control points displace, mm.
        offset: x and y by which T2 is shifted against T1, mm.
        bias: (C, ny, nx) control points of what is added to a factor of 1.
        blur: (C,) standard deviations, mm.
        noise: (C,) standard deviations, share of the grey range.
        noise_key: (C,) int32, what the noise is made from.
        gamma: (C,) exponents.
        kept: (C,) 1, or 0 for a channel that is blanked.
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


def image_generator(seed: int, epoch: int, digest: str) -> np.random.Generator:
    """The generator of one image in one epoch.

    Args:
        seed: The run's.
        epoch: From 0.
        digest: Names the image by its content, so that neither the split nor the order matters.
    """
    key = hashlib.blake2b(f"{seed} {epoch} {digest}".encode(), digest_size=16).digest()
    return np.random.default_rng(int.from_bytes(key, "big"))


def control_points(length: int, pitch: float) -> int:
    """How many control points a cubic B-spline needs to cover a row of pixels.

    Args:
        length: Number of pixels.
        pitch: Pixels from one control point to the next.
    """
    return int((length - 1) / pitch) + 4


def draw_image(
    config: AugmentationConfig, rng: np.random.Generator, channels: int, size: Size, spacing: float
) -> AugmentationDraw:
    """Draw one image's augmentation.

    The same random numbers are drawn whatever the ranges: a range of 0 leaves all others' outcomes as they were.

    Args:
        config: The ranges and probabilities.
        rng: The image's own generator.
        channels: How many channels the image was acquired in.
        size: Its height and width in pixels.
        spacing: Their size in mm.
    """
    bend_grid, bias_grid = (
        [control_points(length, pitch / spacing) for length in size] for pitch in (config.elastic_spacing, BIAS_SPACING)
    )
    places, greys = rng.spawn(2)
    flip, warped = places.random(2) < (config.flip, config.warp_probability)
    turn, growth, *shift = places.uniform(-1, 1, 4) * warped
    offset = places.uniform(-1, 1, 2)
    bend = places.random() * places.uniform(-1, 1, (2, *bend_grid)) * warped
    changed = greys.random((4, channels)) < config.intensity_probability
    bias, blur, noise = greys.random((3, channels)) * changed[:3]
    curve = greys.uniform(-1, 1, channels) * changed[3]
    noise_key = greys.integers(-(2**31), 2**31, channels, dtype=np.int32)
    kept = np.ones(channels)
    dropped, victim = greys.random() < config.channel_dropout, greys.integers(channels)
    if dropped and channels > 1:
        kept[victim] = 0
    field = bias[:, None, None] * greys.uniform(-1, 1, (channels, *bias_grid))
    return AugmentationDraw(
        flip=bool(flip),
        angle=config.rotation * turn,
        zoom=(1 + config.scale) ** growth,
        shift=config.translation * np.array(shift),
        bend=config.elastic * bend,
        offset=config.misregistration * offset,
        bias=config.bias_field * field,
        blur=config.blur * blur,
        noise=config.noise * noise,
        noise_key=noise_key,
        gamma=(1 + config.gamma) ** curve,
        kept=kept,
    )
