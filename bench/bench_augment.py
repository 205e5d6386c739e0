"""How many images a second are augmented: batches on the device, against MONAI's transforms sample by sample.

``python bench/bench_augment.py [--size 320] [--batch 8] [--repeats 7] [--device cuda]``

Both make composites out of the same phantom slices, already in memory, with the operations and ranges of
``augmentation=default``: one warp by rotation, scale, shift and bending, mirroring, T2 shifted against T1, and bias
field, blur, noise and gamma in T1 and T2 each. MONAI's run on the CPU, in the training process or in one worker of a
DataLoader; ours on the device, fed by the training process or by one worker. Passes are interleaved, so that a busy
machine slows all alike; the medians are shown.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

# A checkout's package need not be installed.
sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from hydra import compose, initialize_config_dir
from monai import transforms
from monai.data import set_track_meta
from omegaconf import OmegaConf
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from bench.timing import medians
from lss_lightning.config.sections import config_folder
from lss_lightning.config.validation import build
from lss_lightning.data.augment import AugmentationConfig
from lss_lightning.data.augment.augmenter import Augmenter
from lss_lightning.data.composite import composite, positive_difference
from lss_lightning.phantom import RenderedSlice, render_slice

FIELD_OF_VIEW = 220.0
BATCHES = 4
"""Batches in one timed pass."""


class Slices(Dataset[Any]):
    """Phantom slices in memory, each seen through a function; ``length`` items out of fewer slices."""

    def __init__(self, slices: list[RenderedSlice], length: int, view: Callable[[RenderedSlice], Any]) -> None:
        self.slices, self.length, self.view = slices, length, view

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Any:
        return self.view(self.slices[index % len(self.slices)])


def raw(piece: RenderedSlice) -> tuple[Tensor, Tensor]:
    """Composite (3, H, W) and label (H, W), uint8."""
    image = np.ascontiguousarray(composite(piece.t1, piece.t2).transpose(2, 0, 1))
    return torch.from_numpy(image), torch.from_numpy(piece.label)


class Monai:
    """One slice through MONAI's dictionary transforms, each channel with draws of its own, as in ours."""

    def __init__(self, config: AugmentationConfig, spacing: float) -> None:
        chance = config.intensity_probability
        shift = (config.translation / spacing,) * 2
        offset = (config.misregistration / spacing,) * 2
        steps: list[Any] = [
            transforms.EnsureChannelFirstd(["t1", "t2", "label"], channel_dim="no_channel"),
            transforms.EnsureTyped(["t1", "t2"], dtype=torch.float32),
            transforms.EnsureTyped(["label"], dtype=torch.float32),
            transforms.RandFlipd(["t1", "t2", "label"], prob=config.flip, spatial_axis=1),
            transforms.RandAffined(["t2"], prob=1.0, translate_range=offset, padding_mode="border"),
            transforms.Rand2DElasticd(
                ["t1", "t2", "label"],
                spacing=config.elastic_spacing / spacing,
                magnitude_range=(0.0, config.elastic / spacing),
                prob=config.warp_probability,
                rotate_range=np.radians(config.rotation),
                translate_range=shift,
                scale_range=(config.scale,) * 2,
                mode=["bilinear", "bilinear", "nearest"],
                padding_mode="zeros",
            ),
        ]
        for key in ("t1", "t2"):
            width = (0.01, config.blur / spacing)
            steps += [
                transforms.RandBiasFieldd([key], coeff_range=(0.0, config.bias_field / 4), prob=chance),
                transforms.RandGaussianSmoothd([key], sigma_x=width, sigma_y=width, prob=chance),
                transforms.RandGaussianNoised([key], std=255 * config.noise, prob=chance),
                transforms.RandAdjustContrastd([key], gamma=(1 / (1 + config.gamma), 1 + config.gamma), prob=chance),
            ]
        self.steps = transforms.Compose(steps)

    def __call__(self, piece: RenderedSlice) -> tuple[Tensor, Tensor]:
        """Composite (3, H, W) float32 and label (H, W) uint8."""
        done: Any = self.steps({"t1": piece.t1, "t2": piece.t2, "label": piece.label})
        image = torch.cat([done["t1"], done["t2"], positive_difference(done["t1"], done["t2"])])
        return image, done["label"][0].to(torch.uint8)


Key = tuple[str, int]
"""Who augments, and the number of worker processes."""

OURS, MONAI = "ours, by batch", "MONAI, by slice"


def passes(size: int, batch: int, device: torch.device) -> dict[Key, Callable[[], None]]:
    """What is timed: each reads and augments :data:`BATCHES` batches."""
    spacing = FIELD_OF_VIEW / size
    with initialize_config_dir(str(config_folder()), version_base=None):
        chosen: Any = OmegaConf.to_container(compose(overrides=["+augmentation=default"]))
    config = build(AugmentationConfig, chosen["augmentation"], "augmentation")
    slices = [render_slice(0, patient, "D4", size) for patient in range(1, min(batch, 8) + 1)]
    augmenter, epochs = Augmenter(config, 0, "composite"), count()

    def ours(images: Tensor, labels: Tensor) -> None:
        augmenter(
            images,
            labels,
            sizes=[(size, size)] * batch,
            spacings=[spacing] * batch,
            digests=[str(place) for place in range(batch)],
            epoch=next(epochs),  # new draws for each batch
        )

    def nothing(images: Tensor, labels: Tensor) -> None:
        """MONAI's are done when they come out of the loader."""

    def once(workers: int, view: Callable[[RenderedSlice], Any], then: Callable[[Tensor, Tensor], None]) -> Any:
        loader = DataLoader(
            Slices(slices, BATCHES * batch, view),
            batch,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=device.type == "cuda",
        )

        def run() -> None:
            for images, labels in loader:
                then(images.to(device, non_blocking=True), labels.to(device, non_blocking=True))
            if device.type == "cuda":
                torch.cuda.synchronize()

        return run

    monai = Monai(config, spacing)
    return {
        (MONAI, 0): once(0, monai, nothing),
        (OURS, 0): once(0, raw, ours),
        (MONAI, 1): once(1, monai, nothing),
        (OURS, 1): once(1, raw, ours),
    }


def show(rates: dict[Key, float], title: str) -> None:
    """Print images per second."""
    table = Table(title=title)
    for heading in ("", "slices read by", "images/s", "ratio to MONAI"):
        table.add_column(heading, justify="left" if heading in ("", "slices read by") else "right")
    for (who, workers), rate in rates.items():
        place = "one worker" if workers else "the training process"
        table.add_row(who, place, f"{rate:.0f}", f"{rate / rates[MONAI, workers]:.2f}")
    Console().print(table)


def main() -> None:
    """Time the passes and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", type=int, default=320, help="pixels a side (320)")
    parser.add_argument("--batch", type=int, default=8, help="images per batch (8)")
    parser.add_argument("--repeats", type=int, default=7, help="timed passes of each pipeline (7)")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="where ours runs")
    given = parser.parse_args()
    set_track_meta(False)  # plain tensors: MONAI's faster way
    timed = passes(given.size, given.batch, torch.device(given.device))
    spent = medians(timed, given.repeats)
    images = BATCHES * given.batch
    show(
        {key: images / taken.seconds for key, taken in spent.items()},
        f"augmentation=default, {given.size} × {given.size} pixels, batches of {given.batch}, ours on {given.device}, "
        f"{torch.get_num_threads()} CPU threads, median of {given.repeats}",
    )


if __name__ == "__main__":
    main()
