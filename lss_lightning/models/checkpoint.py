"""Self-contained checkpoints: the network is rebuilt from the file alone, without running code from it."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import nn

from lss_lightning.errors import UserError
from lss_lightning.labels import LabelSet
from lss_lightning.models.specs import NetworkSpec, read_spec

METADATA_KEY = "lss_lightning"
"""Key of the metadata in a checkpoint."""

CHECKPOINT_SCHEMA = 4
"""Version of :class:`CheckpointMetadata` in files."""

_DATA_PATHS = ("root", "reports")
"""Settings of the ``data`` section that are paths."""


@dataclass(frozen=True)
class CheckpointMetadata:
    """The metadata in a checkpoint, as plain data.

    Attributes:
        network: Architecture of the network.
        labels: The classes, as returned by :meth:`~lss_lightning.labels.LabelSet.to_plain`.
        mean: Intensity normalisation: mean of each channel over the training images, as a fraction of 255.
        std: Standard deviation of each channel over the training images, as a fraction of 255.
        spacing: The working spacing in mm, or None for native pixels.
        config: Complete configuration of the training run.
        seen: Digests of the slices that the weights were trained or selected on.
        seen_labels: Digests of the labels of the slices in ``seen``.
        test_slices: Digests of the slices of the test set; None in checkpoints of earlier versions.
        test_labels: Digests of the labels of the slices in ``test_slices``.
        working_directory: The folder that relative paths in ``config`` refer to, or None if unknown.
        schema: Version of the metadata format, :data:`CHECKPOINT_SCHEMA`.
    """

    network: NetworkSpec
    labels: list[dict[str, Any]]
    mean: list[float]
    std: list[float]
    spacing: float | None
    config: dict[str, Any]
    seen: list[str] = field(repr=False)
    seen_labels: list[str] = field(repr=False)
    test_slices: list[str] | None = field(default=None, repr=False)
    test_labels: list[str] | None = field(default=None, repr=False)
    working_directory: str | None = None
    schema: int = CHECKPOINT_SCHEMA

    def to_plain(self) -> dict[str, Any]:
        """Return the metadata as plain data."""
        return asdict(self)

    @classmethod
    def from_checkpoint(cls, content: dict[str, Any]) -> CheckpointMetadata:
        """Create the metadata from the content of a checkpoint, as returned by :func:`read_checkpoint`."""
        metadata = content[METADATA_KEY]
        return cls(**{**metadata, "network": read_spec(metadata["network"])})

    @property
    def label_set(self) -> LabelSet:
        """The classes."""
        return LabelSet.from_plain(self.labels)

    @property
    def channels(self) -> str:
        """The value of ``data.channels`` that yields images like the training images."""
        trained: str = self.config["data"]["channels"]
        if trained != "image":
            return trained
        return "rgb" if self.network.in_channels == 3 else "grey"

    @property
    def data_section(self) -> dict[str, Any]:
        """The ``data`` section of the run.

        A relative path is resolved against the run's working directory if it exists there, and otherwise left
        unchanged.
        """
        section: dict[str, Any] = dict(self.config["data"])
        if self.working_directory is None or Path(self.working_directory) == Path.cwd():
            return section
        paths = {key: Path(section[key]).expanduser() for key in _DATA_PATHS if section.get(key)}
        absolute = {key: Path(self.working_directory, path) for key, path in paths.items()}
        return {**section, **{key: str(path) for key, path in absolute.items() if path.exists()}}

    @property
    def third_channel(self) -> str | None:
        """The value of ``data.third_channel`` for composites, or None for other images."""
        return self.config["data"]["third_channel"] if self.channels == "composite" else None


def read_checkpoint(path: Path, map_location: Any = "cpu") -> dict[str, Any]:
    """Read the tensors and plain data of a checkpoint, without running code from it.

    Args:
        path: The checkpoint.
        map_location: The device of the tensors, as for ``torch.load``.

    Raises:
        UserError: If the file does not exist, is truncated, contains code, or was written by another program or
            version.
    """
    if not path.is_file():
        raise UserError(f"ckpt_path={path}: no such file; give checkpoints/best.ckpt or last.ckpt of a run")
    if not zipfile.is_zipfile(path):
        raise UserError(
            f"ckpt_path={path}: truncated, or not a checkpoint; use another one, e.g. last.ckpt of the same run"
        )
    try:
        content = torch.load(path, map_location=map_location, weights_only=True)
    except UnpicklingError as error:
        raise UserError(
            f"ckpt_path={path}: contains Python objects, which could run code when loaded; use a checkpoint that "
            "train.py wrote, which has only tensors and plain data"
        ) from error
    except (RuntimeError, EOFError, OSError, KeyError) as error:
        raise UserError(
            f"ckpt_path={path}: damaged ({str(error).splitlines()[0]}); use another one of the same run"
        ) from error
    if not isinstance(content, dict) or METADATA_KEY not in content:
        raise UserError(f"ckpt_path={path}: not a checkpoint of lss_lightning; use one that train.py wrote")
    schema = content[METADATA_KEY].get("schema")
    if schema != CHECKPOINT_SCHEMA:
        raise UserError(
            f"ckpt_path={path}: written by another version (schema {schema}, this version reads {CHECKPOINT_SCHEMA}); "
            "train again, or use the version that wrote it"
        )
    required = {entry.name for entry in fields(CheckpointMetadata) if entry.default is MISSING}
    if missing := sorted(required - content[METADATA_KEY].keys()):
        raise UserError(f"ckpt_path={path}: its metadata lack {', '.join(missing)}; use the version that wrote it")
    return content


def load_weights(module: nn.Module, content: dict[str, Any], path: Path) -> None:
    """Load the weights of a checkpoint into a network of the same architecture.

    Args:
        module: The module, changed in place.
        content: Content of the checkpoint, as returned by :func:`read_checkpoint`.
        path: Path of the checkpoint, for error messages.

    Raises:
        UserError: If the weights do not fit the network.
    """
    try:
        result = module.load_state_dict(content["state_dict"], strict=False)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise UserError(f"ckpt_path={path}: its weights do not fit its network ({reason})") from error
    # A loss may have class weights, which evaluation does not need.
    mismatched = [name for name in [*result.missing_keys, *result.unexpected_keys] if not name.startswith("loss.")]
    if mismatched:
        raise UserError(f"ckpt_path={path}: its weights do not fit its network ({_list_names(mismatched)})")


def _list_names(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
