"""Training images per second, end to end: ours, segmentation_models.pytorch and MONAI.

``python bench/bench_train.py [--device cuda] [--passes 3] [--settings resnet34:320 …]``

All train the same U-Net (upsampling by nearest neighbour) on the same phantom composites with Adam and cross-entropy,
the same batch size, threads and number of workers, and the operations of ``augmentation=default`` that their library
offers. Each contender runs in its own process. Passes are interleaved, so that other load affects all equally, and
medians are reported. Needs ``pip install '.[bench]'``.

The epoch continues after the last timed step, so that the workers are as busy then as when the clock starts.
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

# Works without installing the package.
sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from rich.console import Console
from rich.table import Table

from bench.contenders.setting import Result, Setting
from lss_lightning.data.processors import count_processors
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
"""Number of patients, with three slices each: more slices than the eight batches of eight of a run."""


def run_contender(command: tuple[str, ...], setting: Setting) -> Result:
    """Run a contender in its own process."""
    module, *arguments = command
    line = [sys.executable, "-W", "ignore", "-m", module, *arguments, json.dumps(vars(setting))]
    environment = {**os.environ, "OMP_NUM_THREADS": str(setting.threads)}
    process = subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{process.stderr}")
    return Result(**json.loads(process.stdout.splitlines()[-1]))


def matmul_peak(device: str, dtype: torch.dtype) -> float:
    """Return the floating-point operations per second of a large matrix multiplication, the best of several runs."""
    size = 8192 if device == "cuda" else 2048
    factor = torch.randn(size, size, device=device, dtype=dtype)
    times = []
    for _ in range(8):
        start = time.perf_counter()
        factor @ factor
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return 2 * size**3 / min(times)


def print_results(setting: Setting, passes: dict[str, list[Result]], peak: float, note: str) -> None:
    """Print the table of one encoder."""
    title = f"Training {setting.encoder} U-Net, {setting.size} × {setting.size}, batch {setting.batch}, {note}"
    table = Table(
        title=title, caption="Shares are fractions of the time end to end. Phantom data.", title_justify="left"
    )
    table.add_column("")
    for heading in (
        "images/s\nend to end",
        f"ratio to\n{DOCUMENTED.partition(',')[0]} documented",
        "images/s\nstep alone",
        "waiting\nfor data",
        "augmen-\ntation",
        "metrics",
        "loop",
        "peak memory",
        "of matmul\npeak",
    ):
        table.add_column(heading, justify="right")
    rate = {
        name: setting.images / statistics.median(result.seconds for result in results)
        for name, results in passes.items()
    }
    for name, results in passes.items():
        share = {
            key: statistics.median(result.shares.get(key, 0.0) for result in results)
            for key in ("data", "augmentation", "metrics", "network")
        }
        step = statistics.median(result.step_seconds for result in results)
        table.add_row(
            name,
            f"{rate[name]:.2f}",
            f"{rate[name] / rate[DOCUMENTED]:.2f}" if DOCUMENTED in rate else "",
            f"{setting.images / step:.2f}",
            f"{share['data']:.1%}",
            f"{share['augmentation']:.1%}" if name == OURS else "in workers",
            f"{share['metrics']:.1%}",
            f"{1 - sum(share.values()):.1%}",
            f"{max(result.memory for result in results) / 2**30:.1f} GiB",
            f"{results[0].flops * setting.steps / step / peak:.0%}",
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
    parser.add_argument("--threads", type=int, default=count_processors())
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    peak = matmul_peak(args.device, torch.bfloat16)
    single = matmul_peak(args.device, torch.float32)
    note = f"{args.device}, {args.threads} threads, {args.workers} workers, median of {args.passes}"
    print(
        f"matrix multiplication: bf16 {peak / 1e12:.2f}, fp32 {single / 1e12:.2f} TFLOP/s; shares are relative to bf16"
    )
    with tempfile.TemporaryDirectory() as folder:
        for text in args.settings:
            encoder, _, size = text.partition(":")
            root = Path(folder) / size
            if not root.exists():
                write_phantom(root, patients=PATIENTS, image_size=int(size), seed=0)
            setting = Setting(
                str(root), encoder, int(size), args.batch, args.warmup, args.steps, args.workers, args.threads,
                args.device,
            )  # fmt: skip
            passes: dict[str, list[Result]] = {name: [] for name in args.contenders}
            for _ in range(args.passes):
                for name in args.contenders:
                    passes[name].append(run_contender(CONTENDERS[name], setting))
            print_results(setting, passes, peak, note)


if __name__ == "__main__":
    main()
