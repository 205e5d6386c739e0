"""What a run was, in words: its network, its training, its hardware and software."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from lss_lightning.config.data import split_protocol
from lss_lightning.data.augment.config import AugmentationConfig
from lss_lightning.models.checkpoint import CheckpointMetadata

if TYPE_CHECKING:
    from torch import nn

_PACKAGES = ("torch", "pytorch-lightning", "torchmetrics", "timm", "monai", "numpy", "scipy", "scikit-image")


def software() -> dict[str, str]:
    """The ``software`` part of ``metrics.json``: versions of Python, of this package and of what it computes with."""
    from lss_lightning import __version__

    return {
        "python": platform.python_version(),
        "lss-lightning": __version__,
        **{name: version(name) for name in _PACKAGES},
    }


def model_facts(all_metadata: Sequence[CheckpointMetadata], networks: Iterable[nn.Module]) -> dict[str, str]:
    """What checkpoints' cards say of their networks and training; of several, each different fact once.

    Args:
        all_metadata: At least one.
        networks: Built from them.
    """
    each = [_facts(metadata, network) for metadata, network in zip(all_metadata, networks, strict=True)]
    facts = {name: " / ".join(dict.fromkeys(one[name] for one in each)) for name in each[0]}
    return facts if len(each) == 1 else {"Networks": str(len(each)), **facts}


def _facts(metadata: CheckpointMetadata, network: nn.Module) -> dict[str, str]:
    config, spec = metadata.config, metadata.network
    model, data, trainer = config["model"], config["data"], config["trainer"]
    pixel = "each image's own pixels" if metadata.spacing is None else f"{metadata.spacing:g} mm pixels"
    channels = "1 channel" if spec.in_channels == 1 else f"{spec.in_channels} channels"
    parameters = sum(weights.numel() for weights in network.parameters())
    return {
        "Network": f"{spec.model}, encoder {spec.encoder}, {spec.upsampling} up-sampling, decoder filters "
        f"{', '.join(map(str, spec.decoder_channels))}",
        "Parameters": f"{parameters / 1e6:.2f} million",
        "Initial weights": _pretrained(model["pretrained"]),
        "Input": f"{data['channels']}, {channels}, {pixel}; each channel minus its mean, divided by its standard "
        "deviation",
        "Classes": ", ".join(label["name"] for label in metadata.labels),
        "Trained on": f"{data['name']}, {split_protocol(config['split']).in_words}; {len(metadata.seen)} slices "
        "trained or "
        "selected the weights",
        "Loss": _made_of(config["loss"]),
        "Optimizer": _made_of(config["optimizer"]),
        "Learning-rate schedule": _made_of(config["scheduler"]) if config["scheduler"]["_target_"] else "constant",
        "Batch": f"{data['batch_size']} per device and step, {trainer['accumulate_grad_batches']} step(s) per update",
        "Epochs": f"{trainer['max_epochs']} at most",
        "Augmentation": _augmentation(config["augmentation"]),
        "Seed": str(config["seed"]),
    }


def run_facts(metrics: Mapping[str, Any]) -> dict[str, str]:
    """What ``metrics.json`` says of a run's selection, time, hardware and software, as far as it is there."""
    facts = {}
    if validation := metrics.get("validation"):
        objective = validation["objective"]
        chosen = "the last, as no part selects" if objective is None else f"validation mean IoU {objective:.3f}"
        facts["Tested epoch"] = f"{validation['epoch']}: {chosen}"
    if timing := metrics.get("timing"):
        spent = timedelta(seconds=round(timing["train_seconds"]))
        facts["Training time"] = f"{spent} (hours:minutes:seconds) for {timing['epochs']} epochs"
    if hardware := metrics.get("hardware"):
        facts["Hardware"] = f"{hardware['processes']} × {hardware['device']}, precision {hardware['precision']}"
    return {**facts, "Software": ", ".join(f"{name} {number}" for name, number in metrics["software"].items())}


def _pretrained(weights: bool | str) -> str:
    if isinstance(weights, str):
        return "from a file"
    return "ImageNet" if weights else "random"


def _made_of(section: Mapping[str, Any]) -> str:
    """A section that names a class: the class and its settings."""
    settings = (f"{key} {value}" for key, value in section.items() if key != "_target_")
    return ", ".join([section["_target_"].rpartition(".")[2], *settings])


def _augmentation(section: Mapping[str, Any]) -> str:
    neutral = AugmentationConfig()
    changed = [f"{key} {value:g}" for key, value in section.items() if value != getattr(neutral, key)]
    return ", ".join(changed) or "none"
