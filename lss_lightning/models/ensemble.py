"""Ensembles of checkpoints and test-time views, which average class probabilities."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from lss_lightning.errors import UserError
from lss_lightning.labels import LabelSet
from lss_lightning.models.base import BaseSegmentationModule
from lss_lightning.models.checkpoint import CheckpointMetadata
from lss_lightning.models.segmentation import SegmentationModule, load_module
from lss_lightning.models.views import TTA_VIEWS, TTAView


class EnsembleModule(BaseSegmentationModule):
    """A module that averages the probabilities of several networks over several views of each image.

    Args:
        members: The networks, at least one, with the same classes, channels and working spacing. Each of them applies
            its own normalisation.
        views: The views, at least one.
    """

    def __init__(self, members: Sequence[SegmentationModule], views: Sequence[TTAView]) -> None:
        super().__init__(members[0].labels)
        self.members = nn.ModuleList(members)
        self.views = tuple(views)

    def forward(self, image: Tensor) -> Tensor:
        """Compute the logits of images.

        Args:
            image: (B, C, H, W) uint8.

        Returns:
            (B, K, H, W) float32. With a single member and only the identity view, the logits of the member;
            otherwise, the logarithm of the mean probability, whose softmax is the mean probability.
        """
        if len(self.members) == 1 and self.views == (TTAView(),):
            logits: Tensor = self.members[0](image)
            return logits
        total = torch.zeros((), device=image.device)
        for probabilities in self._iterate_probabilities(image):
            total = total + probabilities
        # A probability may underflow, but its logarithm must be finite like the output of a network.
        return (total / (len(self.members) * len(self.views))).clamp_min(torch.finfo(torch.float32).tiny).log()

    def member_probabilities(self, image: Tensor) -> Tensor:
        """Compute the probabilities of every member for every view, on the grid of the image.

        Args:
            image: (B, C, H, W) uint8.

        Returns:
            (M, B, K, H, W) float32, where M = members × views: all views of the first member, then of the second, and
            so on.
        """
        return torch.stack(list(self._iterate_probabilities(image)))

    def _iterate_probabilities(self, image: Tensor) -> Iterator[Tensor]:
        for member in self.members:
            for view in self.views:
                yield view.invert(member(view.apply(image)).softmax(1))


def load_ensemble(paths: Sequence[Path], tta: str = "none") -> tuple[EnsembleModule, tuple[CheckpointMetadata, ...]]:
    """Load an ensemble of checkpoints for evaluation and prediction.

    Args:
        paths: The checkpoints, at least one.
        tta: Test-time augmentation, a key of :data:`~lss_lightning.models.views.TTA_VIEWS`.

    Raises:
        UserError: If a file cannot be loaded, the members do not match, or a view would mirror classes that name a
            side.
    """
    members, all_metadata = zip(*map(load_module, paths), strict=True)
    for path, metadata in zip(paths[1:], all_metadata[1:], strict=True):
        for setting, difference in _find_differences(metadata, all_metadata[0]):
            raise UserError(
                f"ckpt_path={path}: has other {setting} than {paths[0]} ({difference}); the members of an ensemble "
                "must have the same classes, channels and working spacing: leave it out"
            )
    _check_sides(members[0].labels, tta)
    return EnsembleModule(members, TTA_VIEWS[tta]).eval(), all_metadata


def _find_differences(metadata: CheckpointMetadata, first: CheckpointMetadata) -> Iterator[tuple[str, str]]:
    """Yield each setting that differs from the first member's, with a description of the difference."""
    if classes := metadata.label_set.describe_difference(first.label_set):
        yield "classes", classes
    for setting, value, first_value in (
        ("channels", metadata.channels, first.channels),
        ("third channels", metadata.third_channel, first.third_channel),
        ("working spacings", _format_spacing(metadata), _format_spacing(first)),
    ):
        if value != first_value:
            yield setting, f"{value}, not {first_value}"


def _format_spacing(metadata: CheckpointMetadata) -> str:
    return "that of the image" if metadata.spacing is None else f"{metadata.spacing:g} mm"


def _check_sides(labels: LabelSet, tta: str) -> None:
    sided = [key for key in labels.keys if {"left", "right"} & set(key.split("_"))]
    if sided and any(view.mirrored for view in TTA_VIEWS[tta]):
        raise UserError(
            f"tta={tta}: mirrors the image, but class {sided[0]} names a side, which a mirror changes; use tta=none"
        )
