"""The U-Net of segmentation_models.pytorch, individually augmented slices, and a plain training step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import albumentations
import cv2
import numpy as np
import segmentation_models_pytorch as smp
import torch
from albumentations.pytorch import ToTensorV2
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from bench.contenders.setting import CLASSES, Setting, list_files

LEARNING_RATE = 1e-4
_CODES = np.full(256, 255, np.uint8)
_CODES[np.arange(CLASSES) * 50] = np.arange(CLASSES)

Batch = tuple[Tensor, Tensor]


def build_network(setting: Setting) -> nn.Module:
    """Build the U-Net with the library's own encoder of that name, or with that of timm if it has none."""
    own = setting.encoder in smp.encoders.get_encoder_names()
    name = setting.encoder if own else f"tu-{setting.encoder}"
    network: nn.Module = smp.Unet(name, encoder_weights=None, in_channels=3, classes=CLASSES)
    return network


def build_augmentation(size: int) -> albumentations.Compose:
    """Build the operations of ``augmentation=default`` that albumentations has: no bias field, no shift of T2."""
    spacing = 220 / size
    shift = 10 / 220
    return albumentations.Compose(
        [
            albumentations.HorizontalFlip(p=0.5),
            albumentations.Affine(
                scale=(0.9, 1.1), translate_percent={"x": (-shift, shift), "y": (-shift, shift)}, rotate=(-10, 10), p=1
            ),
            albumentations.ElasticTransform(alpha=5 / spacing * 10, sigma=16 / spacing, approximate=True, p=1),
            albumentations.GaussianBlur(sigma_limit=(0.01, 0.6 / spacing), p=0.5),
            albumentations.GaussNoise(std_range=(0, 0.02), p=0.5),
            albumentations.RandomGamma(gamma_limit=(77, 130), p=0.5),
            albumentations.Normalize(mean=(0.2, 0.2, 0.1), std=(0.2, 0.2, 0.1)),
            ToTensorV2(),
        ]
    )


class Slices(Dataset[tuple[Tensor, Tensor]]):
    """Image files that are read and augmented individually, as in the documentation of the library."""

    def __init__(self, setting: Setting) -> None:
        self.files, self.augment = list_files(setting), build_augmentation(setting.size)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image, label = self.files[index]
        pixels = cv2.cvtColor(cv2.imread(str(image)), cv2.COLOR_BGR2RGB)
        codes = cv2.imread(str(label), cv2.IMREAD_GRAYSCALE)
        augmented: dict[str, Any] = self.augment(image=pixels, mask=_CODES[codes])
        return augmented["image"], augmented["mask"].long()


def make_loader(setting: Setting, dataset: Dataset[Any]) -> DataLoader[Any]:
    """Create a DataLoader that shuffles the dataset."""
    return DataLoader(
        dataset,
        setting.batch,
        shuffle=True,
        num_workers=setting.workers,
        pin_memory=setting.device == "cuda",
        drop_last=True,
    )


def compute_stats(logits: Tensor, target: Tensor) -> tuple[Tensor, ...]:
    """Count true and false positives and negatives by image and class, as in the documentation of the library."""
    stats: tuple[Tensor, ...] = smp.metrics.get_stats(logits.argmax(1), target, mode="multiclass", num_classes=CLASSES)
    return stats


Step = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Function that runs an optimizer step on images and labels, and returns loss and logits."""


def make_step(model: nn.Module, device: str, *, bf16: bool) -> Step:
    """Create a plain training step with Adam and cross-entropy."""
    loss_of = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)

    def step(images: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        optimizer.zero_grad()
        with torch.autocast(device, torch.bfloat16, enabled=bf16):
            logits = model(images)
        loss = loss_of(logits.float(), target)
        loss.backward()
        optimizer.step()
        return loss, logits.detach()

    return step
