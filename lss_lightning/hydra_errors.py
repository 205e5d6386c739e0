"""Hydra's and OmegaConf's errors in one line, with the nearest names."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationKeyError, InterpolationToMissingValueError, MissingMandatoryValue

from lss_lightning.config import config_folder
from lss_lightning.errors import nearest


def explain(error: Exception, command: str, arguments: Sequence[str]) -> str:
    """Say in one line what Hydra or OmegaConf found wrong with a command line.

    Args:
        error: A ``HydraException`` or ``OmegaConfBaseException``.
        command: The command, whose settings are the allowed ones.
        arguments: What the user gave it.
    """
    text = str(error)
    if match := re.search(r"Could not override '([^']+)'", text):
        return _unknown_key(match[1], command, arguments)
    if isinstance(error, MissingConfigException) and (
        match := re.match(r"(?:In '[^']*': )?Could not find '([^']+)/([^/']+)'", text)
    ):
        return _unknown_choice(match[1], match[2])
    if isinstance(error, OverrideParseException):
        reason = " ".join(text.split("\nSee ")[0].split())
        given = error.override or " ".join(arguments)
        return f"{given}: not an override ({reason}); write key=value, and quote what holds spaces or brackets"
    if isinstance(error, InterpolationToMissingValueError | MissingMandatoryValue):
        match = re.search(r"Missing mandatory value: (\S+)", text)
        key = match[1] if match else getattr(error, "full_key", None)
        return f"{key} is not set: give {key}=…"
    if isinstance(error, InterpolationKeyError) and (match := re.search(r"'([^']+)' not found", text)):
        return f"{error.full_key}=${{{match[1]}}}: there is no setting {match[1]} to take the value from"
    return " ".join(text.split())


def _unknown_choice(group: str, choice: str) -> str:
    options = sorted(path.stem for path in (config_folder() / group).glob("*.yaml"))
    if not options:
        return f"{group}={choice}: no such group of settings"
    other = " (any other timm network: encoder=timm encoder.name=…)" if group == "encoder" else ""
    return f"{group}={choice}: unknown{nearest(choice, options)}; allowed: {', '.join(options)}{other}"


def _unknown_key(key: str, command: str, arguments: Sequence[str]) -> str:
    """A key that is neither a setting nor a group of settings of the command."""
    if (config_folder() / key).is_dir():
        return (
            f"{key}: {command}.py does not choose one; a resumed or evaluated run keeps its own, and single settings "
            f"of a section can be changed by name ({key}.…=…)"
        )
    settings = _settings(command, arguments)
    section, _, name = key.rpartition(".")
    siblings = [known.rpartition(".")[2] for known in settings if known.rpartition(".")[0] == section]
    if section and siblings:
        return f"{key}: no such setting{nearest(name, siblings)}; allowed in {section}: {', '.join(sorted(siblings))}"
    groups = [path.name for path in config_folder().iterdir() if path.is_dir()]
    tops = sorted({known.partition(".")[0] for known in settings} | set(groups))
    hint = nearest(key, [*settings, *groups])
    return f"{key}: no such setting{hint}; allowed: {', '.join(tops)}"


def _settings(command: str, arguments: Sequence[str]) -> list[str]:
    """Every setting of the command, dotted, with the groups that the user chose."""
    groups = [text for text in arguments if (config_folder() / text.partition("=")[0]).is_dir()]
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        cfg = compose(command, overrides=groups)
    return _dotted(cfg)


def _dotted(node: DictConfig, prefix: str = "") -> list[str]:
    keys = []
    for key in map(str, node):
        path = f"{prefix}{key}"
        value = node._get_node(key)
        keys += (
            _dotted(value, f"{path}.")
            if isinstance(value, DictConfig) and not OmegaConf.is_missing(node, key)
            else [path]
        )
    return keys
