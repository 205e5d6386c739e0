"""The plain loop that the others' variants share; each variant is a name on the command line."""

from __future__ import annotations

import sys

import torch
from torch import nn
from torch.utils.data import DataLoader

from bench.contenders import others
from bench.contenders.setting import Clock, Measured, Setting, answer, bare_steps, count_flops, peak_memory


def documented(setting: Setting) -> Measured:
    """segmentation_models.pytorch as documented: fp32."""
    return _loop(setting, others.network(setting), others.loader(setting, others.Slices(setting)))


def tuned(setting: Setting) -> Measured:
    """The same with what an expert adds: bf16, channels last, compiled."""
    model = others.network(setting).to(memory_format=torch.channels_last)
    loader = others.loader(setting, others.Slices(setting))
    return _loop(setting, model, loader, bf16=True)


def cached(setting: Setting) -> Measured:
    """MONAI's CacheDataset and transforms, fp32."""
    from bench.contenders.cached import dataset

    return _loop(setting, others.network(setting), others.loader(setting, dataset(setting)))


def _loop(setting: Setting, model: nn.Module, loader: DataLoader[others.Batch], *, bf16: bool = False) -> Measured:
    clock, device = Clock(setting.device), setting.device
    model = model.to(device).train()
    plain = model
    if bf16:
        model = torch.compile(model)
    step = others.make_step(model, device, bf16=bf16)
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
            counts.append(others.stats(logits, target))
    seconds = clock.now() - start
    del batches  # and with it the workers
    shares = {name: spent / seconds for name, spent in clock.spent.items()}
    return Measured(
        seconds=seconds,
        step_seconds=bare_steps(lambda: step(images, target)[0], setting, clock),
        shares=shares,
        memory=peak_memory(device),
        flops=count_flops(plain, images),
        loss=float(loss),
    )


VARIANTS = {function.__name__: function for function in (documented, tuned, cached)}

if __name__ == "__main__":
    answer(VARIANTS[sys.argv.pop(1)])
