from __future__ import annotations

import pytest
from torch import nn

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
