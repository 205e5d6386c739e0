"""Confusion counts of every image: what all overlap scores are computed from."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from lss_lightning.labels import IGNORED


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


def confusion(predicted: Tensor, target: Tensor, classes: int) -> Tensor:
    """Count each image's pixels by true and predicted class, without waiting for the device.

    Args:
        predicted: (B, H, W), any integer type, class indices 0 to K - 1.
        target: (B, H, W), any integer type, class indices 0 to K - 1, or :data:`~lss_lightning.labels.IGNORED`
            where a pixel counts for nothing.
        classes: K.

    Returns:
        (B, K, K) int64: rows are true classes, columns predicted ones.
    """
    # Scattering into a fixed shape, with one more bin for ignored pixels, needs no size from the device;
    # bincount and boolean masks do, and so would make the host wait.
    ignored = classes**2
    pair = torch.where(target == IGNORED, ignored, target.long() * classes + predicted).flatten(1)
    counts = torch.zeros(len(pair), ignored + 1, dtype=torch.int64, device=pair.device)
    counts.scatter_add_(1, pair, torch.ones_like(pair))
    return counts[:, :ignored].unflatten(1, (classes, classes))


class ImageConfusion(PerImage):
    """One confusion matrix per image.

    Args:
        classes: Number of classes, K.
    """

    counts: list[Tensor]

    def __init__(self, classes: int) -> None:
        super().__init__(counts=((classes, classes), torch.int64))
        self.classes = classes

    def update(self, predicted: Tensor, target: Tensor, index: Tensor) -> None:
        """Count a batch as :func:`confusion` does; ``index`` (B,) int64 is each image's place in the data set."""
        self.add(index, counts=confusion(predicted, target, self.classes))

    def compute(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The images' indices, (N,), strictly ascending, and their counts, (N, K, K), from all devices."""
        indices, arrays = self.gathered()
        return indices, arrays["counts"]
