"""An adapter that gives networks from other libraries the interface of the U-Net."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lss_lightning.errors import UserError

_TRIED_SIZE = (33, 50)
"""Height and width of the image that a new network is tested on: small, and not divisible by 4, 8, 16 or 32."""


class NetworkAdapter(nn.Module):
    """An adapter that makes any network accept images of any size and return logits of the same size.

    Images are padded with zeros at the right and the bottom to a size that the network supports, and the logits are
    cropped.

    In training, a network with deep supervision may return the output of several heads: a list or tuple of (B, K, h, w)
    tensors, or one tensor (B, heads, K, H, W). The first head is the prediction. The others, which may be smaller, are
    resampled bilinearly to the size of the image, so that all heads are compared with the same label map.

    Args:
        network: Network from (B, C, H, W) float images to (B, K, H, W) logits.
        name: Full name of the network's class, for messages.
        classes: The number of classes, K.
        divisor: The network supports only heights and widths that are multiples of this number.
        min_size: Minimum height and width that the network supports, in pixels.
    """

    def __init__(self, network: nn.Module, name: str, classes: int, divisor: int = 1, min_size: int = 1) -> None:
        super().__init__()
        self.network = network
        self.name, self.classes, self.divisor, self.min_size = name, classes, divisor, min_size

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Compute the logits of images.

        Args:
            x: Images (B, C, H, W), float.

        Returns:
            Logits (B, K, H, W), float; in training, a tuple of these if the network has several heads.

        Raises:
            UserError: If the network returns something else.
        """
        height, width = x.shape[-2:]
        padded = F.pad(x, (0, self._round_up(width) - width, 0, self._round_up(height) - height))
        output: Any = self.network(padded)
        if isinstance(output, Tensor) and output.ndim == 5:
            output = output.unbind(1)
        heads = list(output) if isinstance(output, list | tuple) else [output]
        expected = (len(x), self.classes, *padded.shape[-2:])
        if not heads or not isinstance(heads[0], Tensor) or heads[0].shape != expected:
            raise self._wrong_output(padded, heads[0] if heads else output, expected)
        if not self.training or len(heads) == 1:
            return heads[0][..., :height, :width]
        for index, head in enumerate(heads[1:], start=1):
            if not isinstance(head, Tensor) or head.ndim != 4 or head.shape[:2] != expected[:2]:
                raise self._wrong_output(padded, head, (*expected[:2], "h", "w"))
            if head.shape != expected:
                heads[index] = F.interpolate(head, expected[2:], mode="bilinear")
        return tuple(head[..., :height, :width] for head in heads)

    def try_out(self, in_channels: int) -> None:
        """Run the network on a small blank image, to detect an unsuitable network before training starts.

        This changes neither batch-norm statistics nor the state of torch's random generators.

        Args:
            in_channels: The number of image channels.

        Raises:
            UserError: If the network fails, or returns something other than logits of the size of the image.
        """
        modes = [(module, module.training) for module in self.modules()]
        self.eval()
        try:
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                self(torch.zeros(1, in_channels, *_TRIED_SIZE))
        except UserError:
            raise
        except Exception as error:  # networks fail with different exceptions
            size = "x".join(str(self._round_up(pixels)) for pixels in _TRIED_SIZE)
            reason = " ".join(str(error).split()) or type(error).__name__
            raise UserError(
                f"model._target_={self.name}: fails on an image of {in_channels} channels and {size} pixels "
                f"({reason[:200]}); give it the number of channels with auto_channels, the sizes it supports with "
                "model.divisor and model.min_size, or correct the network"
            ) from error
        finally:
            for module, mode in modes:
                module.training = mode

    def _round_up(self, pixels: int) -> int:
        return -(-max(pixels, self.min_size) // self.divisor) * self.divisor

    def _wrong_output(self, x: Tensor, output: Any, expected: tuple[Any, ...]) -> UserError:
        found = f"a tensor {_format_shape(output.shape)}" if isinstance(output, Tensor) else type(output).__name__
        return UserError(
            f"model._target_={self.name}: returns {found} for images {_format_shape(x.shape)}; it must return logits "
            f"{_format_shape(expected)} of {self.classes} classes: give it their number with auto_classes, or correct "
            "the network"
        )


def _format_shape(shape: Any) -> str:
    return f"({', '.join(map(str, shape))})"
