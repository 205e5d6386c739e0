from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from lss_lightning.labels import IGNORE_INDEX
from lss_lightning.models.losses import CrossEntropy, DiceCrossEntropy, Focal, class_weights

LOSSES = {"cross_entropy": CrossEntropy, "dice_cross_entropy": DiceCrossEntropy, "focal": Focal}


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 6, 8, 8, generator=generator)
    target = torch.randint(0, 6, (2, 8, 8), generator=generator, dtype=torch.uint8)
    return logits, target


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("weights", [None, torch.arange(1.0, 7.0)])
def test_padding_is_ignored(name, weights, batch):
    logits, target = batch
    loss = LOSSES[name](weights)
    padded_logits = F.pad(logits, (0, 3, 0, 2), value=7.0)
    padded_target = F.pad(target, (0, 3, 0, 2), value=IGNORE_INDEX)
    torch.testing.assert_close(loss(padded_logits, padded_target), loss(logits, target))


@pytest.mark.parametrize("name", LOSSES)
def test_correct_logits_have_a_lower_loss_than_wrong_ones(name, batch):
    _, target = batch
    correct = 20 * F.one_hot(target.long(), 6).permute(0, 3, 1, 2).float()
    loss = LOSSES[name]()
    assert loss(correct, target) < 0.01
    assert loss(-correct, target) > loss(torch.zeros_like(correct), target) > loss(correct, target)


def test_focal_loss_with_gamma_0_is_cross_entropy(batch):
    torch.testing.assert_close(Focal(gamma=0.0)(*batch), CrossEntropy()(*batch))


def test_terms_of_dice_cross_entropy_are_weighted(batch):
    both = DiceCrossEntropy(lambda_dice=0.3, lambda_ce=2.0)(*batch)
    dice = DiceCrossEntropy(lambda_dice=1.0, lambda_ce=0.0)(*batch)
    torch.testing.assert_close(both, 0.3 * dice + 2.0 * CrossEntropy()(*batch))


def test_class_weights_computed_by_hand():
    pixels = torch.tensor([0, 100, 400])
    assert class_weights(pixels, "none") is None
    # 1/100 and 1/400, scaled to a mean of 1 over the two classes that occur.
    torch.testing.assert_close(class_weights(pixels, "inverse"), torch.tensor([0.0, 1.6, 0.4]))
    volume = 500 / 3
    beta = (volume - 1) / volume
    effective = [(1 - beta) / (1 - beta**n) for n in (100, 400)]
    expected = [2 * weight / math.fsum(effective) for weight in effective]
    torch.testing.assert_close(class_weights(pixels, "effective"), torch.tensor([0.0, *expected]))
