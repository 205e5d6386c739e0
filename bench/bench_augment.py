"""Augmented images per second: batches on the device, compared with MONAI's transforms for single samples.

``python bench/bench_augment.py [--size 320] [--batch 8] [--repeats 7] [--device cuda]``

Both create composites from the same phantom slices in memory, with the operations and ranges of
``augmentation=default``: one warp by rotation, scale, shift and elastic deformation, mirroring, a shift of T2 against
T1, and bias field, blur, noise and gamma in T1 and T2. MONAI's transforms run on the CPU, in the training process or in
one worker of a DataLoader; ours run on the device, with batches from the training process or from one worker. Passes
are interleaved, so that other load affects all equally, and medians are reported.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

# Works without installing the package.
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

from bench.timing import measure_medians
from lss_lightning.config.sections import config_folder
from lss_lightning.config.validation import build
from lss_lightning.data.augment import AugmentationConfig
from lss_lightning.data.augment.augmenter import Augmenter
from lss_lightning.data.composite import build_composite, positive_difference
from lss_lightning.phantom import RenderedSlice, render_slice

FIELD_OF_VIEW = 220.0
BATCHES = 4
"""Number of batches in a timed pass."""


class Slices(Dataset[Any]):
    """Phantom slices in memory, transformed on access; slices repeat if there are fewer than ``length``."""

    def __init__(self, slices: list[RenderedSlice], length: int, transform: Callable[[RenderedSlice], Any]) -> None:
        self.slices, self.length, self.transform = slices, length, transform

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Any:
        return self.transform(self.slices[index % len(self.slices)])


def to_tensors(slice_: RenderedSlice) -> tuple[Tensor, Tensor]:
    """Return the composite (3, H, W) and the label (H, W) of a slice, uint8."""
    image = np.ascontiguousarray(build_composite(slice_.t1, slice_.t2).transpose(2, 0, 1))
    return torch.from_numpy(image), torch.from_numpy(slice_.label)


class MonaiTransform:
    """MONAI's dictionary transforms of one slice, with independent draws for each channel, like ours."""

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

    def __call__(self, slice_: RenderedSlice) -> tuple[Tensor, Tensor]:
        """Return the augmented composite (3, H, W) float32 and label (H, W) uint8."""
        result: Any = self.steps({"t1": slice_.t1, "t2": slice_.t2, "label": slice_.label})
        image = torch.cat([result["t1"], result["t2"], positive_difference(result["t1"], result["t2"])])
        return image, result["label"][0].to(torch.uint8)


Key = tuple[str, int]
"""Name of the pipeline, and number of worker processes."""

OURS, MONAI = "ours, by batch", "MONAI, by slice"


def make_pipelines(size: int, batch: int, device: torch.device) -> dict[Key, Callable[[], None]]:
    """Return the pipelines, each of which reads and augments :data:`BATCHES` batches."""
    spacing = FIELD_OF_VIEW / size
    with initialize_config_dir(str(config_folder()), version_base=None):
        chosen: Any = OmegaConf.to_container(compose(overrides=["+augmentation=default"]))
    config = build(AugmentationConfig, chosen["augmentation"], "augmentation")
    slices = [render_slice(0, patient, "D4", size) for patient in range(1, min(batch, 8) + 1)]
    augmenter, epochs = Augmenter(config, 0, "composite"), count()

    def augment(images: Tensor, labels: Tensor) -> None:
        augmenter(
            images,
            labels,
            sizes=[(size, size)] * batch,
            spacings=[spacing] * batch,
            digests=[str(index) for index in range(batch)],
            epoch=next(epochs),  # new draws for each batch
        )

    def do_nothing(images: Tensor, labels: Tensor) -> None:
        """MONAI's batches are augmented by the loader."""

    def make_pass(
        workers: int, transform: Callable[[RenderedSlice], Any], process: Callable[[Tensor, Tensor], None]
    ) -> Callable[[], None]:
        loader = DataLoader(
            Slices(slices, BATCHES * batch, transform),
            batch,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=device.type == "cuda",
        )

        def run() -> None:
            for images, labels in loader:
                process(images.to(device, non_blocking=True), labels.to(device, non_blocking=True))
            if device.type == "cuda":
                torch.cuda.synchronize()

        return run

    monai = MonaiTransform(config, spacing)
    return {
        (MONAI, 0): make_pass(0, monai, do_nothing),
        (OURS, 0): make_pass(0, to_tensors, augment),
        (MONAI, 1): make_pass(1, monai, do_nothing),
        (OURS, 1): make_pass(1, to_tensors, augment),
    }


def print_rates(rates: dict[Key, float], title: str) -> None:
    """Print a table of images per second."""
    table = Table(title=title)
    for heading in ("", "slices read by", "images/s", "ratio to MONAI"):
        table.add_column(heading, justify="left" if heading in ("", "slices read by") else "right")
    for (name, workers), rate in rates.items():
        reader = "one worker" if workers else "the training process"
        table.add_row(name, reader, f"{rate:.0f}", f"{rate / rates[MONAI, workers]:.2f}")
    Console().print(table)


def main() -> None:
    """Time the pipelines and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", type=int, default=320, help="height and width in pixels (320)")
    parser.add_argument("--batch", type=int, default=8, help="images per batch (8)")
    parser.add_argument("--repeats", type=int, default=7, help="timed passes of each pipeline (7)")
    parser.add_argument(
        "--device", default="cuda" if torch.cuda.is_available() else "cpu", help="device of our augmentation"
    )
    args = parser.parse_args()
    set_track_meta(False)  # MONAI is faster with plain tensors
    pipelines = make_pipelines(args.size, args.batch, torch.device(args.device))
    timings = measure_medians(pipelines, args.repeats)
    images = BATCHES * args.batch
    print_rates(
        {key: images / timing.seconds for key, timing in timings.items()},
        f"augmentation=default, {args.size} × {args.size} pixels, batches of {args.batch}, ours on {args.device}, "
        f"{torch.get_num_threads()} CPU threads, median of {args.repeats}",
    )


if __name__ == "__main__":
    main()
