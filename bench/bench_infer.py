"""How many slices a second are segmented: ours against segmentation_models.pytorch, and what bf16 costs in IoU.

``python bench/bench_infer.py [--encoder resnet34] [--size 320] [--device cuda] [--checkpoint logs/…/best.ckpt]``

Both read phantom composites from PNG files, normalise them, and give label maps; ours through the trainer that
``evaluate.py`` uses, at ``trainer.precision=auto``, the other in the plain loop of its documentation, in fp32. Passes
are interleaved, so that a busy machine slows both alike; medians are shown. With a checkpoint, its own test part is
evaluated in fp32 and at ``auto`` too. Needs ``pip install '.[bench]'``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

# A checkout's package need not be installed.
sys.path.insert(0, str(Path(__file__).parents[1]))

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from bench.contenders import others
from bench.contenders.setting import CLASSES, Setting, files
from bench.timing import medians, show
from lss_lightning.config.sections import TrainerConfig
from lss_lightning.data.alkafri import find_slices
from lss_lightning.data.batches import SliceDataset, collate
from lss_lightning.data.loading import load_slices
from lss_lightning.labels import LUMBAR
from lss_lightning.models.checkpoint import NetworkSpec
from lss_lightning.models.segmentation import SegmentationModule
from lss_lightning.phantom import write_phantom
from lss_lightning.workflows.training.trainer import make_trainer

ROOT = Path(__file__).parents[1]
MEAN = STD = 0.2
"""Of every channel, as a share of 255: the speed does not depend on it."""

Maps = list[Any]


class Plain(Dataset[Tensor]):
    """Files read and normalised one by one."""

    def __init__(self, setting: Setting) -> None:
        self.files = files(setting)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Tensor:
        pixels = cv2.cvtColor(cv2.imread(str(self.files[index][0])), cv2.COLOR_BGR2RGB)
        return torch.from_numpy(((pixels / 255 - MEAN) / STD).astype(np.float32).transpose(2, 0, 1))


def documented(setting: Setting) -> Callable[[], Maps]:
    """segmentation_models.pytorch, fp32."""
    model = others.network(setting).to(setting.device).eval()
    loader = DataLoader(Plain(setting), setting.batch, num_workers=0)

    def run() -> Maps:
        with torch.inference_mode():
            return [model(images.to(setting.device)).argmax(1).cpu() for images in loader]

    return run


def ours(setting: Setting, precision: str) -> Callable[[], Maps]:
    """Reading, trainer and module of this project, with the same architecture."""
    spec = NetworkSpec("unet", setting.encoder, 3, CLASSES, "nearest", [256, 128, 64, 32, 16])
    module = SegmentationModule(spec.build(), LUMBAR, [MEAN] * 3, [STD] * 3)
    accelerator = "gpu" if setting.device == "cuda" else "cpu"
    trainer = make_trainer(
        TrainerConfig(accelerator=accelerator, devices=1, precision=precision),
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )

    def run() -> Maps:
        found = find_slices(Path(setting.folder), "composite").slices
        slices = [found[index % len(found)] for index in range(setting.images)]
        dataset = SliceDataset(load_slices(slices, "composite", LUMBAR), None, label_on_working_grid=False)
        return trainer.predict(module, DataLoader(dataset, setting.batch, collate_fn=collate)) or []

    return run


def mean_iou(checkpoint: str, precision: str) -> float:
    """Over all classes, of the checkpoint's own test part."""
    with tempfile.TemporaryDirectory() as folder:
        overrides = [f"ckpt_path={checkpoint}", f"trainer.precision={precision}", f"hydra.run.dir={folder}/out"]
        subprocess.run([sys.executable, str(ROOT / "evaluate.py"), *overrides], check=True, stdout=subprocess.DEVNULL)
        return float(json.loads((Path(folder) / "out" / "metrics.json").read_text())["mean_iou"])


def main() -> None:
    """Time the passes and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--encoder", default="resnet34")
    parser.add_argument("--size", type=int, default=320, help="pixels a side (320)")
    parser.add_argument("--batch", type=int, default=8, help="images per batch (8)")
    parser.add_argument("--batches", type=int, default=6, help="batches per pass (6)")
    parser.add_argument("--passes", type=int, default=5, help="timed passes (5)")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--checkpoint", help="whose test part shows what bf16 costs")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    with tempfile.TemporaryDirectory() as folder:
        write_phantom(Path(folder) / "phantom", patients=-(-given.batch // 3), image_size=given.size, seed=0)
        setting = Setting(
            folder=f"{folder}/phantom",
            encoder=given.encoder,
            size=given.size,
            batch=given.batch,
            warmup=0,
            steps=given.batches,
            workers=0,
            threads=given.threads,
            device=given.device,
        )
        timed = {
            "smp, as documented (fp32)": documented(setting),
            "lss_lightning, fp32": ours(setting, "32-true"),
            "lss_lightning, precision=auto": ours(setting, "auto"),
        }
        spent = medians(timed, given.passes)
    rates = {name: setting.images / taken.seconds for name, taken in spent.items()}
    first = next(iter(rates.values()))
    show(
        ("slices/s", "ratio"),
        [(name, f"{rate:.2f}", f"{rate / first:.2f}") for name, rate in rates.items()],
        f"Segmenting with a {given.encoder} U-Net, {given.size} × {given.size}, batch {given.batch}, "
        f"{given.device}, {given.threads} threads, median of {given.passes}",
        "From PNG files to label maps. Phantom data.",
    )
    if given.checkpoint:
        full, auto = (mean_iou(given.checkpoint, precision) for precision in ("32-true", "auto"))
        print(f"mean IoU of the checkpoint's test part: {full:.4f} in fp32, {auto:.4f} at auto ({auto - full:+.4f})")


if __name__ == "__main__":
    main()
