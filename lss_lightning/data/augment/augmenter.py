"""Random augmentation of batches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from lss_lightning.data.alkafri_layout import FIELD_OF_VIEW
from lss_lightning.data.augment.config import AugmentationConfig
from lss_lightning.data.augment.draw import AugmentationDraw, draw_augmentation, make_image_generator
from lss_lightning.data.augment.fields import to_device
from lss_lightning.data.augment.geometry import (
    compute_source_positions,
    make_content_mask,
    make_inside_mask,
    mirror,
    sample,
)
from lss_lightning.data.augment.intensity import blur, change_intensities, stack_values
from lss_lightning.data.composite import ChannelFormula, positive_difference
from lss_lightning.data.slices import ImageSize
from lss_lightning.labels import IGNORE_INDEX


class Augmenter:
    """Random augmentation of batches of training slices.

    Rotation, scale, shift and bending are combined in one warp, so images are interpolated once; labels are warped by
    nearest neighbour. Pixels that lie outside the original image are set to 0 and labelled ``IGNORE_INDEX``. Each
    channel has its own bias field, blur, noise and gamma, since T1 and T2 are separate acquisitions.

    A composite's third channel is recomputed from T1 and T2 if their grey values or relative positions change;
    otherwise, it is transformed together with T1.

    Args:
        config: Ranges and probabilities.
        seed: The run's seed.
        channels: Channels of the images, a key of :data:`~lss_lightning.data.source.CHANNELS`.
        formula: Formula of a composite's third channel, or None if that channel is not computed from T1 and T2.
    """

    def __init__(
        self,
        config: AugmentationConfig,
        seed: int,
        channels: str,
        formula: ChannelFormula[Tensor] | None = positive_difference,
    ) -> None:
        self.config, self.seed = config, seed
        formula = formula if channels == "composite" else None
        self.misregisters = config.misregistration > 0 and (formula is not None or channels == "t1_t2")
        self.formula = formula if config.changes_intensity or self.misregisters else None
        self.warps = config.changes_geometry or self.misregisters
        self.is_active = config.flip > 0 or self.warps or config.changes_intensity

    def __call__(
        self,
        images: Tensor,
        labels: Tensor,
        *,
        sizes: Sequence[ImageSize],
        spacings: Sequence[float | None],
        digests: Sequence[str],
        epoch: int,
    ) -> tuple[Tensor, Tensor]:
        """Augment a batch.

        Args:
            images: (B, C, H, W) uint8, padded at the right and the bottom.
            labels: (B, H, W) uint8 class indices on the images' grid, ``IGNORE_INDEX`` where padded.
            sizes: Height and width of each image without padding, in pixels.
            spacings: Pixel spacing of each image in mm. None is replaced by 220 mm divided by the image's width.
            digests: Hash of each image's content, e.g. ``LoadedSlice.digest``.
            epoch: Index of the epoch.

        Returns:
            Images of the same shape, float32 from 0 to 255, or uint8 if only mirroring can occur; labels of the same
            shape, uint8.
        """
        if not self.is_active:
            return images, labels
        config, device, padded = self.config, images.device, (images.shape[2], images.shape[3])
        known_spacings = [spacing or FIELD_OF_VIEW / width for spacing, (_, width) in zip(spacings, sizes, strict=True)]
        acquired = 2 if self.formula else images.shape[1]
        draws = [
            draw_augmentation(config, make_image_generator(self.seed, epoch, digest), acquired, size, spacing)
            for digest, size, spacing in zip(digests, sizes, known_spacings, strict=True)
        ]
        extents = to_device(np.array(sizes), device)
        if config.flip:
            flipped = to_device(np.array([draw.flip for draw in draws]), device)
            images, labels = (mirror(pixels, flipped, extents[:, 1]) for pixels in (images, labels))
        if not (self.warps or config.changes_intensity):
            return images, labels
        mask = make_content_mask(extents, padded)
        images = images[:, :acquired].float()
        if config.blur:
            sigmas = [draw.blur / spacing for draw, spacing in zip(draws, known_spacings, strict=True)]
            images = blur(images, sigmas, sizes)
        if self.warps:
            positions = compute_source_positions(draws, sizes, known_spacings, config.elastic_spacing, padded, device)
            mask = mask & make_inside_mask(positions, extents)
            images = self._warp(images, positions, draws, sizes, known_spacings)
            nearest = sample(labels[:, None].float(), positions, sizes, "nearest")[:, 0]
            labels = torch.where(mask, nearest.to(torch.uint8), IGNORE_INDEX)
        images = change_intensities(images, mask[:, None], draws, config, sizes, known_spacings)
        if self.formula:
            t1, t2 = images.unbind(1)
            images = torch.stack([t1, t2, self.formula(t1, t2)], dim=1)
        return images, labels

    def _warp(
        self,
        images: Tensor,
        positions: Tensor,
        draws: Sequence[AugmentationDraw],
        sizes: Sequence[ImageSize],
        spacings: Sequence[float],
    ) -> Tensor:
        """Warp the images, with an additional shift of T2 relative to T1."""
        if not self.misregisters:
            return sample(images, positions, sizes, "bilinear")
        offsets = stack_values([draw.offset / mm for draw, mm in zip(draws, spacings, strict=True)], positions.device)
        t1 = sample(images[:, :1], positions, sizes, "bilinear")
        t2 = sample(images[:, 1:], positions - offsets, sizes, "bilinear")
        return torch.cat([t1, t2], dim=1)
