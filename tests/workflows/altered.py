"""Commands with a changed network or process: `python -m tests.workflows.altered CHANGE[+CHANGE] COMMAND …`."""

from __future__ import annotations

import math
import os
import signal
import sys
from typing import Any
from unittest.mock import patch

import torch
from torch import nn

from lss_lightning.cli import main as cli
from lss_lightning.models.checkpoint import NetworkSpec
from lss_lightning.models.segmentation import SegmentationModule
from lss_lightning.models.unet import UNet
from lss_lightning.workflows import train
from lss_lightning.workflows.evaluation import report


def freeze_batch_norm() -> None:
    """Keep the initial statistics of batch norm."""
    original = NetworkSpec.build

    def build(self: NetworkSpec, pretrained: bool | str = False) -> UNet:
        network = original(self, pretrained)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return network

    NetworkSpec.build = build  # type: ignore[method-assign]


def skip_figures() -> None:
    """Draw no figures and write no page, which take most of the time of a small run."""
    patch.object(train, "plot_curves").start()
    patch.object(report, "draw_figures").start()
    patch.object(report, "write_overview").start()


def compile_eagerly() -> None:
    """Let ``torch.compile`` trace a network without generating code, which takes much longer than a small run."""
    original = nn.Module.compile
    nn.Module.compile = lambda self: original(self, backend="eager")  # type: ignore[method-assign, misc]


def send_signal(number: signal.Signals = signal.SIGKILL, step: int = 8) -> None:
    """Send a signal to the process in the given training step, counted from 1."""
    original = SegmentationModule.training_step

    def training_step(self: SegmentationModule, batch: Any, index: int) -> Any:
        if self.global_step == step - 1:
            os.kill(os.getpid(), number)
        return original(self, batch, index)

    SegmentationModule.training_step = training_step  # type: ignore[method-assign, assignment]


def fail_by_learning_rate() -> None:
    """Make the loss NaN at learning rate 0.1, raise a bug at 0.2, and run out of memory at 0.3."""
    original = SegmentationModule.training_step

    def training_step(self: SegmentationModule, batch: Any, index: int) -> Any:
        rate = self.trainer.optimizers[0].param_groups[0]["lr"]
        if rate == 0.2:
            raise RuntimeError("shapes do not fit")
        if rate == 0.3:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        loss = original(self, batch, index)
        assert loss is not None
        return loss * (math.nan if rate == 0.1 else 1)

    SegmentationModule.training_step = training_step  # type: ignore[method-assign, assignment]


CHANGES = {
    change.__name__: change
    for change in (freeze_batch_norm, skip_figures, compile_eagerly, send_signal, fail_by_learning_rate)
}

if __name__ == "__main__":
    for name in sys.argv[1].split("+"):
        CHANGES[name]()
    cli.run(sys.argv[2], sys.argv[3:])
