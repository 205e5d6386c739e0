"""Hydra's and OmegaConf's errors in one line, with the nearest names."""

from __future__ import annotations

import re
from argparse import ArgumentError
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from hydra import compose, initialize_config_dir
from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import (
    InterpolationKeyError,
    InterpolationToMissingValueError,
    MissingMandatoryValue,
    OmegaConfBaseException,
)

from lss_lightning.config.sections import config_folder
from lss_lightning.config.validation import unknown_key
from lss_lightning.errors import UserError, fail, nearest
from lss_lightning.runs.layout import unwritable

EXTRAS = {
    "hydra/sweeper/optuna": "optuna",
    "hydra/launcher/joblib": "cluster",
    "hydra/launcher/submitit_local": "cluster",
    "hydra/launcher/submitit_slurm": "cluster",
}
"""Choices that a plugin brings, and the extra that installs it."""


@contextmanager
def one_line(command: str, arguments: Sequence[str], crashes: Sequence[Exception] = ()) -> Iterator[None]:
    """End the process with one line after a user's mistake.

    Args:
        command: The command.
        arguments: What the user gave it.
        crashes: Programming errors, whatever their type.
    """
    try:
        with explained(command, arguments, crashes):
            yield
    except UserError as error:
        fail(str(error))


@contextmanager
def explained(command: str, arguments: Sequence[str], crashes: Sequence[Exception] = ()) -> Iterator[None]:
    """Turn Hydra's and OmegaConf's errors into a UserError; arguments as of :func:`one_line`."""
    try:
        yield
    except (HydraException, OmegaConfBaseException, OSError, ValueError) as error:
        if error in crashes or not (isinstance(error, HydraException | OmegaConfBaseException) or _of_hydra(error)):
            raise
        raise UserError(explain(error, command, arguments)) from error


def explain(error: Exception, command: str, arguments: Sequence[str]) -> str:
    """Say in one line what Hydra or OmegaConf found wrong with a command line.

    Args:
        error: A ``HydraException`` or ``OmegaConfBaseException``, or an ``OSError`` or ``ValueError`` raised by Hydra.
        command: The command, whose settings are the allowed ones.
        arguments: What the user gave it.
    """
    text = str(error)
    if isinstance(error, OverrideParseException):
        return _unparsed(error.override or " ".join(arguments))
    if isinstance(error, MissingConfigException) and error.options is not None:
        return _unknown_choice(str(error.missing_cfg_file), error.options)
    if match := re.match(r"Could not override '(.+)'|Could not delete from config\. '(.+)' does not", text):
        key = max(match[1] or match[2], str(getattr(error.__cause__, "full_key", "")), key=len)
        return _unknown_key(key, command, arguments)
    if match := re.match(r"Ambiguous value for argument '(.+)'", text):
        key, _, value = match[1].partition("=")
        return f"{match[1]}: several values; -m takes each in turn, {key}=[{value}] is a list"
    if isinstance(error, InterpolationToMissingValueError | MissingMandatoryValue):
        match = re.search(r"Missing mandatory value: (\S+)", text)
        key = match[1] if match else getattr(error, "full_key", None)
        return f"{key} is not set: give {key}=…"
    if isinstance(error, InterpolationKeyError) and (match := re.search(r"'([^']+)' not found", text)):
        return f"{error.full_key}=${{{match[1]}}}: there is no setting {match[1]} to take the value from"
    if isinstance(error, OmegaConfBaseException) and error.full_key:
        return f"{error.full_key}: {text.splitlines()[0]}"
    cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
    if isinstance(cause, OSError) and cause.filename is not None:
        return str(unwritable(cause))
    reason = f" ({str(error.__cause__).splitlines()[0]})" if isinstance(error.__cause__, OmegaConfBaseException) else ""
    return _misused_group(arguments) or f"{' '.join(arguments)}: {text}{reason}"


def _unparsed(given: str) -> str:
    key, equals, value = given.partition("=")
    remedy = "give key=value"
    if equals and value and '"' not in value:
        remedy = f"quote the value twice: '{key}=\"{value}\"'"
    return f"{given.strip() or repr(given)}: cannot be read as a setting; {remedy}"


def _unknown_choice(file: str, options: Sequence[str]) -> str:
    """A file that its group does not have; ``file`` is ``group/choice``, Hydra's own groups being ``hydra/…``."""
    depth = 2 if file.startswith("hydra/") else 1
    parts = file.split("/")
    group, choice = "/".join(parts[:depth]), "/".join(parts[depth:])
    if extra := EXTRAS.get(file):
        checkout = f"in a checkout pip install -e '.[{extra}]'"
        return f"{group}={choice}: not installed; run pip install 'lss-lightning[{extra}]', or {checkout}"
    other = " (any other timm network: encoder=timm encoder.name=…)" if group == "encoder" else ""
    return f"{group}={choice}: unknown{nearest(choice, options)}; allowed: {', '.join(options)}{other}"


