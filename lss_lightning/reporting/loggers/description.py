"""The description of a run for loggers: its name, its group and its flat settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lss_lightning.labels import LabelSet

# These sections determine where and how a run is recorded but do not describe the run itself.
_OMITTED_SECTIONS = ("logger", "examples", "paths", "ckpt_path")


@dataclass(frozen=True, kw_only=True)
class RunDescription:
    """The description of a run.

    Attributes:
        name: The name of the run.
        job: ``train``, ``evaluate``, ``ensemble`` or ``folds``.
        group: The group shared by the runs of a sweep or an ensemble. None for a single run.
        settings: The settings, as returned by :func:`flatten_settings`.
        labels: The classes.
        note: A note that states the data set of the run and its disclaimer.
        folder: The run directory.
        resumed: Whether the run resumes an earlier one in this directory.
    """

    name: str
    job: str
    group: str | None
    settings: Mapping[str, Any]
    labels: LabelSet
    note: str
    folder: Path
    resumed: bool = False


def flatten_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Flatten a composed configuration.

    Args:
        config: The configuration as plain data.

    Returns:
        Values by dotted key: ``optimizer.lr``, ``data.batch_size`` and so on. The key of a section itself holds its
        ``name`` or the class name in its ``_target_``: ``{"model": "resunet", "optimizer": "Adam"}``.
    """
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if key not in _OMITTED_SECTIONS:
            _flatten(key, value, flat)
    return flat


def _flatten(key: str, value: Any, flat: dict[str, Any]) -> None:
    if not isinstance(value, Mapping):
        flat[key] = value
        return
    name = value.get("name", value.get("_target_"))
    if name is not None:
        flat[key] = name if "name" in value else name.rpartition(".")[2]
    for inner_key, inner_value in value.items():
        if inner_key not in ("name", "_target_"):
            _flatten(f"{key}.{inner_key}", inner_value, flat)
