from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from lss_lightning.errors import PrunedError
from lss_lightning.models.epoch_scores import MONITORED_METRIC
from lss_lightning.workflows.training import pruning
from lss_lightning.workflows.training.pruning import PruningCallback


class FakeTrial:
    """Advises to stop from epoch 1 on."""

    pruner = "MedianPruner"

    def __init__(self) -> None:
        self.reported: list[tuple[int, float]] = []

    def should_stop(self, epoch: int, objective: float) -> bool:
        self.reported.append((epoch, objective))
        return epoch >= 1


def make_trainer(*, rank: int = 0, received: str | None = None) -> Any:
    """Return a trainer of three epochs, on rank 1 with what rank 0 broadcasts."""
    broadcast = (lambda advice: advice) if rank == 0 else (lambda advice: received)
    return SimpleNamespace(
        is_global_zero=rank == 0,
        current_epoch=0,
        max_epochs=3,
        should_stop=False,
        strategy=SimpleNamespace(broadcast=broadcast),
        callback_metrics={MONITORED_METRIC: torch.tensor(0.25)},
    )


@pytest.fixture
def callback(monkeypatch):
    monkeypatch.setattr(pruning, "RunningTrial", FakeTrial)
    return PruningCallback()


def validate(callback, trainer, epoch):
    trainer.current_epoch = epoch
    callback.on_validation_end(trainer, None)


def test_a_trial_stops_after_the_epoch_in_which_its_pruner_advises_to(callback):
    trainer = make_trainer()
    callback.on_fit_start(trainer, None)
    validate(callback, trainer, 0)
    callback.check()
    assert not trainer.should_stop
    validate(callback, trainer, 1)
    assert trainer.should_stop
    assert callback._trial.reported == [(0, 0.25), (1, 0.25)]
    with pytest.raises(PrunedError, match=r"stopped after epoch 1 with objective 0\.2500 by MedianPruner"):
        callback.check()


def test_a_trial_that_has_been_trained_is_not_stopped(callback):
    trainer = make_trainer()
    callback.on_fit_start(trainer, None)
    validate(callback, trainer, 2)
    assert not trainer.should_stop
    trainer.should_stop = True  # by early stopping
    validate(callback, trainer, 1)
    callback.check()
    assert callback._trial.reported == [(2, 0.25), (1, 0.25)]


@pytest.mark.parametrize("received", [None, "stopped after epoch 0"])
def test_rank_0_decides_for_other_ranks(received, callback):
    trainer = make_trainer(rank=1, received=received)
    callback.on_fit_start(trainer, None)
    validate(callback, trainer, 1)
    assert callback._trial is None
    assert (trainer.should_stop, callback.reason) == (received is not None, received)
