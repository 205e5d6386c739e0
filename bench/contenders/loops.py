"""A plain training loop in several variants, selected by name on the command line."""

from __future__ import annotations

import sys
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader

from bench.contenders import smp_common
from bench.contenders.setting import (
    Clock,
    Result,
    Setting,
    count_flops,
    read_peak_memory,
    run_from_command_line,
    time_isolated_steps,
)


def documented(setting: Setting) -> Result:
    """Train with segmentation_models.pytorch as documented, in fp32."""
    return _loop(
        setting, smp_common.build_network(setting), smp_common.make_loader(setting, smp_common.Slices(setting))
    )


def tuned(setting: Setting) -> Result:
    """Train with segmentation_models.pytorch in bf16, channels last and compiled."""
    model = smp_common.build_network(setting).to(memory_format=torch.channels_last)
    loader = smp_common.make_loader(setting, smp_common.Slices(setting))
    return _loop(setting, model, loader, bf16=True)


def cached(setting: Setting) -> Result:
    """Train with MONAI's CacheDataset and transforms, in fp32."""
    from bench.contenders.cached import build_dataset

    return _loop(setting, smp_common.build_network(setting), smp_common.make_loader(setting, build_dataset(setting)))


def _loop(setting: Setting, model: nn.Module, loader: DataLoader[smp_common.Batch], *, bf16: bool = False) -> Result:
    clock, device = Clock(setting.device), setting.device
    model = model.to(device).train()
    compiled: Any = torch.compile(model) if bf16 else model
    step = smp_common.make_step(compiled, device, bf16=bf16)
    batches, counts, start = iter(loader), [], 0.0
    for number in range(setting.batches):
        if number == setting.warmup:
            clock.spent.clear()
            start = clock.now()
        with clock("data"):
            images, target = next(batches)
        images, target = images.to(device, non_blocking=True), target.to(device, non_blocking=True)
        if bf16:
            images = images.contiguous(memory_format=torch.channels_last)
        with clock("network"):
            loss, logits = step(images, target)
        with clock("metrics"):
            counts.append(smp_common.compute_stats(logits, target))
    seconds = clock.now() - start
    del batches  # stops the workers
    shares = {name: spent / seconds for name, spent in clock.spent.items()}
    return Result(
        seconds=seconds,
        step_seconds=time_isolated_steps(lambda: step(images, target)[0], setting, clock),
        shares=shares,
        memory=read_peak_memory(device),
        flops=count_flops(model, images),
        loss=float(loss),
    )


VARIANTS = {function.__name__: function for function in (documented, tuned, cached)}

if __name__ == "__main__":
    run_from_command_line(VARIANTS[sys.argv.pop(1)])
