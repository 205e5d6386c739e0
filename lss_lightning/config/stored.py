"""Settings stored by a run directory or a sweep, which are read as data because they may be from somebody else.

The command line and the YAML files of the user may name any class. Stored settings may only name classes that are
listed in :mod:`lss_lightning.runs.trust` or trusted by the user, and may only hold plain values. Of Hydra's own
settings, only those that determine how the jobs of a sweep are run are accepted, because others can make Hydra call any
function.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import InterpolationResolutionError, OmegaConfBaseException

from lss_lightning.config.overrides import parse_choices
from lss_lightning.config.sections import config_folder
from lss_lightning.config.train import TrainConfig
from lss_lightning.errors import UserError
from lss_lightning.runs.trust import check_no_resolver, check_stored_section, is_listed, iterate_values

_CHOICE = re.compile(r"\w[\w.+-]*")

SEARCH_CLASSES: Mapping[str, frozenset[str]] = {
    # CmaEsSampler is excluded, because it unpickles content of the search database.
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
"""The Hydra settings that a sweep may store. They determine how jobs are run, and cannot name code or a command."""


def load_stored_config(file: Path) -> dict[str, Any]:
    """Load the configuration of a training run from its run directory.

    Args:
        file: A ``config.yaml`` that Hydra or a resume has written.

    Returns:
        The sections of ``train.py``, with unresolved interpolations.

    Raises:
        UserError: If the file cannot be read, has a section that ``train.py`` does not have, such as ``hydra``, or
            contains something that could run code.
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
    check_stored_values(stored, str(file))
    return {str(section): values for section, values in stored.items()}


def check_stored_arguments(file: Path) -> None:
    """Import the classes in a run's stored configuration, and check that they accept their arguments.

    Args:
        file: A ``config.yaml`` that Hydra or a resume has written.

    Raises:
        UserError: If a class that this project lists does not accept an argument.
    """
    stored: Any = OmegaConf.to_container(OmegaConf.load(file), resolve=True)
    for section in ("loss", "optimizer", "scheduler", "metrics", "callbacks"):
        check_stored_section(section, stored.get(section), str(file))


def check_stored_values(config: Mapping[str, Any], source: str) -> None:
    """Check that stored settings name only trusted classes and hold only plain values.

    Args:
        config: The settings by section.
        source: The file they come from, for messages.

    Raises:
        UserError: If the settings name another class, or hold a value that is not plain.
    """
    for section, values in config.items():
        check_no_resolver(str(section), values, source)
    try:
        resolved: Any = OmegaConf.to_container(OmegaConf.create(dict(config)), resolve=True)
    except InterpolationResolutionError:  # an override of a sweep may refer to another setting
        resolved = config
    for section, values in resolved.items():
        # Importing the classes takes seconds, so their arguments are only checked when a run is resumed.
        check_stored_section(str(section), values, source, arguments=False)


def check_stored_overrides(overrides: Sequence[str], source: str) -> None:
    """Check the job overrides of a stored sweep, as in :func:`check_stored_values`.

    Args:
        overrides: The overrides, without Hydra's own settings.
        source: The file they come from, for messages.

    Raises:
        UserError: If the overrides name another class, a file outside the configuration, or one of Hydra's settings.
    """
    for text in overrides:
        key, choices = parse_choices(text)
        group = re.split(r"[@.]", key)[0]
        if group == "hydra" or key.startswith("hydra/"):
            raise UserError(f"{source}: {text}: not a setting of a training; {_REMEDY}")
        is_group = "." not in key and (config_folder() / group).is_dir()
        for choice in choices:
            files = choice if isinstance(choice, list) else [choice]
            if is_group and not all(file is None or _CHOICE.fullmatch(str(file)) for file in files):
                raise UserError(f"{source}: {text}: not the name of a file in conf/{group}; {_REMEDY}")
            section: Any = choice
            for part in reversed(key.split(".")):
                section = {part: section}
            check_stored_values(section, source)


def check_stored_hydra_settings(settings: Sequence[str], source: str) -> None:
    """Check that the Hydra settings of a stored sweep only determine how its jobs are run.

    Args:
        settings: The overrides of Hydra's own settings.
        source: The file they come from, for messages.

    Raises:
        UserError: If one of the settings could run code or a command.
    """
    for text in settings:
        if not any(re.fullmatch(pattern, text) for pattern in _HYDRA_SETTINGS):
            raise UserError(f"{source}: {text}: this setting can run code; if you trust it, {_REMEDY}")


def find_untrusted_classes(config: Mapping[str, Any]) -> list[str]:
    """Return the classes in a configuration that stored settings may not name."""
    targets = {
        value: None
        for section, values in config.items()
        for path, value in iterate_values(values, section)
        if path.endswith("._target_") and value is not None and not is_listed(path, value)
    }
    return list(targets)


_REMEDY = "give it again on the command line, or start a new sweep"
