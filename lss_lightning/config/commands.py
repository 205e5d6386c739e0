"""Every command's check of its configuration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from omegaconf import DictConfig

from lss_lightning.config.compare import check_compare
from lss_lightning.config.evaluate import check_evaluate
from lss_lightning.config.predict import check_predict
from lss_lightning.config.prepare import check_prepare
from lss_lightning.config.reproduce import check_reproduce
from lss_lightning.config.train import check_train

COMMANDS: dict[str, Callable[[DictConfig, Any], Any]] = {
    "train": check_train,
    "evaluate": check_evaluate,
    "predict": check_predict,
    "prepare": check_prepare,
    "compare": check_compare,
    "reproduce": check_reproduce,
}
"""Each command's check of its composed configuration; its work is `run` in the module of `workflows` of its name."""
