"""Settings that a run directory or a sweep stores. They may come from somebody else, so they are data and never code.

The command line and the YAML files of the user may name any class. Stored settings may only name the classes in
:data:`TRUSTED_CLASSES`, and hold plain values. Hydra's own settings are never taken from them, because those can make
Hydra call any function.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lss_lightning.config.overrides import parse_overrides
from lss_lightning.config.sections import config_folder
from lss_lightning.config.train import TrainConfig
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
    "optimizer": frozenset({"torch.optim.Adam", "torch.optim.AdamW", "torch.optim.RMSprop", "torch.optim.SGD"}),
    "scheduler": frozenset(
        {"torch.optim.lr_scheduler.CosineAnnealingLR", "torch.optim.lr_scheduler.PolynomialLR"},
    ),
}
"""The classes that stored settings may name, by section."""

_PLAIN_INTERPOLATION = re.compile(r"\$\{[\w.]+\}")
_CHOICE = re.compile(r"\w[\w.+-]*")

SEARCH_CLASSES: Mapping[str, frozenset[str]] = {
    # Not CmaEsSampler, which unpickles what the database of the search contains.
    "sampler": frozenset(
        {
            "optuna.samplers.BruteForceSampler",
            "optuna.samplers.GPSampler",
            "optuna.samplers.NSGAIISampler",
            "optuna.samplers.QMCSampler",
            "optuna.samplers.RandomSampler",
            "optuna.samplers.TPESampler",
        }
    ),
    "pruner": frozenset(
        {
            "optuna.pruners.HyperbandPruner",
            "optuna.pruners.MedianPruner",
            "optuna.pruners.NopPruner",
            "optuna.pruners.PercentilePruner",
            "optuna.pruners.SuccessiveHalvingPruner",
        }
    ),
}
"""The samplers and pruners that a stored sweep may name."""

_SEARCH_PART = r"hydra\.sweeper\.(sampler|pruner)\.\w+"
_HYDRA_SETTINGS = (
    r"hydra/launcher=(basic|joblib|submitit_local|submitit_slurm)",
    r"hydra/sweeper=(basic|optuna)",
    r"hydra/sweeper/sampler=(tpe|random|gp|nsgaii|qmc|grid)",
    r"hydra/sweeper/pruner=(none|median|hyperband|successive_halving)",
    *(
        rf"hydra\.sweeper\.{part}\._target_=({'|'.join(map(re.escape, sorted(classes)))})"
        for part, classes in SEARCH_CLASSES.items()
    ),
    rf"\+{{0,2}}{_SEARCH_PART}=(-?\d+(\.\d+)?(e-?\d+)?|true|false|null)",
    rf"~{_SEARCH_PART}",
    r"hydra\.sweeper\.(direction|study_name)=[\w-]+",
    r"hydra\.sweeper\.max_failure_rate=[\d.]+",
    r"hydra\.launcher\.(n_jobs|timeout_min|cpus_per_task|gpus_per_node|tasks_per_node|mem_gb|nodes|partition)=[\w-]+",
    r"hydra\.sweeper\.(n_trials|n_jobs)=\d+",
    r"hydra\.verbose=(true|false)",
)
"""Hydra's settings that a sweep may store. They choose how jobs are run, and cannot name code or a command."""


def load_stored_config(file: Path, trusted: Collection[str]) -> dict[str, Any]:
    """Load the configuration of a training from its run directory.

    Args:
        file: A ``config.yaml`` that Hydra or a resume has written.
        trusted: Full names of further classes that the user trusts.

    Returns:
        The sections of ``train.py``, interpolations unresolved.

    Raises:
        UserError: If the file cannot be read, has a section that ``train.py`` does not have, such as ``hydra``, or
            holds something that could run code.
    """
    try:
        stored: Any = OmegaConf.to_container(OmegaConf.load(file), resolve=False)
    except (OmegaConfBaseException, yaml.YAMLError, ValueError, OSError) as error:
        raise UserError(f"{file}: cannot be read ({str(error).splitlines()[0]}); restore it") from error
    if not isinstance(stored, dict):
        raise UserError(f"{file}: not the configuration of a training; restore it")
    allowed = {entry.name for entry in fields(TrainConfig)} - {"plain"} | {"experiment", "hparams_search", "debug"}
    for section in stored:
        if section not in allowed:
            raise UserError(
                f"{file}: has the section {section}, which no run stores; it was changed, so remove the section if you "
                "trust the file, or start a new run"
            )
    check_stored_values(stored, str(file), trusted)
    return {str(section): values for section, values in stored.items()}


