"""Test-time augmentation: the ways in which a network is shown an image, and the way back from each."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class TTAView:
    """An image seen otherwise; without arguments as it is.

    Attributes:
        mirrored: Left and right changed over.
        turn: Degrees by which the image is turned about its middle; its right edge goes down.
        scale: Factor by which it is enlarged about its middle.
    """

    mirrored: bool = False
    turn: float = 0.0
    scale: float = 1.0

    def show(self, image: Tensor) -> Tensor:
        """The view of images (B, C, H, W) uint8: of the same size, float where it is resampled, black beyond them."""
        seen = image.flip(-1) if self.mirrored else image
        return _warped(seen.float(), self.turn, self.scale, "zeros") if self._warps else seen

    def back(self, probabilities: Tensor) -> Tensor:
        """What a view's pixels are said to be, (B, K, H, W) float, at the places that they have in the image.

        Mirroring is undone exactly; turns and scales linearly, so that each pixel's probabilities still sum to 1. Where
        the view does not reach they are those of its nearest pixel.
        """
        seen = _warped(probabilities, -self.turn, 1 / self.scale, "border") if self._warps else probabilities
        return seen.flip(-1) if self.mirrored else seen

    @property
    def _warps(self) -> bool:
        return (self.turn, self.scale) != (0.0, 1.0)


VIEWS: dict[str, tuple[TTAView, ...]] = {
    "none": (TTAView(),),
    "flip": (TTAView(), TTAView(mirrored=True)),
    "full": tuple(
        TTAView(mirrored, turn, scale)
        for (turn, scale), mirrored in product(((0, 1), (-5, 1), (5, 1), (0, 0.9), (0, 1.1)), (False, True))
    ),
}
"""The choices of ``tta``; each begins with the image as it is."""


def _warped(pixels: Tensor, turn: float, scale: float, beyond: str) -> Tensor:
    """Turn and scale (B, N, H, W) float about the middle, bilinearly; ``beyond`` is ``grid_sample``'s padding mode."""
    import torch
    import torch.nn.functional as F

    height, width = pixels.shape[-2:]
    cosine, sine = (function(math.radians(turn)) / scale for function in (math.cos, math.sin))
    # From a place in the result to its source, both in halves of height and width.
    source = torch.tensor([[cosine, sine * height / width, 0.0], [-sine * width / height, cosine, 0.0]])
    matrices = source.to(pixels).expand(len(pixels), 2, 3)
    grid = F.affine_grid(matrices, list(pixels.shape), align_corners=False)
    return F.grid_sample(pixels, grid, mode="bilinear", padding_mode=beyond, align_corners=False)
