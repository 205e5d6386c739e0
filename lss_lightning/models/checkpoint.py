"""Checkpoints that stand on their own: the network rebuilt from the file alone, without running code from it."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from lss_lightning.errors import UserError
from lss_lightning.labels import LabelSet
from lss_lightning.models.encoders import build_encoder
from lss_lightning.models.segmentation import METADATA_KEY, SegmentationModule
from lss_lightning.models.unet import UNet

SCHEMA = 2


@dataclass(frozen=True)
class NetworkSpec:
    """What a network is built from.

    Attributes:
        model: The model's name, e.g. ``resunet``.
        encoder: timm's name of the encoder.
        in_channels: Channels of the image.
        classes: Number of classes.
        upsampling: ``transpose``, ``nearest`` or ``bilinear``.
        decoder_channels: Filters from the deepest block to full resolution.
    """

    model: str
    encoder: str
    in_channels: int
    classes: int
    upsampling: str
    decoder_channels: list[int]

    def build(self, pretrained: bool | str = False) -> UNet:
        """Make the network, its encoder with random or pretrained weights.

        Raises:
            UserError: the encoder cannot be built.
        """
        encoder = build_encoder(self.encoder, self.in_channels, pretrained)
        return UNet(encoder, self.classes, self.decoder_channels, self.upsampling)  # type: ignore[arg-type]


@dataclass(frozen=True)
class CheckpointMetadata:
    """What a checkpoint says about itself, as plain data.

    Attributes:
        network: What to build.
        labels: The classes, as :meth:`~lss_lightning.labels.LabelSet.to_plain` gives them.
        mean: Intensity normalisation: each channel's mean over the training images, as a share of 255.
        std: Each channel's standard deviation, likewise.
        spacing: The working pixel in mm, or None for native pixels.
        config: The whole configuration of the training run.
        seen: Digests of the slices that trained or selected the weights.
        seen_labels: Digests of their labels.
        schema: Version of this record.
    """

    network: NetworkSpec
    labels: list[dict[str, Any]]
    mean: list[float]
    std: list[float]
    spacing: float | None
    config: dict[str, Any]
    seen: list[str] = field(repr=False)
    seen_labels: list[str] = field(repr=False)
    schema: int = SCHEMA

    def to_plain(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    @classmethod
    def of(cls, content: dict[str, Any]) -> CheckpointMetadata:
        """The card in what :func:`read_checkpoint` returned."""
        metadata = content[METADATA_KEY]
        return cls(**{**metadata, "network": NetworkSpec(**metadata["network"])})

    @property
    def label_set(self) -> LabelSet:
        """The classes."""
        return LabelSet.from_plain(self.labels)

    @property
    def channels(self) -> str:
        """The ``data.channels`` that give the images which the network was trained with."""
        trained: str = self.config["data"]["channels"]
        if trained != "image":
            return trained
        return "rgb" if self.network.in_channels == 3 else "grey"

    @property
    def third(self) -> str | None:
        """A composite's third channel, as ``data.third``; None of other images."""
        return self.config["data"]["third"] if self.channels == "composite" else None

    def module(self, network: UNet, **training: Any) -> SegmentationModule:
        """Wrap a network for Lightning; ``training`` is what :class:`SegmentationModule` needs to train."""
        return SegmentationModule(network, self.label_set, self.mean, self.std, metadata=self.to_plain(), **training)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint's tensors and plain data; code in it is refused, not run.

    Raises:
        UserError: no such file; a truncated one; one that carries code; one of another program or version.
    """
    if not path.is_file():
        raise UserError(f"ckpt_path={path}: no such file; give a run's checkpoints/best.ckpt or last.ckpt")
    if not zipfile.is_zipfile(path):
        raise UserError(
            f"ckpt_path={path}: truncated, or no checkpoint at all; use another, e.g. last.ckpt of the same run"
        )
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise UserError(
            f"ckpt_path={path}: carries Python objects, which could run code when loaded; only tensors and plain data "
            "are allowed, as this project writes them"
        ) from error
    except (RuntimeError, EOFError, OSError, KeyError) as error:
        raise UserError(
            f"ckpt_path={path}: damaged ({str(error).splitlines()[0]}); use another of the same run"
        ) from error
    if not isinstance(content, dict) or METADATA_KEY not in content:
        raise UserError(f"ckpt_path={path}: not a checkpoint of lss_lightning; give one that train.py wrote")
    schema = content[METADATA_KEY].get("schema")
    if schema != SCHEMA:
        raise UserError(
            f"ckpt_path={path}: record version {schema}, but this program reads {SCHEMA}; use the version that wrote it"
        )
    if lacking := sorted({entry.name for entry in fields(CheckpointMetadata)} - content[METADATA_KEY].keys()):
        raise UserError(f"ckpt_path={path}: its record lacks {', '.join(lacking)}; use the version that wrote it")
    return content


def load_module(path: Path) -> tuple[SegmentationModule, CheckpointMetadata]:
    """Rebuild a trained network for testing, from its checkpoint alone.

    Raises:
        UserError: as :func:`read_checkpoint`, or weights that do not fit the network the file describes.
    """
    content = read_checkpoint(path)
    metadata = CheckpointMetadata.of(content)
    module = metadata.module(metadata.network.build())
    load_weights(module, content, path)
    return module, metadata


def load_weights(module: SegmentationModule, content: dict[str, Any], path: Path) -> None:
    """Put a checkpoint's weights into a network of the same make.

    Raises:
        UserError: they do not fit.
    """
    try:
        fit = module.load_state_dict(content["state_dict"], strict=False)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise UserError(f"ckpt_path={path}: weights do not fit the network it describes ({reason})") from error
    # A loss may hold class weights, which testing does not need.
    misfits = [name for name in [*fit.missing_keys, *fit.unexpected_keys] if not name.startswith("loss.")]
    if misfits:
        raise UserError(f"ckpt_path={path}: weights do not fit the network it describes ({_some(misfits)})")


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
