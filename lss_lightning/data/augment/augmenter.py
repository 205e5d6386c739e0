"""Augments a batch where it lies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from lss_lightning.data.augment.config import AugmentationConfig
from lss_lightning.data.augment.draw import AugmentationDraw, Size, draw_image, image_generator
from lss_lightning.data.augment.fields import to_device
from lss_lightning.data.augment.geometry import covered, inside, mirror, sample, source_positions
from lss_lightning.data.augment.intensity import blur, per_image, shade
from lss_lightning.data.composite import Third, positive_difference
from lss_lightning.data.slices import FIELD_OF_VIEW
from lss_lightning.labels import IGNORED


class Augmenter:
    """Augments batches of training slices.

    Rotation, scale, shift and bending are one warp, so that images are interpolated once; labels go through the same
    warp by nearest neighbour. What comes in from outside the image is black, and its label ``IGNORED``: nobody has
    looked there. Each channel has its own bias field, blur, noise and gamma, since T1 and T2 are two acquisitions.

    A composite's third channel is computed anew from T1 and T2 where these change against one another, in grey value
    or place, and moves with T1 where they do not.

    Args:
        config: The ranges and probabilities.
        seed: The run's.
        channels: What the images hold: a key of :data:`~lss_lightning.data.source.CHANNELS`.
        third: How a composite's third channel follows from T1 and T2; None where it does not.
    """

    def __init__(
        self, config: AugmentationConfig, seed: int, channels: str, third: Third[Tensor] | None = positive_difference
    ) -> None:
        self.config, self.seed = config, seed
        third = third if channels == "composite" else None
        self.misregisters = config.misregistration > 0 and (third is not None or channels == "t1_t2")
        self.third = third if config.shades or self.misregisters else None
        self.changes = config.flip > 0 or config.warps or config.shades or self.misregisters

    def __call__(
        self,
        images: Tensor,
        labels: Tensor,
        *,
        sizes: Sequence[Size],
        spacings: Sequence[float | None],
        digests: Sequence[str],
        epoch: int,
    ) -> tuple[Tensor, Tensor]:
        """Augment a batch.

        Args:
            images: (B, C, H, W) uint8, padded at the right and the bottom.
            labels: (B, H, W) uint8 class indices on the images' grid, ``IGNORED`` where padded.
            sizes: Each image's height and width in pixels, without the padding.
            spacings: Pixel sizes in mm; one that is unknown counts as 220 mm over the image's width.
            digests: What names each image's content, e.g. ``LoadedSlice.digest``.
            epoch: From 0.

        Returns:
            Images of the same shape, float32 from 0 to 255, or uint8 where nothing but mirroring can occur; labels of
            the same shape, uint8.
        """
        if not self.changes:
            return images, labels
        config, device, padded = self.config, images.device, (images.shape[2], images.shape[3])
        known = [spacing or FIELD_OF_VIEW / width for spacing, (_, width) in zip(spacings, sizes, strict=True)]
        acquired = 2 if self.third else images.shape[1]
        draws = [
            draw_image(config, image_generator(self.seed, epoch, digest), acquired, size, spacing)
            for digest, size, spacing in zip(digests, sizes, known, strict=True)
        ]
        extents = to_device(np.array(sizes), device)
        if config.flip:
            flipped = to_device(np.array([draw.flip for draw in draws]), device)
            images, labels = (mirror(pixels, flipped, extents[:, 1]) for pixels in (images, labels))
        if not (config.warps or config.shades or self.misregisters):
            return images, labels
        mask = covered(extents, padded)
        images = images[:, :acquired].float()
        if config.blur:
            images = blur(images, [draw.blur / spacing for draw, spacing in zip(draws, known, strict=True)], sizes)
        if config.warps or self.misregisters:
            positions = source_positions(draws, sizes, known, config.elastic_spacing, padded, device)
            mask = mask & inside(positions, extents)
            images = self._move(images, positions, draws, sizes, known)
            nearest = sample(labels[:, None].float(), positions, sizes, "nearest")[:, 0]
            labels = torch.where(mask, nearest.to(torch.uint8), IGNORED)
        images = shade(images, mask[:, None], draws, config, sizes, known)
        if self.third:
            t1, t2 = images.unbind(1)
            images = torch.stack([t1, t2, self.third(t1, t2)], dim=1)
        return images, labels

    def _move(
        self,
        images: Tensor,
        positions: Tensor,
        draws: Sequence[AugmentationDraw],
        sizes: Sequence[Size],
        spacings: Sequence[float],
    ) -> Tensor:
        """Warp the images, T2 apart from T1 where the one is shifted against the other."""
        if not self.misregisters:
            return sample(images, positions, sizes, "bilinear")
        offsets = per_image([draw.offset / mm for draw, mm in zip(draws, spacings, strict=True)], positions.device)
        t1 = sample(images[:, :1], positions, sizes, "bilinear")
        t2 = sample(images[:, 1:], positions - offsets, sizes, "bilinear")
        return torch.cat([t1, t2], dim=1)
