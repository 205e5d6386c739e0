"""The classes that stored settings may name.

A checkpoint, run directory or sweep may come from somebody else, so its settings may only name the classes in
:data:`TRUSTED_CLASSES`, and those that the user names with ``trust=[full.class.Name]`` on the command line.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
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
    "model": frozenset(
        {
            "monai.networks.nets.DynUNet",
            "monai.networks.nets.SwinUNETR",
            "segmentation_models_pytorch.DeepLabV3Plus",
            "segmentation_models_pytorch.Segformer",
            "segmentation_models_pytorch.UnetPlusPlus",
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
    "optimizer": frozenset({"torch.optim.Adam", "torch.optim.AdamW", "torch.optim.RMSprop", "torch.optim.SGD"}),
    "scheduler": frozenset(
        {"torch.optim.lr_scheduler.CosineAnnealingLR", "torch.optim.lr_scheduler.PolynomialLR"},
    ),
}
"""The classes that stored settings may name, by section of the configuration."""

NAMED_SECTIONS = frozenset({"callbacks", "logger", "metrics"})
"""The sections that hold named entries, each with a class: ``callbacks.early_stopping._target_``."""

_PLAIN_INTERPOLATION = re.compile(r"\$\{[\w.]+\}")

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


def check_stored_values(config: Mapping[str, Any], source: str) -> None:
    """Check that stored settings name only trusted classes and hold only plain values.

    Args:
        config: The settings by section.
        source: The file they come from, for messages.

    Raises:
        UserError: If they do not.
    """
    for section, values in config.items():
        for path, value in iterate_values(values, str(section)):
            if isinstance(value, str) and "${" in _PLAIN_INTERPOLATION.sub("", value):
                raise UserError(
                    f"{source}: {path}={value}: stored settings must not call resolvers; replace it by a plain value"
                )
            if path.rpartition(".")[2] == "_target_" and value is not None:
                check_trusted(path, value, source)


def iterate_values(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield the dotted key and value of each plain value in nested settings. Items of a list have its key."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from iterate_values(item, f"{path}.{key}")
    elif isinstance(value, list):
        for item in value:
            yield from iterate_values(item, path)
    else:
        yield path, value
