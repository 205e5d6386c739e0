"""Figures kept image by image, gathered from all devices."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat


class PerImage(Metric):
    """Arrays of every image, kept apart so that images can later be pooled, averaged, grouped or drawn again.

    A subclass says in ``update`` how a batch becomes :meth:`add`'s arrays, and in ``compute`` what becomes of
    :meth:`gathered`'s. Several devices are gathered there; a device that saw no image takes part like any other.

    Args:
        kinds: For each array its shape for one image and its dtype; its name becomes an attribute.
    """

    full_state_update = False
    indices: list[Tensor]

    def __init__(self, **kinds: tuple[tuple[int, ...], torch.dtype]) -> None:
        super().__init__()
        self.kinds = {"indices": ((), torch.int64), **kinds}
        for name in self.kinds:
            self.add_state(name, [], dist_reduce_fx="cat")
        self.reset()

    def reset(self) -> None:
        """Forget all images."""
        super().reset()
        # torchmetrics gathers an empty list as a float vector, which does not match the states of other ranks.
        for name, (shape, dtype) in self.kinds.items():
            getattr(self, name).append(torch.zeros(0, *shape, dtype=dtype, device=self.device))

    def add(self, index: Tensor, **values: Tensor) -> None:
        """Keep a batch: index (B,) int64, each image's place in the data set; values (B, …) by name."""
        for name, value in {"indices": index, **values}.items():
            getattr(self, name).append(value)

    def gathered(self) -> tuple[NDArray[np.int64], dict[str, NDArray[Any]]]:
        """All images, in the order of the data set.

        Returns:
            The images' indices, (N,), strictly ascending, and their arrays by name, each (N, …). An image counted more
            than once, as when a sampler pads its last batch, appears once.
        """
        # As arrays, because torchmetrics squeezes returned tensors of one element, and one image is a valid set.
        arrays = {name: dim_zero_cat(getattr(self, name)).cpu().numpy() for name in self.kinds}
        indices, first = np.unique(arrays.pop("indices"), return_index=True)
        return indices, {name: values[first] for name, values in arrays.items()}
