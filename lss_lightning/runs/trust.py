"""The classes that stored settings may name.

A checkpoint, run directory or sweep may come from somebody else, so its settings may only name classes in
:data:`TRUSTED_CLASSES` and classes that the user names with ``trust=[full.class.Name]`` on the command line.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from lss_lightning.display import format_setting
from lss_lightning.errors import UserError
from lss_lightning.runs.arguments import find_parameters, import_name, is_accepted

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
    "logger": frozenset(
        {
            "lss_lightning.reporting.loggers.csv.CSVLogger",
            "lss_lightning.reporting.loggers.mlflow.MLFlowLogger",
            "lss_lightning.reporting.loggers.tensorboard.TensorBoardLogger",
            "lss_lightning.reporting.loggers.wandb.WandbLogger",
        }
    ),
    "loss": frozenset(
        {
            "lss_lightning.models.losses.CrossEntropy",
            "lss_lightning.models.losses.DiceCrossEntropy",
            "lss_lightning.models.losses.Focal",
            "monai.losses.DiceCELoss",
            "monai.losses.DiceFocalLoss",
            "monai.losses.DiceLoss",
            "monai.losses.FocalLoss",
            "monai.losses.GeneralizedDiceLoss",
            "monai.losses.TverskyLoss",
            "torch.nn.CrossEntropyLoss",
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
        {
            "lss_lightning.models.schedulers.WarmupCosine",
            "torch.optim.lr_scheduler.CosineAnnealingLR",
            "torch.optim.lr_scheduler.OneCycleLR",
            "torch.optim.lr_scheduler.PolynomialLR",
            "torch.optim.lr_scheduler.ReduceLROnPlateau",
        }
    ),
    "metrics": frozenset(
        {
            "torchmetrics.classification.MulticlassCalibrationError",
            "torchmetrics.classification.MulticlassCohenKappa",
            "torchmetrics.classification.MulticlassF1Score",
            "torchmetrics.classification.MulticlassJaccardIndex",
            "torchmetrics.classification.MulticlassMatthewsCorrCoef",
            "torchmetrics.classification.MulticlassSpecificity",
        }
    ),
}
"""The classes that stored settings may name, by section of the configuration."""

NAMED_SECTIONS = frozenset({"callbacks", "logger", "metrics"})
"""The sections that hold named entries, each with a class, e.g. ``callbacks.early_stopping._target_``."""

_PLAIN_INTERPOLATION = re.compile(r"\$\{[\w.]+\}")

_INSTANTIATION_KEYS = frozenset({"_args_", "_partial_", "_recursive_", "_convert_"})
"""Keys that change how Hydra calls a class."""

_AUTOMATIC = frozenset({"auto_channels", "auto_classes"})
"""Arguments of a network that are determined by the data."""

OWN_SETTINGS: Mapping[str, frozenset[str]] = {
    "model": frozenset({"name", "divisor", "min_size", "pretrained"}),
    "loss": frozenset({"class_weights"}),
    "scheduler": frozenset({"interval", "monitor"}),
    "metrics": frozenset({"input"}),
}
"""The settings of each section that this project itself reads, in addition to the arguments of the class."""

_trusted_by_user: set[str] = set()


def trust_classes(names: Collection[str]) -> None:
    """Trust classes in this process in addition to the listed ones, replacing the classes of earlier calls.

    Args:
        names: Full names, as given with ``trust=[…]`` on the command line.
    """
    _trusted_by_user.clear()
    _trusted_by_user.update(names)


def trust_further_classes(names: Collection[str]) -> None:
    """Trust classes in this process in addition to those of :func:`trust_classes`.

    Args:
        names: Full names of classes in the user's own configuration.
    """
    _trusted_by_user.update(names)


def is_listed(key: str, target: Any) -> bool:
    """Return whether the project lists a class for a key of the configuration. Nested classes are never listed.

    Args:
        key: The dotted key of the class, e.g. ``loss._target_`` or ``callbacks.ema._target_``.
        target: The full name of the class.
    """
    section, *names = key.split(".")
    is_own = len(names) == (2 if section in NAMED_SECTIONS else 1)
    return is_own and isinstance(target, str) and target in TRUSTED_CLASSES.get(section, ())


def check_trusted(key: str, target: Any, source: str) -> None:
    """Check that stored settings may name a class.

    Args:
        key: The dotted key of the class, e.g. ``loss._target_``.
        target: The full name of the class.
        source: The file that contains the settings, for the message.

    Raises:
        UserError: If the project does not list the class for this key and the user does not trust it.
    """
    if not is_listed(key, target) and str(target) not in _trusted_by_user:
        remedy = f"if you trust this one, add trust=[{target}]" if isinstance(target, str) else f"remove {key}"
        raise UserError(
            f"{source}: {key}={format_setting(target)}: stored settings may only name classes that this project "
            f"lists; {remedy}"
        )


def check_no_resolver(key: str, value: Any, source: str) -> None:
    """Check that stored settings do not call OmegaConf resolvers. References to other settings are allowed.

    Args:
        key: The dotted key of the settings.
        value: The settings as plain data with unresolved interpolations.
        source: The file that contains the settings, for messages.

    Raises:
        UserError: If a value calls a resolver.
    """
    for path, item in iterate_values(value, key):
        if isinstance(item, str) and "${" in _PLAIN_INTERPOLATION.sub("", item):
            raise UserError(
                f"{source}: {path}={item}: stored settings must not call resolvers; replace it by a plain value"
            )


def iterate_values(value: Any, key: str) -> Iterator[tuple[str, Any]]:
    """Yield the dotted key and value of each plain value in nested settings. List items have the key of the list."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from iterate_values(item, f"{key}.{name}")
    elif isinstance(value, list):
        for item in value:
            yield from iterate_values(item, key)
    else:
        yield key, value


