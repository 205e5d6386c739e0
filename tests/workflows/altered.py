"""Commands with something done to the network or the process: `python -m tests.workflows.altered CHANGE COMMAND …`."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from torch import nn

from lss_lightning import entry
from lss_lightning.models.checkpoint import NetworkSpec
from lss_lightning.models.segmenter import Segmenter
from lss_lightning.models.unet import UNet


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


def struck(number: signal.Signals = signal.SIGKILL, step: int = 8) -> None:
    """A signal hits the process in the given training step, counted from 1."""
    usual = Segmenter.training_step

    def training_step(self: Segmenter, batch: Any, index: int) -> Any:
        if self.global_step == step - 1:
            os.kill(os.getpid(), number)
        return usual(self, batch, index)

    Segmenter.training_step = training_step  # type: ignore[method-assign]


if __name__ == "__main__":
    for change in sys.argv[1].split("+"):
        {"frozen": frozen, "struck": struck}[change]()
    entry.run(sys.argv[2], sys.argv[3:])
