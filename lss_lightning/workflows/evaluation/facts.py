"""Textual facts about networks and runs: architecture, training, hardware and software."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from lss_lightning.config.data import build_split_protocol
from lss_lightning.data.augment.config import AugmentationConfig
from lss_lightning.models.checkpoint import CheckpointMetadata
from lss_lightning.reporting.comparison.tables import describe_initial_weights

if TYPE_CHECKING:
    from torch import nn

_PACKAGES = ("torch", "pytorch-lightning", "torchmetrics", "timm", "monai", "numpy", "scipy", "scikit-image")


def find_versions() -> dict[str, str]:
    """Return the ``software`` section of ``metrics.json``: the versions of Python, this package and dependencies."""
    from lss_lightning import __version__

    return {
        "python": platform.python_version(),
        "lss-lightning": __version__,
        **{name: version(name) for name in _PACKAGES},
    }


def collect_model_facts(all_metadata: Sequence[CheckpointMetadata], networks: Iterable[nn.Module]) -> dict[str, str]:
    """Return facts about the networks of checkpoints and their training, by name.

    Args:
        all_metadata: The metadata of at least one checkpoint.
        networks: The networks built from the metadata, in the same order.

    Returns:
        The facts by name. For several checkpoints, each text joins their distinct values with a slash.
    """
    all_facts = [_collect_facts(metadata, network) for metadata, network in zip(all_metadata, networks, strict=True)]
    joined = {name: " / ".join(dict.fromkeys(facts[name] for facts in all_facts)) for name in all_facts[0]}
    return joined if len(all_facts) == 1 else {"Networks": str(len(all_facts)), **joined}


def _collect_facts(metadata: CheckpointMetadata, network: nn.Module) -> dict[str, str]:
    config, spec = metadata.config, metadata.network
    model, data, trainer = config["model"], config["data"], config["trainer"]
    spacing = "native pixels" if metadata.spacing is None else f"{metadata.spacing:g} mm pixels"
    channels = "1 channel" if spec.in_channels == 1 else f"{spec.in_channels} channels"
    parameters = sum(weights.numel() for weights in network.parameters())
    split = build_split_protocol(config["split"], stored_by=config["name"]).description
    scheduler = config["scheduler"]
    return {
        "Network": spec.describe(),
        "Parameters": f"{parameters / 1e6:.2f} million",
        "Initial weights": describe_initial_weights(model),
        "Input": f"{data['channels']}, {channels}, {spacing}, standardised per channel (zero mean, unit variance over "
        "the training slices)",
        "Classes": ", ".join(label["name"] for label in metadata.labels),
        "Trained on": f"{data['name']}, {split}; {len(metadata.seen)} slices trained or selected the weights",
        "Loss": _describe_class(config["loss"]),
        "Optimizer": _describe_class(config["optimizer"]),
        "Learning-rate schedule": _describe_class(scheduler) if scheduler.get("_target_") else "constant",
        "Batch": f"{data['batch_size']} per device and step, {trainer['accumulate_grad_batches']} step(s) per update",
        "Epochs": "no limit" if trainer["max_epochs"] in (None, -1) else f"{trainer['max_epochs']} at most",
        "Augmentation": _describe_augmentation(config["augmentation"]),
        "Seed": str(config["seed"]),
    }


def collect_run_facts(metrics: Mapping[str, Any]) -> dict[str, str]:
    """Return facts about a run's selected epoch, duration, hardware and software, by name.

    Args:
        metrics: The content of ``metrics.json``. Facts whose section is missing are omitted.
    """
    facts = {}
    if validation := metrics.get("validation"):
        objective = validation["objective"]
        reason = (
            "the last epoch, which has no validation score"
            if objective is None
            else f"validation mean IoU {objective:.3f}"
        )
        facts["Tested epoch"] = f"{validation['epoch']}: {reason}"
    if timing := metrics.get("timing"):
        duration = timedelta(seconds=round(timing["train_seconds"]))
        facts["Training time"] = f"{duration} (hours:minutes:seconds) for {timing['epochs']} epochs"
    if hardware := metrics.get("hardware"):
        facts["Hardware"] = f"{hardware['processes']} × {hardware['device']}, precision {hardware['precision']}"
    return {**facts, "Software": ", ".join(f"{name} {number}" for name, number in metrics["software"].items())}


def _describe_class(section: Mapping[str, Any]) -> str:
    """Return the class and the settings of a configuration section that has a ``_target_``."""
    settings = (f"{key} {value}" for key, value in section.items() if key != "_target_")
    return ", ".join([section["_target_"].rpartition(".")[2], *settings])


def _describe_augmentation(section: Mapping[str, Any]) -> str:
    neutral = AugmentationConfig()
    changed = [f"{key} {value:g}" for key, value in section.items() if value != getattr(neutral, key)]
    return ", ".join(changed) or "none"
