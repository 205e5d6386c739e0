"""The configuration as trackers filter and sort by it: one level, dotted keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LEFT_OUT = ("logger", "paths", "ckpt_path")
"""What says where a run is recorded, not what it is."""


def flat_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Flatten a composed configuration.

    Args:
        config: Plain data.

    Returns:
        ``optimizer.lr``, ``data.batch_size`` and so on; under a section's own key stands what it is, its ``name`` or
        the class of its ``_target_``: ``{"model": "resunet", "optimizer": "Adam"}``.
    """
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if key not in LEFT_OUT:
            _flatten(key, value, flat)
    return flat


def _flatten(key: str, value: Any, flat: dict[str, Any]) -> None:
    if not isinstance(value, Mapping):
        flat[key] = value
        return
    kind = value.get("name", value.get("_target_"))
    if kind is not None:
        flat[key] = kind if "name" in value else kind.rpartition(".")[2]
    for name, inner in value.items():
        if name not in ("name", "_target_"):
            _flatten(f"{key}.{name}", inner, flat)
