"""How many images a second train: ours, segmentation_models.pytorch and MONAI, end to end, side by side.

``python bench/bench_train.py [--device cuda] [--passes 3] [--settings resnet34:320 …]``

All train the same U-Net (upsampling by nearest neighbour) on the same phantom composites with Adam and cross-entropy,
the same batch size, threads and number of workers, and augment by the ranges of ``augmentation=default`` as far as
their library has them. Each contender runs in a process of its own; passes are interleaved, so that a busy machine
slows all alike, and medians are shown. Needs ``pip install '.[bench]'``.

The epoch goes on after the last step that counts, so that all workers are as busy then as when the clock starts.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# A checkout's package need not be installed.
sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from rich.console import Console
from rich.table import Table

from bench.contenders.setting import Measured, Setting
from lss_lightning.phantom import write_phantom

ROOT = Path(__file__).parents[1]

CONTENDERS = {
    "lss_lightning": ("bench.contenders.ours",),
    "smp, plain loop as documented": ("bench.contenders.loops", "documented"),
    "smp, tuned: bf16, channels last, compile": ("bench.contenders.loops", "tuned"),
    "smp in Lightning": ("bench.contenders.smp_lightning",),
    "MONAI CacheDataset, smp's U-Net": ("bench.contenders.loops", "cached"),
}
"""Module and arguments by name."""

OURS, DOCUMENTED = list(CONTENDERS)[:2]
PATIENTS = 22
"""Of three slices each: more than the eight batches of eight of one run."""


def measure(command: tuple[str, ...], setting: Setting) -> Measured:
    """Run a contender in a process of its own."""
    module, *arguments = command
    line = [sys.executable, "-W", "ignore", "-m", module, *arguments, json.dumps(vars(setting))]
    environment = {**os.environ, "OMP_NUM_THREADS": str(setting.threads)}
    done = subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


def matmul_peak(device: str, dtype: torch.dtype) -> float:
    """Floating-point operations a second of a large matrix multiplication, the best of several."""
    size = 8192 if device == "cuda" else 2048
    factor = torch.randn(size, size, device=device, dtype=dtype)
    taken = []
    for _ in range(8):
        start = time.perf_counter()
        factor @ factor
        if device == "cuda":
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - start)
    return 2 * size**3 / min(taken)


def show(setting: Setting, passes: dict[str, list[Measured]], peak: float, note: str) -> None:
    """Print one encoder's table."""
    title = f"Training {setting.encoder} U-Net, {setting.size} × {setting.size}, batch {setting.batch}, {note}"
    table = Table(title=title, caption="Shares are of the time end to end. Phantom data.", title_justify="left")
    table.add_column("")
    for heading in (
        "images/s\nend to end",
        f"ratio to\n{DOCUMENTED.partition(',')[0]} documented",
        "images/s\nstep alone",
        "waiting\nfor data",
        "augmen-\ntation",
        "metrics",
        "loop around",
        "peak memory",
        "of matmul\npeak",
    ):
        table.add_column(heading, justify="right")
    rate = {name: setting.images / statistics.median(one.seconds for one in found) for name, found in passes.items()}
    for name, found in passes.items():
        share = {
            key: statistics.median(one.shares.get(key, 0.0) for one in found)
            for key in ("data", "augmentation", "metrics", "network")
        }
        step = statistics.median(one.step_seconds for one in found)
        table.add_row(
            name,
            f"{rate[name]:.2f}",
            f"{rate[name] / rate[DOCUMENTED]:.2f}" if DOCUMENTED in rate else "",
            f"{setting.images / step:.2f}",
            f"{share['data']:.1%}",
            f"{share['augmentation']:.1%}" if name == OURS else "in workers",
            f"{share['metrics']:.1%}",
            f"{1 - sum(share.values()):.1%}",
            f"{max(one.memory for one in found) / 2**30:.1f} GiB",
            f"{found[0].flops * setting.steps / step / peak:.0%}",
        )
    Console(width=160).print(table)


def main() -> None:
    """Time the passes and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--settings", nargs="+", default=["resnet34:320", "inception_v3:160", "vgg16:160"])
    parser.add_argument("--contenders", nargs="+", choices=list(CONTENDERS), default=list(CONTENDERS))
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--warmup", type=int, default=3)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--passes", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    given = parser.parse_args()
    peak = matmul_peak(given.device, torch.bfloat16)
    single = matmul_peak(given.device, torch.float32)
    note = f"{given.device}, {given.threads} threads, {given.workers} workers, median of {given.passes}"
    print(f"matrix multiplication: bf16 {peak / 1e12:.2f}, fp32 {single / 1e12:.2f} TFLOP/s; shares are of bf16's")
    with tempfile.TemporaryDirectory() as folder:
        for text in given.settings:
            encoder, _, size = text.partition(":")
            root = Path(folder) / size
            if not root.exists():
                write_phantom(root, patients=PATIENTS, image_size=int(size), seed=0)
            setting = Setting(
                str(root), encoder, int(size), given.batch, given.warmup, given.steps, given.workers, given.threads,
                given.device,
            )  # fmt: skip
            passes: dict[str, list[Measured]] = {name: [] for name in given.contenders}
            for _ in range(given.passes):
                for name in given.contenders:
                    passes[name].append(measure(CONTENDERS[name], setting))
            show(setting, passes, peak, note)


if __name__ == "__main__":
    main()
