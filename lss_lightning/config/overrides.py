"""Functions that read, write and expand overrides on the command line."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from lss_lightning.display import format_setting
from lss_lightning.errors import UserError

SHORTHANDS = {"predict": {"output": "output.folder"}}
"""The setting that each shorthand of a command abbreviates. Without it, ``output=x`` would replace the section."""


def expand_shorthands(command: str, arguments: Sequence[str]) -> list[str]:
    """Replace each shorthand in Hydra's arguments with the setting that it abbreviates."""
    shorthands = SHORTHANDS.get(command, {})
    expanded = []
    for text in arguments:
        key, equals, value = text.partition("=")
        expanded.append(f"{shorthands[key]}={value}" if equals and key in shorthands else text)
    return expanded


def find_override(key: str, arguments: Sequence[str]) -> str | None:
    """Return the last value of a key in the arguments, or None if the key is absent or its last value is null."""
    texts = [text for text in arguments if text.lstrip("+").startswith(f"{key}=")]
    if not texts:
        return None
    try:
        value = OverridesParser.create().parse_override(texts[-1]).value()
    except HydraException:
        return None  # Hydra reports the error when it composes the configuration
    return None if value is None else format_setting(value)


def take_trust(arguments: Sequence[str]) -> tuple[list[str], frozenset[str]]:
    """Separate ``trust=[full.class.Name]`` from the other arguments.

    It names classes that stored settings may use in addition to those that the project lists (:mod:`.stored`). It can
    only be set on the command line.

    Args:
        arguments: Overrides and flags.

    Returns:
        The other arguments, and the classes that the user trusts.

    Raises:
        UserError: If the value of ``trust`` does not name classes.
    """
    others, trusted = [], set()
    for text in arguments:
        if not text.startswith("trust="):
            others.append(text)
            continue
        names = next(iter(parse_overrides([text]).values()))
        names = names if isinstance(names, list) else [names]
        if not all(isinstance(name, str) and re.fullmatch(r"\w+(\.\w+)+", name) for name in names):
            raise UserError(f"{text}: give the full names of classes, e.g. trust=[torch.optim.NAdam]")
        trusted.update(names)
    return others, frozenset(trusted)


def format_shell_override(key: str, *paths: Path) -> str:
    """Format an override with one or more paths for pasting into a shell, quoted for Hydra and the shell if needed."""
    is_plain = {path: find_override(key, [f"{key}={path}"]) == str(path) for path in paths}
    texts = [str(path) if is_plain[path] else '"{}"'.format(str(path).replace('"', '\\"')) for path in paths]
    return shlex.quote(f"{key}={texts[0]}" if len(texts) == 1 else f"{key}=[{','.join(texts)}]")


def quote_path(path: Path) -> str:
    """Quote a path with any characters as a value for Hydra."""
    escaped = str(path).replace("'", "\\'")
    return f"'{escaped}'"


def find_covering_jobs(config: DictConfig) -> list[list[str]]:
    """Return the smallest set of jobs that together cover every value of a sweep.

    The first job has the first value of every key, the second job has the second value, and so on. Keys with fewer
    values keep their last value. An interval is represented by its ends.

    Args:
        config: The configuration that Hydra composed for the whole sweep.

    Returns:
        The overrides of each job.

    Raises:
        UserError: If a key has no value to sweep over, or an interval is given to a sweeper that tries every value.
    """
    searched = [f"{key}={value}" for key, value in (config.hydra.sweeper.get("params") or {}).items()]
    parser = OverridesParser.create(GlobalHydra.instance().config_loader())
    values: dict[str, list[str]] = {}
    for override in parser.parse_overrides([*searched, *get_task_overrides(config.hydra)]):
        key = override.get_key_element()
        if override.is_discrete_sweep():
            values[key] = [f"{key}={value}" for value in override.sweep_string_iterator()]
            if not values[key]:
                raise UserError(f"{override.input_line}: no value to sweep over; give one or more")
        elif isinstance(interval := override.value(), IntervalSweep):
            if "n_trials" not in config.hydra.sweeper:
                raise UserError(
                    f"{override.input_line}: only a search samples an interval; add hparams_search=optuna, or list the "
                    "values"
                )
            values[key] = [f"{key}={interval.start}", f"{key}={interval.end}"]
        else:
            values[key] = [str(override.input_line)]
    length = max(map(len, values.values()), default=1)
    return [[options[min(index, len(options) - 1)] for options in values.values()] for index in range(length)]


def get_task_overrides(hydra: Any) -> list[str]:
    """Return the overrides of a run, job or sweep, except for Hydra's own settings, with unresolved interpolations."""
    plain: Any = OmegaConf.to_container(hydra.overrides.task, resolve=False)
    return [str(text) for text in plain]


def is_overridden(key: str, hydra: Any) -> bool:
    """Return whether one of Hydra's own settings is set on the command line."""
    return any(text.lstrip("+").startswith(f"{key}=") for text in hydra.overrides.hydra)


def parse_overrides(overrides: list[str]) -> dict[str, Any]:
    """Parse the overrides of a job into keys and values."""
    parsed = OverridesParser.create().parse_overrides(overrides)
    return {override.get_key_element().lstrip("+"): override.value() for override in parsed}


def parse_choices(text: str) -> tuple[str, list[Any]]:
    """Parse an override that may be a sweep.

    Returns:
        The key, and the values that it can take. The values are empty for a range of numbers or a pattern of file
        names.
    """
    [override] = OverridesParser.create().parse_overrides([text])
    key = override.get_key_element()
    if isinstance(override.value(), ChoiceSweep):
        choices = [f"{key}={choice}" for choice in override.sweep_string_iterator()]
        return key.lstrip("+~"), [value for choice in choices for value in parse_overrides([choice]).values()]
    return key.lstrip("+~"), [] if override.is_sweep_override() else [override.value()]
