"""One checkpoint or several, seen in one way or several, as one network: the mean of their probabilities."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from lss_lightning.errors import UserError
from lss_lightning.labels import LabelSet
from lss_lightning.models.base import BaseSegmentationModule
from lss_lightning.models.checkpoint import CheckpointMetadata, load_module
from lss_lightning.models.segmentation import SegmentationModule
from lss_lightning.models.views import VIEWS, TTAView


class EnsembleModule(BaseSegmentationModule):
    """Labels slices by the mean of the members' probabilities over all views of the image.

    Args:
        members: At least one, of the same classes, channels and working pixel; each normalises for itself.
        views: At least one.
    """

    def __init__(self, members: Sequence[SegmentationModule], views: Sequence[TTAView]) -> None:
        super().__init__(members[0].labels)
        self.members = nn.ModuleList(members)
        self.views = tuple(views)

    def forward(self, image: Tensor) -> Tensor:
        """Logits (B, K, H, W) float32 of images (B, C, H, W) uint8.

        Of one member and one view they are the member's own, else the logarithm of the mean probability, whose softmax
        that is.
        """
        if len(self.members) == 1 and self.views == (TTAView(),):
            logits: Tensor = self.members[0](image)
            return logits
        total = torch.zeros((), device=image.device)
        for probabilities in self._each(image):
            total = total + probabilities
        # A probability may be too small for a float, but its logarithm must be finite, as a network's output is.
        return (total / (len(self.members) * len(self.views))).clamp_min(torch.finfo(torch.float32).tiny).log()

    def member_probabilities(self, image: Tensor) -> Tensor:
        """What every member says under every view, on the image's own grid.

        Args:
            image: (B, C, H, W) uint8.

        Returns:
            (M, B, K, H, W) float32, M members × views: the first member's views, the second's, and so on.
        """
        return torch.stack(list(self._each(image)))

    def _each(self, image: Tensor) -> Iterator[Tensor]:
        for member in self.members:
            for view in self.views:
                yield view.back(member(view.show(image)).softmax(1))


def load_ensemble(paths: Sequence[Path], tta: str = "none") -> tuple[EnsembleModule, tuple[CheckpointMetadata, ...]]:
    """Rebuild what checkpoints hold as one network, ready to test and to predict.

    Args:
        paths: The checkpoints, at least one.
        tta: A key of :data:`~lss_lightning.models.views.VIEWS`.

    Raises:
        UserError: a file cannot be used, members that do not go together, or views under which the classes do not keep
            their names.
    """
    members, all_metadata = zip(*map(load_module, paths), strict=True)
    for path, metadata in zip(paths[1:], all_metadata[1:], strict=True):
        for what, how in _differences(metadata, all_metadata[0]):
            raise UserError(
                f"ckpt_path={path}: has other {what} than {paths[0]} ({how}); the members of an ensemble must share "
                "classes, channels and working pixel: leave it out"
            )
    _refuse_sided(members[0].labels, tta)
    return EnsembleModule(members, VIEWS[tta]).eval(), all_metadata


def _differences(metadata: CheckpointMetadata, first: CheckpointMetadata) -> Iterator[tuple[str, str]]:
    """What a member does not share with the first, and how the two differ."""
    if classes := metadata.label_set.difference(first.label_set):
        yield "classes", classes
    for what, own, others in (
        ("channels", metadata.channels, first.channels),
        ("third channels", metadata.third, first.third),
        ("working pixels", _pixel(metadata), _pixel(first)),
    ):
        if own != others:
            yield what, f"{own}, not {others}"


def _pixel(metadata: CheckpointMetadata) -> str:
    return "the image's own" if metadata.spacing is None else f"{metadata.spacing:g} mm"


def _refuse_sided(labels: LabelSet, tta: str) -> None:
    sided = [key for key in labels.keys if {"left", "right"} & set(key.split("_"))]
    if sided and any(view.mirrored for view in VIEWS[tta]):
        raise UserError(
            f"tta={tta}: mirrors the image, but class {sided[0]} names a side, which a mirror changes; use tta=none"
        )