def _unknown_key(key: str, command: str, arguments: Sequence[str]) -> str:
    """A key that is neither a setting nor a group of settings of the command."""
    settings, groups = _known(command, arguments)
    if not key.startswith("hydra"):
        settings = [name for name in settings if not name.startswith("hydra.")]
    if key in groups:
        return (
            f"{key}: a resumed run keeps the files it was started with; change single settings, such as "
            "trainer.max_epochs=…, or start a new run"
        )
    tops = sorted({name.partition(".")[0] for name in settings} | set(groups))
    top = re.split(r"[.@/]", key)[0]
    if top not in tops and (config_folder() / top).is_dir():
        reason = ", it comes with the checkpoint" if command == "evaluate" else ""
        return f"{key}: {command} has no such setting{reason}; allowed: {', '.join(tops)}"
    section = key.rpartition(".")[0]
    siblings = {name[len(section) + 1 :].partition(".")[0] for name in settings if name.startswith(f"{section}.")}
    if section and not siblings:
        key = key.partition(".")[0]
    return unknown_key(key, [*settings, *groups], siblings or tops) + _in_other_files(key)


def _in_other_files(key: str) -> str:
    """Which choices of the key's group have it, where the chosen one does not; empty if none has."""
    group, _, name = key.rpartition(".")
    files = sorted((config_folder() / group).glob("*.yaml")) if group else []
    plain: dict[str, Any] = {path.stem: OmegaConf.to_container(OmegaConf.load(path)) for path in files}
    holders = [f"{group}={choice}" for choice, held in plain.items() if held.get(name) is not None]
    return f"; it belongs to {' or '.join(holders)}" if holders else ""


def _known(command: str, arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Every setting of the command, dotted, and every group it chooses from, under the choices that the user made."""
    choices = [text for text in arguments if re.fullmatch(r"\w+=\w+", text)]
    choices = [text for text in choices if (config_folder() / text.partition("=")[0]).is_dir()]
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        try:
            cfg = compose(command, overrides=choices, return_hydra_config=True)
        except HydraException:  # one of the choices is what the user did wrong
            cfg = compose(command, return_hydra_config=True)
    groups = [group for group in map(str, cfg.hydra.runtime.choices) if not group.startswith("hydra/")]
    plain: Any = OmegaConf.to_container(cfg, resolve=False)
    return _dotted(plain), groups


def _dotted(section: Mapping[str, Any], prefix: str = "") -> list[str]:
    keys = []
    for key, value in section.items():
        if isinstance(value, dict) and value:
            keys += _dotted(value, f"{prefix}{key}.")
        elif key != "_target_":
            keys.append(f"{prefix}{key}")
    return keys


def _misused_group(arguments: Sequence[str]) -> str:
    """What is wrong with the first choice that is no plain ``group=file``; empty if all are."""
    for text in arguments:
        try:
            override = OverridesParser.create().parse_override(text)
        except HydraException:
            continue  # a flag
        group = override.key_or_group
        options = sorted(path.stem for path in (config_folder() / group).glob("*.yaml")) if group else []
        plain = isinstance(override.value(), str | list) and not (override.is_add() or override.is_force_add())
        if options and not plain:
            return f"{text}: chooses no file; write {group}=… with one of {', '.join(options)}, or leave it out"
    return ""


def _of_hydra(error: Exception) -> bool:
    """Whether it was Hydra's own code, or what that called of the standard library, that raised an error."""
    trace, names = error.__traceback__, []
    while trace is not None:
        names.append(str(trace.tb_frame.f_globals.get("__name__")))
        trace = trace.tb_next
    return [name for name in names if name.startswith(("hydra.", "lss_lightning."))][-1].startswith("hydra.")


def flags_first(arguments: Sequence[str]) -> list[str]:
    """Hydra's arguments with the flags before the settings, which its own parser takes only in one piece.

    Args:
        arguments: Flags, such as ``-m``, and settings in any order.

    Raises:
        UserError: a flag that there is not, or one without its value, where Hydra would show its usage.
    """
    parser = get_args_parser()
    parser.exit_on_error = parser.allow_abbrev = False
    try:
        parsed, unknown = parser.parse_known_intermixed_args(arguments)
    except ArgumentError as error:
        raise UserError(f"{error.argument_name}: {error.message}; --hydra-help explains the flags") from error
    if unknown:
        known = re.findall(r"--[\w-]+", parser.format_usage())
        raise UserError(f"{unknown[0]}: no such flag{nearest(unknown[0], known)}; --hydra-help lists them")
    flags = list(arguments)
    for text in parsed.overrides:
        flags.remove(text)
    return [*flags, *parsed.overrides]
