from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lss_lightning.errors import UserError
from lss_lightning.labels import IGNORE_INDEX
from lss_lightning.models.adapted_loss import PADDING, make_adapted_loss

K = 5
OURS, SMP = "lss_lightning.models.losses", "segmentation_models_pytorch.losses"
HERE = "tests.models.test_adapted_loss"

LOSSES: list[dict[str, Any]] = [
    *({"_target_": f"{OURS}.{name}"} for name in ("CrossEntropy", "DiceCrossEntropy", "Focal")),
    *(
        {"_target_": "torch.nn.CrossEntropyLoss", **settings}
        for settings in ({}, {"weight": [1, 2, 3, 4, 5]}, {"label_smoothing": 0.1}, {"ignore_index": 0})
    ),
    *(
        {"_target_": f"monai.losses.{name}", "batch": batch}
        for name in ("DiceLoss", "DiceCELoss", "DiceFocalLoss", "GeneralizedDiceLoss", "TverskyLoss", "MCCLoss")
        for batch in (False, True)
    ),
    {"_target_": "monai.losses.FocalLoss"},
    *(
        {"_target_": f"{SMP}.{name}", "mode": "multiclass"}
        for name in ("DiceLoss", "FocalLoss", "JaccardLoss", "LovaszLoss", "TverskyLoss")
    ),
    {"_target_": f"{SMP}.LovaszLoss", "mode": "multiclass", "per_image": True},
    {"_target_": f"{SMP}.SoftCrossEntropyLoss", "smooth_factor": 0.1},
    {"_target_": f"{HERE}.PlainCrossEntropy"},
    {"_target_": f"{HERE}.EdgeLoss"},
]


class PlainCrossEntropy(nn.Module):
    """Counts every pixel, whatever its label."""

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Compute the mean over pixels."""
        assert target.dtype is torch.int64
        return -logits.log_softmax(1).gather(1, target.unsqueeze(1)).mean()


class EdgeLoss(nn.Module):
    """Depends on the neighbours of each pixel, and ignores negative labels itself."""

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Compute the mean over pairs of neighbours with labels."""
        pairs = (target[..., 1:] >= 0) & (target[..., :-1] >= 0)
        return (logits[..., 1:] - logits[..., :-1]).square().mean(1)[pairs].mean()


class Noisy(nn.Module):
    """Draws random numbers and counts its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Compute a random multiple of the logits."""
        self.calls += 1
        return logits.mean() * torch.rand(())


