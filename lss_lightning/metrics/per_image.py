"""A torchmetrics base class that stores the values of each image."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat


class PerImageMetric(Metric):
    """A metric that stores arrays per image, so that images can later be pooled, averaged, grouped or resampled.

    Subclasses implement ``update``, which passes the arrays of a batch to :meth:`add`, and ``compute``, which processes
    the result of :meth:`gather`. Arrays are gathered from all devices, including devices without images.

    Args:
        kinds: Shape per image and dtype of each array, by name. The names become attributes.
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
        """Remove all images."""
        super().reset()
        # torchmetrics would gather an empty list as a float vector, which does not match the states of other ranks.
        for name, (shape, dtype) in self.kinds.items():
            getattr(self, name).append(torch.zeros(0, *shape, dtype=dtype, device=self.device))

    def add(self, index: Tensor, **values: Tensor) -> None:
        """Add the images of a batch.

        Args:
            index: (B,) int64, index of each image in the dataset.
            values: Arrays (B, …) by name.
        """
        for name, value in {"indices": index, **values}.items():
            getattr(self, name).append(value)

    def gather(self) -> tuple[NDArray[np.int64], dict[str, NDArray[Any]]]:
        """Return all images, in the order of the dataset.

        Returns:
            - The indices of the N images, (N,), strictly ascending.
            - Their arrays by name, each (N, …). An image that was added more than once, for example because a sampler
              pads its last batch, appears once.
        """
        # Return arrays, because torchmetrics squeezes tensors of one element, and a set of one image is valid.
        arrays = {name: dim_zero_cat(getattr(self, name)).cpu().numpy() for name in self.kinds}
        indices, first = np.unique(arrays.pop("indices"), return_index=True)
        return indices, {name: values[first] for name, values in arrays.items()}
