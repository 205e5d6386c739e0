"""The classes that stored settings may name.

A checkpoint, run directory or sweep may come from somebody else, so its settings may only name the classes in
:data:`TRUSTED_CLASSES`, and those that the user names with ``trust=[full.class.Name]`` on the command line.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from lss_lightning.display import format_setting
from lss_lightning.errors import UserError

TRUSTED_CLASSES: Mapping[str, frozenset[str]] = {
    "data": frozenset(
        {
            "lss_lightning.data.alkafri.AlKafri",
            "lss_lightning.data.image_folder.FolderSource",
            "lss_lightning.phantom.source.Phantom",
        }
    ),
    "split": frozenset(
        {
            "lss_lightning.data.splits.file.FileSplit",
            "lss_lightning.data.splits.fractions.ImageSplit",
            "lss_lightning.data.splits.fractions.PatientSplit",
            "lss_lightning.data.splits.fractions.Resubstitution",
            "lss_lightning.data.splits.kfold.KFoldSplit",
        }
    ),
    "loss": frozenset(
        {
            "lss_lightning.models.losses.CrossEntropy",
            "lss_lightning.models.losses.DiceCrossEntropy",
            "lss_lightning.models.losses.Focal",
        }
    ),
    "callbacks": frozenset(
        {
            "lss_lightning.workflows.training.callbacks.DivergenceMonitor",
            "lss_lightning.workflows.training.callbacks.ThroughputMonitor",
            "lss_lightning.workflows.training.checkpoints.BestCheckpoint",
            "lss_lightning.workflows.training.progress.NetworkSummary",
            "lss_lightning.workflows.training.progress.TrainingProgressBar",
            "pytorch_lightning.callbacks.EMAWeightAveraging",
            "pytorch_lightning.callbacks.EarlyStopping",
        }
    ),
    "optimizer": frozenset({"torch.optim.Adam", "torch.optim.AdamW", "torch.optim.RMSprop", "torch.optim.SGD"}),
    "scheduler": frozenset(
        {"torch.optim.lr_scheduler.CosineAnnealingLR", "torch.optim.lr_scheduler.PolynomialLR"},
    ),
}
"""The classes that stored settings may name, by section of the configuration."""

NAMED_SECTIONS = frozenset({"callbacks", "logger", "metrics"})
"""The sections that hold named entries, each with a class: ``callbacks.early_stopping._target_``."""

_trusted_by_user: set[str] = set()


def trust_classes(names: Collection[str]) -> None:
    """Trust further classes in this process. They replace those of an earlier call.

    Args:
        names: Full names, as given with ``trust=[…]`` on the command line.
    """
    _trusted_by_user.clear()
    _trusted_by_user.update(names)


def is_listed(key: str, target: Any) -> bool:
    """Whether the project lists a class for a key of the configuration. A nested class is never listed.

    Args:
        key: The dotted key of the class, e.g. ``loss._target_`` or ``callbacks.ema._target_``.
        target: The full name of the class.
    """
    section, *names = key.split(".")
    is_own = len(names) == (2 if section in NAMED_SECTIONS else 1)
    return is_own and target in TRUSTED_CLASSES.get(section, ())


def check_trusted(key: str, target: Any, source: str) -> None:
    """Check a class that stored settings name.

    Args:
        key: The dotted key of the class, e.g. ``loss._target_``.
        target: The full name of the class.
        source: The file that it comes from, for the message.

    Raises:
        UserError: If the project does not list the class for this key and the user does not trust it.
    """
    if not is_listed(key, target) and target not in _trusted_by_user:
        raise UserError(
            f"{source}: {key}={format_setting(target)}: stored settings may only name classes that this project "
            f"lists; if you trust this one, add trust=[{target}]"
        )
