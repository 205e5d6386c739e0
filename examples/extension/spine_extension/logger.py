"""A logger that writes one JSON object per line."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only


class JsonLinesLogger(Logger):
    """A logger that appends settings and metrics to ``log.jsonl``.

    Args:
        save_dir: Folder of ``log.jsonl``. If it is not set, ``lss_lightning`` passes a folder in the run directory.
    """

    def __init__(self, save_dir: str) -> None:
        super().__init__()
        self.file = Path(save_dir) / "log.jsonl"

    @property
    def name(self) -> str:
        """The name of the logger."""
        return "json_lines"

    @property
    def version(self) -> str:
        """The version, which is empty because the file has none."""
        return ""

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Append the settings."""
        self._append({"settings": dict(params) if isinstance(params, Mapping) else vars(params)})

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Append the metrics of a step."""
        self._append({"step": step, **metrics})

    def _append(self, content: dict[str, Any]) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.file.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(content, default=str) + "\n")