def make_batch(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return logits (2, K, 20, 16) and label maps (2, 20, 16)."""
    return torch.randn(2, K, 20, 16, generator=generator) * 3, torch.randint(
        K, (2, 20, 16), generator=generator, dtype=torch.uint8
    )


@pytest.mark.parametrize("section", LOSSES, ids=lambda section: str(section))
def test_padding_changes_no_loss_and_no_gradient(section):
    loss = make_adapted_loss(section, None, K)
    generator = torch.Generator().manual_seed(3)
    logits, target = make_batch(generator)
    padded_target = F.pad(target, (0, 5, 0, 7), value=IGNORE_INDEX)
    padded_logits = torch.randn(2, K, 27, 21, generator=generator) * 5
    padded_logits[..., :20, :16] = logits
    padded_logits.requires_grad_()
    logits.requires_grad_()
    value, padded = loss(logits, target), loss(padded_logits, padded_target)
    torch.testing.assert_close(padded, value, rtol=1e-5, atol=1e-6)
    for tensor, result in ((logits, value), (padded_logits, padded)):
        result.backward()
        assert tensor.grad is not None
        assert tensor.grad.isfinite().all()
    assert padded_logits.grad is not None
    torch.testing.assert_close(padded_logits.grad[..., :20, :16], logits.grad, rtol=1e-4, atol=1e-7)
    outside = padded_logits.grad.clone()
    outside[..., :20, :16] = 0
    assert not outside.any()


def test_images_of_two_sizes_have_the_loss_of_their_pixels():
    logits, target = make_batch(torch.Generator().manual_seed(3))
    target[1, 11:] = IGNORE_INDEX
    expected = F.cross_entropy(logits, target.long(), ignore_index=IGNORE_INDEX)
    for name in (f"{OURS}.CrossEntropy", "torch.nn.CrossEntropyLoss", f"{HERE}.PlainCrossEntropy"):
        torch.testing.assert_close(make_adapted_loss({"_target_": name}, None, K)(logits, target), expected)
    dice = make_adapted_loss({"_target_": "monai.losses.GeneralizedDiceLoss"}, None, K)
    alone = [dice(logits[:1], target[:1]), dice(logits[1:, :, :11], target[1:, :11])]
    torch.testing.assert_close(dice(logits, target), torch.stack(alone).mean())


def test_the_default_loss_is_called_directly():
    logits, target = make_batch(torch.Generator().manual_seed(3))
    target[:, 18:] = IGNORE_INDEX
    loss = make_adapted_loss({"_target_": f"{OURS}.CrossEntropy"}, None, K)
    assert torch.equal(loss(logits, target), F.cross_entropy(logits, target.long(), ignore_index=IGNORE_INDEX))


@pytest.mark.parametrize("name", ["monai.losses.HausdorffDTLoss", f"{HERE}.Noisy"])
def test_a_loss_that_padding_changes_is_refused_for_padded_batches(name):
    loss = make_adapted_loss({"_target_": name}, None, K)
    logits, target = make_batch(torch.Generator().manual_seed(3))
    assert loss(logits, target).isfinite()
    target[0, -1] = IGNORE_INDEX
    with pytest.raises(UserError, match=rf"^loss\._target_={name}: padding changes its value, and this batch is pad"):
        loss(logits, target)


def test_trying_a_loss_leaves_no_trace():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    loss = make_adapted_loss({"_target_": f"{HERE}.Noisy"}, None, K)
    assert torch.equal(torch.rand(3), expected)
    assert isinstance(loss.loss, Noisy)
    assert loss.loss.calls == 0


def test_monai_losses_get_their_arguments_unless_they_are_set():
    plain = vars(make_adapted_loss({"_target_": "monai.losses.DiceLoss"}, None, K).loss)
    assert (plain["softmax"], plain["to_onehot_y"], plain["ignore_index"]) == (True, True, IGNORE_INDEX)
    own = vars(make_adapted_loss({"_target_": "monai.losses.DiceLoss", "sigmoid": True}, None, K).loss)
    assert (own["softmax"], own["sigmoid"]) == (False, True)
    assert make_adapted_loss({"_target_": "monai.losses.GeneralizedDiceLoss"}, None, K).padding == PADDING


def test_class_weights_are_passed_where_they_are_taken():
    weights = torch.tensor([1.0, 2, 3, 4, 5])
    for name, key in (("torch.nn.CrossEntropyLoss", "weight"), ("monai.losses.DiceLoss", "class_weight")):
        loss = make_adapted_loss({"_target_": name}, weights, K).loss
        assert torch.equal(getattr(loss, key), weights)
    with pytest.raises(UserError, match=r"^loss\.class_weights: monai\.losses\.TverskyLoss takes no class weights; "):
        make_adapted_loss({"_target_": "monai.losses.TverskyLoss"}, weights, K)
    with pytest.raises(UserError, match=r"^loss\.class_weights: torch\.nn\.CrossEntropyLoss is given loss\.weight as"):
        make_adapted_loss({"_target_": "torch.nn.CrossEntropyLoss", "weight": [1] * K}, weights, K)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"_target_": "torch.nn.Nope"}, r"loss: torch\.nn\.Nope cannot be instantiated with these settings"),
        ({"_target_": "torch.nn.CrossEntropyLoss", "wait": 1}, r"loss: .* unexpected keyword argument 'wait'\); corr"),
        (
            {"_target_": "torch.nn.CrossEntropyLoss", "reduction": "none"},
            r"returns values .* loss\.reduction=mean",
        ),
        ({"_target_": "torch.nn.BCEWithLogitsLoss"}, r"cannot be computed from logits .* Target size .*\.py:\d+\)"),
        ({"_target_": "pathlib.Path"}, r"loss\._target_=pathlib\.Path: not a torch\.nn\.Module"),
    ],
)
def test_mistakes_are_explained_in_one_line(section, message):
    with pytest.raises(UserError, match=message) as refused:
        make_adapted_loss(section, None, K)
    assert "\n" not in str(refused.value)
