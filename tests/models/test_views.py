"""Test-time views and their inverses."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from lss_lightning.models.views import TTA_VIEWS, TTAView


def blob(height: int, width: int) -> Tensor:
    """A smooth off-centre spot, (1, 1, height, width), 0 to 1."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    distance = ((rows - 0.42 * height) ** 2 + (columns - 0.58 * width) ** 2) / (0.08 * width) ** 2
    return torch.exp(-distance)[None, None].float()


def centroid(spot: Tensor) -> tuple[float, float]:
    weights = spot[0, 0] / spot.sum()
    rows, columns = (torch.arange(length) for length in weights.shape)
    return float((weights.sum(1) * rows).sum()), float((weights.sum(0) * columns).sum())


@pytest.mark.parametrize("view", TTA_VIEWS["full"], ids=str)
@pytest.mark.parametrize("size", [(96, 96), (80, 120)])
def test_inverse_of_every_view_restores_positions(view: TTAView, size: tuple[int, int]):
    spot = blob(*size)
    transformed = view.apply((255 * spot).round().to(torch.uint8))
    assert transformed.shape == spot.shape
    restored = view.invert(transformed.float() / 255)
    assert centroid(restored) == pytest.approx(centroid(spot), abs=0.02)
    assert float((restored - spot).abs().max()) < 0.05
    shift = np.subtract(centroid(transformed), centroid(spot))
    assert (np.hypot(*shift) > 0.5) == (view != TTAView())


def test_a_positive_turn_moves_the_right_edge_down():
    bar = torch.zeros(1, 1, 61, 61)
    bar[..., 30, :] = 255
    rows = TTAView(turn=5).apply(bar.to(torch.uint8))[0, 0].argmax(0)
    assert rows[55] - rows[5] == pytest.approx(50 * np.tan(np.radians(5)), abs=1)


def test_scale_magnifies():
    disc = (blob(64, 64) > 0.5).to(torch.uint8)
    area = float(TTAView(scale=1.1).apply(disc).sum()) / float(disc.sum())
    assert area == pytest.approx(1.21, abs=0.06)


@pytest.mark.parametrize("view", TTA_VIEWS["full"], ids=str)
def test_inverted_probabilities_sum_to_one(view: TTAView):
    probabilities = torch.randn(2, 6, 32, 40, generator=torch.Generator().manual_seed(0)).softmax(1)
    torch.testing.assert_close(view.invert(probabilities).sum(1), torch.ones(2, 32, 40))
