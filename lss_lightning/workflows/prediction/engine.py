"""Class probabilities of slices, from a predictor on whatever device and precision the trainer section chooses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from lss_lightning.config.sections import TrainerConfig
from lss_lightning.data.loading import resample_image
from lss_lightning.errors import UserError
from lss_lightning.models.ensemble import EnsembleModule
from lss_lightning.workflows.training.trainer import (
    Hardware,
    compile_network,
    make_trainer,
    memory_explained,
    resolve_precision,
)

Size = tuple[int, int]


@dataclass(frozen=True)
class NetworkInput:
    """What a network is shown of a slice.

    Attributes:
        pixels: (C, H, W) uint8.
        spacing: Height and width of a pixel, mm; None where unknown.
    """

    pixels: NDArray[np.uint8]
    spacing: tuple[float, float] | None

    @property
    def size(self) -> Size:
        """Height and width, pixels."""
        height, width = self.pixels.shape[1:]
        return height, width

    def working_size(self, working: float | None) -> Size:
        """Height and width in pixels of the working spacing, mm; the own ones where either spacing is unknown."""
        if self.spacing is None or working is None:
            return self.size
        height, width = (
            max(1, round(length * step / working)) for length, step in zip(self.size, self.spacing, strict=True)
        )
        return height, width


class Engine:
    """A predictor, ready to run.

    Args:
        ensemble: One network or several.
        spacing: Its working pixel, mm; None for each image's own.
        config: The trainer section; one device is used.
        batch_size: Images at once, at least 1.

    Attributes:
        hardware: What it runs on.

    Raises:
        UserError: the machine has no such device.
    """

    def __init__(self, ensemble: EnsembleModule, spacing: float | None, config: TrainerConfig, batch_size: int) -> None:
        precision, reason = resolve_precision(config)
        config = replace(config, precision=precision, devices=1)
        if config.compile:
            for member in ensemble.members:
                compile_network(member.get_submodule("network"))
        trainer = make_trainer(config, logger=False, enable_checkpointing=False, enable_model_summary=False)
        self.hardware = Hardware.of(trainer, config, reason)
        self._device = trainer.strategy.root_device
        self._precision = trainer.precision_plugin
        self._precision.convert_module(ensemble)
        self._predictor = ensemble.to(self._device).eval()
        self._spacing, self._batch_size = spacing, batch_size

    def segment(self, slices: Sequence[NetworkInput]) -> Iterator[NDArray[np.float32]]:
        """Segment slices in their order.

        Args:
            slices: Of any sizes; neighbours of one size share a batch, so that none is padded.

        Yields:
            Of each slice what every member says under every view, (M, K, H, W), on its own grid.

        Raises:
            UserError: the device's memory does not suffice, or a network gives NaN.
        """
        for batch in self._batches(slices):
            size = batch[0].working_size(self._spacing)
            images = np.stack([resample_image(shown.pixels, size) for shown in batch])
            with memory_explained(self._batch_size), torch.inference_mode(), self._precision.forward_context():
                members = self._predictor.member_probabilities(torch.from_numpy(images).to(self._device))
                for place, shown in enumerate(batch):
                    yield _finite(_on_grid(members[:, place].float(), shown.size).cpu().numpy())

    def _batches(self, slices: Sequence[NetworkInput]) -> Iterator[list[NetworkInput]]:
        batch: list[NetworkInput] = []
        for shown in slices:
            full = len(batch) == self._batch_size
            if batch and (full or shown.working_size(self._spacing) != batch[0].working_size(self._spacing)):
                yield batch
                batch = []
            batch.append(shown)
        if batch:
            yield batch


def _on_grid(members: Tensor, size: Size) -> Tensor:
    """Bring probabilities (M, K, h, w) to another size, as logits are: the class then is the one that a test gives."""
    if members.shape[-2:] == size:
        return members
    logits = members.clamp_min(torch.finfo(torch.float32).tiny).log()
    return F.interpolate(logits, size, mode="bilinear", antialias=True).softmax(1)


def _finite(probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    if not np.isfinite(probabilities).all():
        raise UserError(
            "the checkpoint gives NaN or infinity; use an earlier one, or trainer.precision=32-true if 16-mixed was set"
        )
    return probabilities
