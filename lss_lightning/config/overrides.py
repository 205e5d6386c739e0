"""Overrides, as the command line spells them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from lss_lightning.display import format_setting
from lss_lightning.errors import UserError

SHORT = {"predict": {"output": "output.folder"}}
"""By command: what is typed, and the setting that it means."""


def spelt_out(command: str, arguments: Sequence[str]) -> list[str]:
    """Hydra's arguments with each shorthand replaced: ``output=x`` alone would put a text in the section's place."""
    short = SHORT.get(command, {})
    spelt = []
    for text in arguments:
        key, equals, value = text.partition("=")
        spelt.append(f"{short[key]}={value}" if equals and key in short else text)
    return spelt


def given_value(key: str, arguments: Sequence[str]) -> str | None:
    """The value that a key is given last, or None where it is not given, or null."""
    texts = [text for text in arguments if text.lstrip("+").startswith(f"{key}=")]
    if not texts:
        return None
    try:
        value = OverridesParser.create().parse_override(texts[-1]).value()
    except HydraException:
        return None  # composing the configuration reports it
    return None if value is None else format_setting(value)


def pasted(key: str, *paths: Path) -> str:
    """A setting to paste into a shell: a path, or a list of them, quoted for Hydra and for the shell where need be."""
    plain = {path: given_value(key, [f"{key}={path}"]) == str(path) for path in paths}
    texts = [str(path) if plain[path] else '"{}"'.format(str(path).replace('"', '\\"')) for path in paths]
    return shlex.quote(f"{key}={texts[0]}" if len(texts) == 1 else f"{key}=[{','.join(texts)}]")


def quoted(path: Path) -> str:
    """A path as an override spells it, whatever characters it holds."""
    escaped = str(path).replace("'", "\\'")
    return f"'{escaped}'"


def covering_jobs(config: DictConfig) -> list[list[str]]:
    """As few jobs of a sweep as hold each of its values: every key's first, every key's second, and so on.

    Of an interval these are its ends.

    Args:
        config: As Hydra composed it for the whole sweep.

    Raises:
        UserError: nothing to sweep over, or an interval where every value is tried.
    """
    searched = [f"{key}={value}" for key, value in (config.hydra.sweeper.get("params") or {}).items()]
    parser = OverridesParser.create(GlobalHydra.instance().config_loader())
    values: dict[str, list[str]] = {}
    for override in parser.parse_overrides([*searched, *given_overrides(config.hydra)]):
        key = override.get_key_element()
        if override.is_discrete_sweep():
            values[key] = [f"{key}={value}" for value in override.sweep_string_iterator()]
            if not values[key]:
                raise UserError(f"{override.input_line}: holds no value to sweep over")
        elif isinstance(interval := override.value(), IntervalSweep):
            if "n_trials" not in config.hydra.sweeper:
                raise UserError(
                    f"{override.input_line}: only a search draws from an interval; add hparams_search=optuna, or name "
                    "the values"
                )
            values[key] = [f"{key}={interval.start}", f"{key}={interval.end}"]
        else:
            values[key] = [str(override.input_line)]
    length = max(map(len, values.values()), default=1)
    return [[options[min(index, len(options) - 1)] for options in values.values()] for index in range(length)]


def given_overrides(hydra: Any) -> list[str]:
    """The command line of a run, a job or a sweep, but for Hydra's settings, with its interpolations as they are."""
    plain: Any = OmegaConf.to_container(hydra.overrides.task, resolve=False)
    return [str(text) for text in plain]


def is_given(key: str, hydra: Any) -> bool:
    """Whether the command line sets one of Hydra's own settings."""
    return any(text.lstrip("+").startswith(f"{key}=") for text in hydra.overrides.hydra)


def read_overrides(overrides: list[str]) -> dict[str, Any]:
    """What a job's command line sets: each key, as it is written there, and its value."""
    parsed = OverridesParser.create().parse_overrides(overrides)
    return {override.get_key_element().lstrip("+"): override.value() for override in parsed}
