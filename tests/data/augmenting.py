"""Images and augmentation for tests."""

from __future__ import annotations

import numpy as np
import torch

from lss_lightning.data.augment import AugmentationConfig
from lss_lightning.data.augment.augmenter import Augmenter
from lss_lightning.data.augment.draw import (
    AugmentationDraw,
    count_control_points,
    draw_augmentation,
    make_image_generator,
)
from lss_lightning.data.augment.fields import evaluate_splines

CPU = torch.device("cpu")
EVERYTHING = AugmentationConfig(
    rotation=20.0, scale=0.2, translation=15.0, elastic=8.0, warp_probability=0.8, flip=0.5, misregistration=2.0,
    bias_field=0.5, blur=1.0, noise=0.05, gamma=0.5, intensity_probability=0.7, channel_dropout=0.2,
)  # fmt: skip


def augment(config, images, labels, *, epoch=0, seed=0, channels="composite", derive=True, spacing=1.0, digests=None):
    """Augment a batch of images of one size; ``derive`` computes the third channel from T1 and T2."""
    sizes = [tuple(images.shape[2:])] * len(images)
    digests = digests or [str(index) for index in range(len(images))]
    augmenter = Augmenter(config, seed, channels, *([] if derive else [None]))
    return augmenter(images, labels, sizes=sizes, spacings=[spacing] * len(images), digests=digests, epoch=epoch)


def make_draws(config, count, channels=2, size=(64, 64), spacing=1.0) -> list[AugmentationDraw]:
    """Return the draws that :func:`augment` uses for a batch."""
    return [
        draw_augmentation(config, make_image_generator(0, 0, str(key)), channels, size, spacing) for key in range(count)
    ]


def make_uniform(count, channels, size, grey=100):
    shape = (count, channels, *size)
    return torch.full(shape, grey, dtype=torch.uint8), torch.full((count, *size), 5, dtype=torch.uint8)


def make_texture(count, channels, size, seed=0):
    grid = [count_control_points(length, 4.0) for length in size]
    controls = list(np.random.default_rng(seed).uniform(0, 255, (count, channels, *grid)))
    return evaluate_splines(controls, [4.0] * count, [size] * count, size, CPU).round().to(torch.uint8)
