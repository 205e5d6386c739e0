"""Inference on slices of any size, with the device and precision from the ``trainer`` section."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from lss_lightning.config.trainer import TrainerConfig
from lss_lightning.data.loading import resample_image
from lss_lightning.data.slices import ImageSize
from lss_lightning.errors import UserError
from lss_lightning.models.ensemble import EnsembleModule
from lss_lightning.workflows.training.hardware import Hardware, resolve_test_precision
from lss_lightning.workflows.training.memory import explain_out_of_memory
from lss_lightning.workflows.training.trainer import compile_network, make_trainer


@dataclass(frozen=True)
class NetworkInput:
    """The image of a slice that a network segments.

    Attributes:
        pixels: The image, (C, H, W), uint8.
        spacing: The height and width of a pixel in mm, or None if unknown.
    """

    pixels: NDArray[np.uint8]
    spacing: tuple[float, float] | None

    @property
    def size(self) -> ImageSize:
        """The height and width in pixels."""
        height, width = self.pixels.shape[1:]
        return height, width

    def working_size(self, working_spacing: float | None) -> ImageSize:
        """Return the height and width in pixels at the working spacing, or the native size if either spacing is None.

        Args:
            working_spacing: The working spacing in mm, or None for native pixels.
        """
        if self.spacing is None or working_spacing is None:
            return self.size
        height, width = (
            max(1, round(length * spacing / working_spacing))
            for length, spacing in zip(self.size, self.spacing, strict=True)
        )
        return height, width


class InferenceEngine:
    """An ensemble on its device, ready to segment slices.

    Args:
        ensemble: One or more networks.
        spacing: The working spacing of the networks in mm, or None for native pixels.
        config: The ``trainer`` section. A single device is used.
        batch_size: The number of images per batch, at least 1.
        compiles: Whether to compile the networks.

    Attributes:
        hardware: The device and precision in use.

    Raises:
        UserError: If the machine does not have the device.
    """

    def __init__(
        self,
        ensemble: EnsembleModule,
        spacing: float | None,
        config: TrainerConfig,
        batch_size: int,
        *,
        compiles: bool = False,
    ) -> None:
        precision, reason = resolve_test_precision(config, ensemble)
        devices = config.devices if config.device_count == 1 else 1
        config = replace(config, precision=precision, devices=devices)  # type: ignore[arg-type]
        if compiles:
            for member in ensemble.members:
                compile_network(member.get_submodule("network"))
        trainer = make_trainer(config, logger=False, enable_checkpointing=False, enable_model_summary=False)
        self.hardware = Hardware.from_trainer(trainer, config, reason, is_compiled=compiles)
        self._device = trainer.strategy.root_device
        self._precision = trainer.precision_plugin
        self._precision.convert_module(ensemble)
        self._ensemble = ensemble.to(self._device).eval()
        self._spacing, self._batch_size = spacing, batch_size

    def segment(self, inputs: Sequence[NetworkInput]) -> Iterator[NDArray[np.float32]]:
        """Segment slices in order.

        Args:
            inputs: Slices of any size. Only consecutive slices of the same size share a batch, so no slice is padded.

        Yields:
            For each slice, the class probabilities (M, K, H, W) of every member under every view, on the native grid.

        Raises:
            UserError: If the device runs out of memory, or a network returns NaN or infinity.
        """
        for batch in self._batches(inputs):
            size = batch[0].working_size(self._spacing)
            images = np.stack([resample_image(input_.pixels, size) for input_ in batch])
            with explain_out_of_memory(self._batch_size), torch.inference_mode(), self._precision.forward_context():
                members = self._ensemble.member_probabilities(torch.from_numpy(images).to(self._device))
                for index, input_ in enumerate(batch):
                    probabilities = _resample_probabilities(members[:, index].float(), input_.size)
                    yield _check_finite(probabilities.cpu().numpy())

    def _batches(self, inputs: Sequence[NetworkInput]) -> Iterator[list[NetworkInput]]:
        batch: list[NetworkInput] = []
        for input_ in inputs:
            is_full = len(batch) == self._batch_size
            if batch and (is_full or input_.working_size(self._spacing) != batch[0].working_size(self._spacing)):
                yield batch
                batch = []
            batch.append(input_)
        if batch:
            yield batch


def _resample_probabilities(members: Tensor, size: ImageSize) -> Tensor:
    """Resample probabilities in logit space, so that the classes agree with those of ``evaluate.py``.

    Args:
        members: The class probabilities (M, K, h, w) of each member.
        size: The height H and width W of the result (M, K, H, W) in pixels.
    """
    if members.shape[-2:] == size:
        return members
    logits = members.clamp_min(torch.finfo(torch.float32).tiny).log()
    return F.interpolate(logits, size, mode="bilinear", antialias=True).softmax(1)


def _check_finite(probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    if not np.isfinite(probabilities).all():
        raise UserError(
            "the checkpoint returns NaN or infinity; use an earlier one, or trainer.precision=32-true if 16-mixed was "
            "set"
        )
    return probabilities
