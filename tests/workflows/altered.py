"""Commands with something done to the network or the process: `python -m tests.workflows.altered CHANGE COMMAND …`."""

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
from lss_lightning.workflows.evaluation import pages


def frozen() -> None:
    """Batch norm keeps the statistics it began with."""
    usual = NetworkSpec.build

    def build(self: NetworkSpec, pretrained: bool | str = False) -> UNet:
        network = usual(self, pretrained)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return network

    NetworkSpec.build = build  # type: ignore[method-assign]


def unpictured() -> None:
    """No picture is drawn and no page written: most of the time that a small run takes."""
    patch.object(train, "plot_curves").start()
    patch.object(pages, "draw_pictures", return_value=[]).start()
    patch.object(pages, "write_overview").start()


def struck(number: signal.Signals = signal.SIGKILL, step: int = 8) -> None:
    """A signal hits the process in the given training step, counted from 1."""
    usual = SegmentationModule.training_step

    def training_step(self: SegmentationModule, batch: Any, index: int) -> Any:
        if self.global_step == step - 1:
            os.kill(os.getpid(), number)
        return usual(self, batch, index)

    SegmentationModule.training_step = training_step  # type: ignore[method-assign]


def spoilt() -> None:
    """Learning rate 0.1 makes the loss no number, 0.2 meets a bug, 0.3 needs more memory than there is."""
    usual = SegmentationModule.training_step

    def training_step(self: SegmentationModule, batch: Any, index: int) -> Any:
        rate = self.trainer.optimizers[0].param_groups[0]["lr"]
        if rate == 0.2:
            raise RuntimeError("shapes do not fit")
        if rate == 0.3:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return usual(self, batch, index) * (math.nan if rate == 0.1 else 1)

    SegmentationModule.training_step = training_step  # type: ignore[method-assign]


if __name__ == "__main__":
    for change in sys.argv[1].split("+"):
        {"frozen": frozen, "spoilt": spoilt, "struck": struck, "unpictured": unpictured}[change]()
    cli.run(sys.argv[2], sys.argv[3:])
