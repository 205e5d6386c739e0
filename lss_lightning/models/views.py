"""Test-time augmentation: views of an image, and their inverses for probabilities."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class TTAView:
    """A transformation of an image; the default is the identity.

    Attributes:
        mirrored: Whether left and right are swapped.
        turn: Rotation about the centre in degrees; positive values move the right edge down.
        scale: Magnification about the centre.
    """

    mirrored: bool = False
    turn: float = 0.0
    scale: float = 1.0

    def apply(self, image: Tensor) -> Tensor:
        """Transform images.

        Args:
            image: (B, C, H, W) uint8.

        Returns:
            (B, C, H, W), float if resampled, with black pixels outside the image.
        """
        view = image.flip(-1) if self.mirrored else image
        return _warp(view.float(), self.turn, self.scale, "zeros") if self._warps else view

    def invert(self, probabilities: Tensor) -> Tensor:
        """Transform the probabilities of a view back to the grid of the image.

        Mirroring is inverted exactly. Rotation and scaling are inverted with bilinear interpolation, so the
        probabilities of each pixel still sum to 1. Pixels outside the view receive the probabilities of the nearest
        pixel in the view.

        Args:
            probabilities: (B, K, H, W) float.

        Returns:
            (B, K, H, W) float.
        """
        view = _warp(probabilities, -self.turn, 1 / self.scale, "border") if self._warps else probabilities
        return view.flip(-1) if self.mirrored else view

    @property
    def _warps(self) -> bool:
        return (self.turn, self.scale) != (0.0, 1.0)


TTAMode = Literal["none", "flip", "full"]
"""The choices of ``tta``."""

TTA_VIEWS: dict[str, tuple[TTAView, ...]] = {
    "none": (TTAView(),),
    "flip": (TTAView(), TTAView(mirrored=True)),
    "full": tuple(
        TTAView(mirrored, turn, scale)
        for (turn, scale), mirrored in product(((0, 1), (-5, 1), (5, 1), (0, 0.9), (0, 1.1)), (False, True))
    ),
}
"""Views by the value of the setting ``tta``. The first view is always the identity."""


def _warp(pixels: Tensor, turn: float, scale: float, padding: str) -> Tensor:
    """Rotate and scale (B, N, H, W) float about the centre with bilinear ``grid_sample`` and its ``padding_mode``."""
    import torch
    import torch.nn.functional as F

    height, width = pixels.shape[-2:]
    cosine, sine = (function(math.radians(turn)) / scale for function in (math.cos, math.sin))
    # Map a position in the result to its source, both in units of half the height and width.
    source = torch.tensor([[cosine, sine * height / width, 0.0], [-sine * width / height, cosine, 0.0]])
    matrices = source.to(pixels).expand(len(pixels), 2, 3)
    grid = F.affine_grid(matrices, list(pixels.shape), align_corners=False)
    return F.grid_sample(pixels, grid, mode="bilinear", padding_mode=padding, align_corners=False)
