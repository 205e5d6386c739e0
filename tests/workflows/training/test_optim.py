from __future__ import annotations

import pytest
from torch import nn

from lss_lightning.errors import UserError
from lss_lightning.models.epoch_scores import MONITORED_METRIC
from lss_lightning.workflows.training.optim import is_optimizer_fused, make_optimizers
from tests.conftest import configure


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ([], True),
        (["optimizer=adamw"], True),
        (["optimizer=sgd"], True),
        (["optimizer=rmsprop"], False),
        (["+optimizer.foreach=true"], False),
        (["trainer.precision=16-mixed"], True),
        (["trainer.precision=16-mixed", "trainer.gradient_clip_val=1"], False),
        (["trainer.precision=bf16-mixed", "trainer.gradient_clip_val=1"], False),
        (["trainer.precision=32-true", "trainer.gradient_clip_val=1"], True),
    ],
)
def test_optimizers_are_fused_if_possible(overrides, expected):
    config = configure(*overrides)
    optimizer = make_optimizers(config)(nn.Linear(1, 1))["optimizer"]
    assert bool(optimizer.defaults.get("fused")) is expected
    assert is_optimizer_fused(config, "cpu") is expected
    assert not is_optimizer_fused(config, "mps")


PLATEAU = ["scheduler=none", "scheduler._target_=torch.optim.lr_scheduler.ReduceLROnPlateau"]


def test_a_scheduler_that_follows_a_metric_follows_the_validation_objective():
    made = make_optimizers(configure(*PLATEAU, "+scheduler.mode=max"))(nn.Linear(1, 1))
    assert made["lr_scheduler"]["monitor"] == MONITORED_METRIC


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["+scheduler.mode=max", "split=image"], "but split=image, as set here, has no part to compute it on"),
        ([], "scheduler.mode=min: val/mean_iou_anatomy, which it follows, is better if it is greater"),
    ],
)
def test_a_scheduler_whose_metric_cannot_be_followed_is_refused_at_the_start(overrides, message):
    with pytest.raises(UserError, match=message):
        make_optimizers(configure(*PLATEAU, *overrides))
