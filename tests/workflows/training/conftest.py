from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from torch import Tensor

from lss_lightning.models.segmentation import SegmentationModule
from lss_lightning.models.specs import UNetSpec
from lss_lightning.workflows import train
from tests.workflows.altered import freeze_batch_norm


@pytest.fixture
def untested(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let runs end after training."""
    monkeypatch.setattr(train, "_test", lambda *_: (None, None))


class Steps(list[Any]):
    """The batches of the training steps so far.

    Attributes:
        changes: Functions of the module and the loss by number of the step, which return another loss or raise.
    """

    def __init__(self) -> None:
        super().__init__()
        self.changes: dict[int, Callable[[SegmentationModule, Tensor], Tensor]] = {}


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Steps:
    """Records the batch of each training step, and can change its loss."""
    recorded, original = Steps(), SegmentationModule.training_step

    def training_step(self: SegmentationModule, batch: Any, index: int) -> Any:
        loss = original(self, batch, index)
        recorded.append(batch)
        return recorded.changes.get(len(recorded), lambda _, loss: loss)(self, loss)

    monkeypatch.setattr(SegmentationModule, "training_step", training_step)
    return recorded


@pytest.fixture
def frozen_batch_norm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the initial statistics of batch norm."""
    monkeypatch.setattr(UNetSpec, "build", UNetSpec.build)
    freeze_batch_norm()
