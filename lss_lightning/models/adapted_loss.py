"""An adapter that calls any loss with the arguments it expects and keeps its value independent of padding."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lss_lightning.display import format_setting
from lss_lightning.errors import UserError
from lss_lightning.labels import IGNORE_INDEX
from lss_lightning.models.instantiate import instantiate_section
from lss_lightning.runs.arguments import find_parameters, import_name

PADDING = -100
"""The value of padding in label maps passed to losses without an argument ``ignore_index``; torch's default."""

WEIGHT_ARGUMENTS = ("weights", "weight", "class_weights")
"""The names of the arguments by which losses accept class weights."""


class AdaptedLoss(nn.Module):
    """A loss of logits (B, K, H, W) float32 and label maps (B, H, W) uint8 with the value ``IGNORE_INDEX`` as padding.

    The wrapped loss receives label maps as int64, with a channel dimension if it has MONAI's argument ``to_onehot_y``.
    Padding must not change its value. The first of the following methods that meets this condition on a random example
    is used: pass padding on to the loss, which ignores it; pool the N pixels that are not padding into one image
    (1, K, N, 1); or pool the pixels of each image separately and average the losses over images. If none of these
    methods meets the condition, padded batches are rejected.

    Args:
        loss: The loss.
        name: Full name of the loss, for messages.
        classes: The number of classes, K.
        padding: The value of padding in the label maps that the loss receives.
        has_channel: Whether the loss receives label maps with a channel dimension, (B, 1, H, W).

    Raises:
        UserError: If the loss cannot be computed from logits and label maps, or is not a differentiable scalar.
    """

    def __init__(self, loss: nn.Module, name: str, classes: int, *, padding: int, has_channel: bool) -> None:
        super().__init__()
        self.loss, self.name, self.padding, self.has_channel = loss, name, padding, has_channel
        self._compute: Callable[[Tensor, Tensor], Tensor] = self._choose(classes)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Compute the loss.

        Raises:
            UserError: If the batch is padded and no method makes the loss independent of padding.
        """
        return self._compute(logits, target)

    def _choose(self, classes: int) -> Callable[[Tensor, Tensor], Tensor]:
        """Return a method of computing the loss whose result padding does not change, tested on a random example.

        The two images of the example differ in contrast and in the sizes of their classes, so that pooling them changes
        the loss.
        """
        generator = torch.Generator().manual_seed(0)
        logits = torch.randn(2, classes, 24, 20, generator=generator) * torch.tensor([1.0, 4.0]).view(2, 1, 1, 1)
        target = torch.randint(classes, (2, 16, 16), generator=generator).to(torch.uint8)
        target[1, 2:] = 0
        padded = F.pad(target, (0, 4, 0, 8), value=IGNORE_INDEX)
        original, self.loss = self.loss, deepcopy(self.loss)  # the loss may count its calls
        with torch.random.fork_rng(devices=[]):
            expected = self._compute_example(logits[..., :16, :16].clone().requires_grad_(), target)
            for compute in (self._pass_on, self._pool, self._pool_each):
                try:
                    is_unchanged = torch.allclose(compute(logits, padded), expected, rtol=1e-5, atol=1e-7)
                except Exception:  # losses reject shapes with different exceptions, so the next way is tried
                    continue
                if is_unchanged:
                    break
            else:
                compute = self._refuse_padding
        self.loss = original
        return compute

    def _compute_example(self, logits: Tensor, target: Tensor) -> Tensor:
        try:
            value = self._pass_on(logits, target)
        except Exception as error:
            frame = traceback.extract_tb(error.__traceback__)[-1]
            raise UserError(
                f"loss._target_={self.name}: cannot be computed from logits (B, K, H, W) and label maps (B, H, W): "
                f"{type(error).__name__}: {error} ({frame.filename}:{frame.lineno}); correct its settings, or choose "
                "another loss"
            ) from error
        if not isinstance(value, Tensor) or value.numel() != 1 or not value.requires_grad:
            found = f"values of shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            raise UserError(
                f"loss._target_={self.name}: returns {found}, not a differentiable scalar; set e.g. "
                "loss.reduction=mean, or choose another loss"
            )
        return value

    def _pass_on(self, logits: Tensor, target: Tensor) -> Tensor:
        classes = target.long()
        if self.padding != IGNORE_INDEX:
            classes = classes.masked_fill(target == IGNORE_INDEX, self.padding)
        value: Tensor = self.loss(logits, classes.unsqueeze(1) if self.has_channel else classes)
        return value

    def _pool(self, logits: Tensor, target: Tensor) -> Tensor:
        valid = target != IGNORE_INDEX
        if valid.all():
            return self._pass_on(logits, target)
        return self._pass_on(logits.movedim(1, -1)[valid].T[None, :, :, None], target[valid][None, :, None])

    def _pool_each(self, logits: Tensor, target: Tensor) -> Tensor:
        pairs = zip(logits.split(1), target.split(1), strict=True)
        return torch.stack([self._pool(*pair) for pair in pairs]).mean()

    def _refuse_padding(self, logits: Tensor, target: Tensor) -> Tensor:
        if (target == IGNORE_INDEX).any():
            raise UserError(
                f"loss._target_={self.name}: padding changes its value, and this batch is padded; use images of one "
                "size without augmentation that moves their edges (augmentation=none), data.batch_size=1, or a loss "
                "that takes ignore_index"
            )
        return self._pass_on(logits, target)


def make_adapted_loss(section: Mapping[str, Any], weights: Tensor | None, classes: int) -> AdaptedLoss:
    """Instantiate a loss with the arguments that its signature requires.

    Args:
        section: The ``loss`` section without ``class_weights``.
        weights: Class weights, (K,) float, or None.
        classes: The number of classes, K.

    Raises:
        UserError: If the class cannot be instantiated or used, or accepts no class weights although some are given.
    """
    name = str(section["_target_"])
    try:
        parameters = find_parameters(import_name(name))
    except (ImportError, TypeError, ValueError):
        parameters = {}  # instantiating it reports the mistake
    arguments: dict[str, Any] = {"ignore_index": IGNORE_INDEX, "to_onehot_y": True, "use_softmax": True}
    if not {"sigmoid", "other_act"} & section.keys():
        arguments["softmax"] = True
    extra = {key: value for key, value in arguments.items() if key in parameters and key not in section}
    for key in WEIGHT_ARGUMENTS:
        if isinstance(section.get(key), list):
            extra[key] = torch.tensor(section[key], dtype=torch.float32)
    if weights is not None:
        taken = [key for key in WEIGHT_ARGUMENTS if key in parameters]
        if parameters and (not taken or taken[0] in section):
            problem = f"is given loss.{taken[0]} as well" if taken else "takes no class weights"
            raise UserError(f"loss.class_weights: {name} {problem}; set loss.class_weights=none")
        extra |= dict.fromkeys(taken[:1], weights)
    loss = instantiate_section("loss", section, **extra)
    if not isinstance(loss, nn.Module):
        raise UserError(f"loss._target_={format_setting(name)}: not a torch.nn.Module; choose a loss with loss=…")
    padding = IGNORE_INDEX if "ignore_index" in extra else PADDING
    return AdaptedLoss(loss, name, classes, padding=padding, has_channel="to_onehot_y" in parameters)
