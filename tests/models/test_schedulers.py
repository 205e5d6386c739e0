from __future__ import annotations

import pytest
from torch import nn
from torch.optim import SGD

from lss_lightning.models.schedulers import WarmupCosine


def test_warm_up_rises_linearly_and_cosine_falls_to_the_minimum():
    optimizer = SGD(nn.Linear(1, 1).parameters(), lr=1.0)
    scheduler = WarmupCosine(optimizer, total=10, warmup=4, start_factor=0.2, eta_min=0.1)
    rates = []
    for _ in range(11):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert rates[7] == pytest.approx(0.55)
    assert rates[10] == pytest.approx(0.1)