def check_stored_section(key: str, value: Any, source: str, *, arguments: bool = True) -> None:
    """Check the classes in a stored section, and the arguments of listed classes.

    Args:
        key: The dotted key of the section, e.g. ``loss``.
        value: The section as plain data, or a value in it. Interpolations must be resolved.
        source: The file that contains the section, for messages.
        arguments: Whether to check the arguments, which requires importing the classes.

    Raises:
        UserError: If the section names a class that is not trusted, or an argument that a listed class does not accept.
    """
    if isinstance(value, list):
        for item in value:
            check_stored_section(f"{key}[]", item, source, arguments=arguments)
    if not isinstance(value, Mapping):
        return
    target = value.get("_target_")
    if target is not None:
        check_trusted(f"{key}._target_", target, source)
    for name, argument in value.items():
        if name in _INSTANTIATION_KEYS:
            raise UserError(f"{source}: {key}.{name}: no run stores this setting of Hydra; remove it")
        check_stored_section(f"{key}.{name}", argument, source, arguments=arguments)
    if arguments and target is not None and str(target) not in _trusted_by_user:
        _check_arguments(key, value, source)


def _check_arguments(key: str, section: Mapping[str, Any], source: str) -> None:
    """Check the arguments of a listed class against its signature."""
    target, own = section["_target_"], OWN_SETTINGS.get(key.partition(".")[0], frozenset())
    parameters = find_parameters(import_name(target))
    for name, value in section.items():
        if name == "_target_" or name in own:
            continue
        setting = f"{source}: {key}.{name}={format_setting(value)}"
        if name not in parameters:
            raise UserError(f"{setting}: {target} has no such argument; allowed: {', '.join([*own, *parameters])}")
        is_late = isinstance(value, str) and (value.startswith("${") or value in _AUTOMATIC)  # checked later
        if not (is_late or (key == "scheduler" and is_share(value)) or is_accepted(value, parameters[name])):
            raise UserError(f"{setting}: not of the type that {target} accepts; correct it")


def is_share(value: Any) -> bool:
    """Return whether an argument of a scheduler is a fraction of the training run, such as ``5 %``."""
    return isinstance(value, str) and re.fullmatch(r"\d+(\.\d+)? ?%", value) is not None
