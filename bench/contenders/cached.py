"""Slices as in MONAI: decoded once into a CacheDataset, and augmented individually."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from monai import transforms
from monai.data import CacheDataset, set_track_meta
from torch import Tensor
from torch.utils.data import Dataset

from bench.contenders.setting import CLASSES, Setting, list_files


def build_dataset(setting: Setting) -> Dataset[tuple[Tensor, Tensor]]:
    """Build the cached dataset with the operations of ``augmentation=default``, except the shift of T2."""
    set_track_meta(False)
    spacing = 220 / setting.size
    both = ["image", "label"]
    normalisation: dict[str, Any] = {"subtrahend": 0.2, "divisor": 0.2}
    steps = transforms.Compose(
        [
            transforms.LoadImaged(both, reader="PILReader", image_only=True),
            transforms.EnsureChannelFirstd(["image"], channel_dim=-1),
            transforms.EnsureChannelFirstd(["label"], channel_dim="no_channel"),
            transforms.ScaleIntensityRanged(["image"], 0, 255, 0, 1),
            transforms.Lambdad(["label"], lambda label: label / 50),
            transforms.EnsureTyped(both, dtype=torch.float32),
            transforms.RandFlipd(both, prob=0.5, spatial_axis=0),  # the reader puts x first
            transforms.Rand2DElasticd(
                both,
                spacing=32 / spacing,
                magnitude_range=(0, 5 / spacing),
                prob=1,
                rotate_range=np.radians(10),
                translate_range=(10 / spacing,) * 2,
                scale_range=(0.1,) * 2,
                mode=["bilinear", "nearest"],
                padding_mode="zeros",
            ),
            transforms.RandBiasFieldd(["image"], coeff_range=(0, 0.075), prob=0.5),
            transforms.RandGaussianSmoothd(
                ["image"], sigma_x=(0.01, 0.6 / spacing), sigma_y=(0.01, 0.6 / spacing), prob=0.5
            ),
            transforms.RandGaussianNoised(["image"], std=0.02, prob=0.5),
            transforms.RandAdjustContrastd(["image"], gamma=(0.77, 1.3), prob=0.5),
            transforms.NormalizeIntensityd(["image"], **normalisation),
        ]
    )
    pairs = [{"image": str(image), "label": str(label)} for image, label in list_files(setting)]
    return _Pairs(CacheDataset(pairs, steps, cache_rate=1.0, num_workers=0, progress=False))


class _Pairs(Dataset[tuple[Tensor, Tensor]]):
    """Items of a CacheDataset as pairs of image and label."""

    def __init__(self, items: CacheDataset) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        item: Any = self.items[index]
        return item["image"], item["label"][0].round().long().clamp(0, CLASSES - 1)
