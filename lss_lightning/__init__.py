"""Segmentation of axial lumbar MRI with interchangeable U-Net encoders, after Altun & Alkan (2023).

The functions of :mod:`lss_lightning.api` can be imported from this package. They are loaded on first use, because
importing PyTorch takes seconds.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lss_lightning.api.models import TrainedModel, load, measure, predict, predict_study
    from lss_lightning.api.runs import evaluate, train

__version__ = "0.1.0"
__all__ = ["TrainedModel", "__version__", "evaluate", "load", "measure", "predict", "predict_study", "train"]

_RUNS = ("evaluate", "train")


def __getattr__(name: str) -> Any:
    if name.startswith("_") or name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.api.{'runs' if name in _RUNS else 'models'}"), name)