def check_stored_values(config: Mapping[str, Any], source: str, trusted: Collection[str]) -> None:
    """Check that stored settings name only trusted classes and hold only plain values.

    Args:
        config: The settings by section.
        source: The file they come from, for messages.
        trusted: Full names of further classes that the user trusts.

    Raises:
        UserError: If they do not.
    """
    for section, values in config.items():
        for path, value in _walk(values, str(section)):
            if isinstance(value, str) and "${" in _PLAIN_INTERPOLATION.sub("", value):
                raise UserError(
                    f"{source}: {path}={value}: stored settings must not call resolvers; replace it by a plain value"
                )
            if path.rpartition(".")[2] == "_target_":
                _check_class(path, value, source, trusted)


def check_stored_overrides(overrides: Sequence[str], source: str, trusted: Collection[str]) -> None:
    """Check the overrides of the jobs of a stored sweep in the same way.

    Args:
        overrides: The overrides, without Hydra's own settings.
        source: The file they come from, for messages.
        trusted: Full names of further classes that the user trusts.

    Raises:
        UserError: If they name another class, a file outside the configuration, or one of Hydra's settings.
    """
    for text in overrides:
        [(key, value)] = parse_overrides([text]).items()
        group = re.split(r"[@.]", key)[0]
        if group == "hydra" or key.startswith("hydra/"):
            raise UserError(f"{source}: {text}: not a setting of a training; {_REMEDY}")
        values = value if isinstance(value, list) else [value]
        if "." not in key and (config_folder() / group).is_dir():
            for choice in values:
                if choice is not None and not _CHOICE.fullmatch(str(choice)):
                    raise UserError(f"{source}: {text}: not the name of a file in conf/{group}; {_REMEDY}")
        for choice in values:
            section: Any = choice
            for part in reversed(key.split(".")):
                section = {part: section}
            check_stored_values(section, source, trusted)


def check_stored_hydra_settings(settings: Sequence[str], source: str) -> None:
    """Check that the Hydra settings of a stored sweep only choose how its jobs are run.

    Args:
        settings: The overrides of Hydra's own settings.
        source: The file they come from, for messages.

    Raises:
        UserError: If one of them could run code or a command.
    """
    for text in settings:
        if not any(re.fullmatch(pattern, text) for pattern in _HYDRA_SETTINGS):
            raise UserError(f"{source}: {text}: this setting can run code; if you trust it, {_REMEDY}")


def find_untrusted_classes(config: Mapping[str, Any]) -> list[str]:
    """Return the classes that a configuration names and :data:`TRUSTED_CLASSES` does not list."""
    targets = {
        value: None
        for section, values in config.items()
        for path, value in _walk(values, section)
        if path.endswith("._target_") and value is not None and value not in TRUSTED_CLASSES.get(section, ())
    }
    return list(targets)


_REMEDY = "give it again on the command line, or start a new sweep"


def _walk(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _walk(item, f"{path}.{key}")
    elif isinstance(value, list):
        for item in value:
            yield from _walk(item, path)
    else:
        yield path, value


def _check_class(path: str, target: Any, source: str, trusted: Collection[str]) -> None:
    """Check a stored ``_target_``. It must be the section's own, and one of the trusted classes."""
    section = path.partition(".")[0]
    known = TRUSTED_CLASSES.get(section, frozenset())
    if path == f"{section}._target_" and (target is None or target in known):
        return
    if target not in trusted:
        raise UserError(
            f"{source}: {path}={format_setting(target)}: stored settings may only name classes that this project "
            f"lists; if you trust this one, add trust=[{target}]"
        )
