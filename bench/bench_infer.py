"""Segmented slices per second, compared with segmentation_models.pytorch, and the effect of bf16 on IoU.

``python bench/bench_infer.py [--encoder resnet34] [--size 320] [--device cuda] [--checkpoint logs/…/best.ckpt]``

Both read phantom composites from PNG files, normalise them, and return label maps. Ours uses the trainer of
``evaluate.py`` with ``trainer.precision=auto``, the other the plain loop of its documentation in fp32. Passes are
interleaved, so that other load affects both equally, and medians are reported. With a checkpoint, its test set is also
evaluated in fp32 and with ``auto``. Needs ``pip install '.[bench]'``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeAlias

# Works without installing the package.
sys.path.insert(0, str(Path(__file__).parents[1]))

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from bench.contenders import smp_common
from bench.contenders.setting import CLASSES, Setting, list_files
from bench.timing import measure_medians, print_table
from lss_lightning.config.trainer import TrainerConfig
from lss_lightning.data.alkafri import find_slices
from lss_lightning.data.batches import SliceDataset, collate
from lss_lightning.data.loading import load_slices
from lss_lightning.data.processors import count_processors
from lss_lightning.labels import LUMBAR
from lss_lightning.models.segmentation import SegmentationModule
from lss_lightning.models.specs import UNetSpec
from lss_lightning.phantom import write_phantom
from lss_lightning.workflows.training.trainer import make_trainer

ROOT = Path(__file__).parents[1]
MEAN = STD = 0.2
"""Mean and standard deviation of every channel as a fraction of 255; the speed does not depend on them."""

LabelMaps: TypeAlias = list[Any]


class ImageFiles(Dataset[Tensor]):
    """Image files that are read and normalised on access."""

    def __init__(self, setting: Setting) -> None:
        self.files = list_files(setting)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Tensor:
        pixels = cv2.cvtColor(cv2.imread(str(self.files[index][0])), cv2.COLOR_BGR2RGB)
        return torch.from_numpy(((pixels / 255 - MEAN) / STD).astype(np.float32).transpose(2, 0, 1))


def make_smp_pass(setting: Setting) -> Callable[[], LabelMaps]:
    """Return a pass with segmentation_models.pytorch in fp32."""
    model = smp_common.build_network(setting).to(setting.device).eval()
    loader = DataLoader(ImageFiles(setting), setting.batch, num_workers=0)

    def run() -> LabelMaps:
        with torch.inference_mode():
            return [model(images.to(setting.device)).argmax(1).cpu() for images in loader]

    return run


def make_our_pass(setting: Setting, precision: Literal["32-true", "auto"]) -> Callable[[], LabelMaps]:
    """Return a pass with data loading, trainer and module of this package, and the same architecture."""
    spec = UNetSpec("unet", setting.encoder, 3, CLASSES, "nearest", [256, 128, 64, 32, 16])
    module = SegmentationModule(spec.build(), LUMBAR, [MEAN] * 3, [STD] * 3)
    trainer = make_trainer(
        TrainerConfig(accelerator="gpu" if setting.device == "cuda" else "cpu", devices=1, precision=precision),
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )

    def run() -> LabelMaps:
        available = find_slices(Path(setting.folder), "composite").slices
        slices = [available[index % len(available)] for index in range(setting.images)]
        dataset = SliceDataset(load_slices(slices, "composite", LUMBAR), None, label_on_working_grid=False)
        return trainer.predict(module, DataLoader(dataset, setting.batch, collate_fn=collate)) or []

    return run


def evaluate_mean_iou(checkpoint: str, precision: str) -> float:
    """Return the mean IoU over all classes on the test set of a checkpoint."""
    with tempfile.TemporaryDirectory() as folder:
        overrides = [f"ckpt_path={checkpoint}", f"trainer.precision={precision}", f"hydra.run.dir={folder}/out"]
        subprocess.run([sys.executable, str(ROOT / "evaluate.py"), *overrides], check=True, stdout=subprocess.DEVNULL)
        return float(json.loads((Path(folder) / "out" / "metrics.json").read_text())["mean_iou"])


def main() -> None:
    """Time the passes and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--encoder", default="resnet34")
    parser.add_argument("--size", type=int, default=320, help="height and width in pixels (320)")
    parser.add_argument("--batch", type=int, default=8, help="images per batch (8)")
    parser.add_argument("--batches", type=int, default=6, help="batches per pass (6)")
    parser.add_argument("--passes", type=int, default=5, help="timed passes (5)")
    parser.add_argument("--threads", type=int, default=count_processors())
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--checkpoint", help="checkpoint whose test set shows the effect of bf16")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as folder:
        write_phantom(Path(folder) / "phantom", patients=-(-args.batch // 3), image_size=args.size, seed=0)
        setting = Setting(
            folder=f"{folder}/phantom",
            encoder=args.encoder,
            size=args.size,
            batch=args.batch,
            warmup=0,
            steps=args.batches,
            workers=0,
            threads=args.threads,
            device=args.device,
        )
        passes = {
            "smp, as documented (fp32)": make_smp_pass(setting),
            "lss_lightning, fp32": make_our_pass(setting, "32-true"),
            "lss_lightning, precision=auto": make_our_pass(setting, "auto"),
        }
        timings = measure_medians(passes, args.passes)
    rates = {name: setting.images / timing.seconds for name, timing in timings.items()}
    reference = next(iter(rates.values()))
    print_table(
        ("slices/s", "ratio"),
        [(name, f"{rate:.2f}", f"{rate / reference:.2f}") for name, rate in rates.items()],
        f"Segmenting with a {args.encoder} U-Net, {args.size} × {args.size}, batch {args.batch}, "
        f"{args.device}, {args.threads} threads, median of {args.passes}",
        "From PNG files to label maps. Phantom data.",
    )
    if args.checkpoint:
        full, auto = (evaluate_mean_iou(args.checkpoint, precision) for precision in ("32-true", "auto"))
        print(f"mean IoU on the checkpoint's test set: {full:.4f} in fp32, {auto:.4f} with auto ({auto - full:+.4f})")


if __name__ == "__main__":
    main()
