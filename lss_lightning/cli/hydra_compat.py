"""Code that depends on Hydra's internals and on the error messages of Hydra and OmegaConf.

``tests/cli/test_hydra_compat.py`` provokes each error that this module recognises, so that it detects incompatible
releases of Hydra.
"""

from __future__ import annotations

import os
import re
import sys
import traceback
from argparse import ArgumentError
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import hydra
from hydra import compose, initialize_config_dir
from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import (
    InterpolationKeyError,
    InterpolationToMissingValueError,
    MissingMandatoryValue,
    OmegaConfBaseException,
)

from lss_lightning.cli.plugins import PLUGIN_EXTRAS, describe_missing_plugin
from lss_lightning.config.sections import config_folder
from lss_lightning.config.validation import describe_unknown_key
from lss_lightning.errors import UserError, fail, suggest_nearest
from lss_lightning.runs.layout import unwritable_folder_error
from lss_lightning.runs.trust import NAMED_SECTIONS


def start_hydra(task: Callable[[DictConfig], Any], command: str, arguments: Sequence[str]) -> None:
    """Let Hydra compose the configuration of a command and call a task with it, once for each job of a sweep.

    Args:
        task: The function to call with the composed configuration.
        command: The name of the YAML file in ``conf/``.
        arguments: Hydra's flags and overrides, in any order.

    Raises:
        UserError: If a flag is unknown or lacks its value.
    """
    command_line = list(sys.argv)

    def run_task(cfg: DictConfig) -> Any:
        sys.argv = command_line  # Lightning starts further processes with this command line
        return task(cfg)

    # Without this variable, Hydra prints its errors over several lines and exits with code 1.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    sys.argv = [command_line[0], *move_flags_first(arguments)]
    hydra.main(config_path=str(config_folder()), config_name=command, version_base="1.3")(run_task)()


def move_flags_first(arguments: Sequence[str]) -> list[str]:
    """Move the flags before the overrides, because Hydra's parser does not accept overrides on both sides of a flag.

    Args:
        arguments: Flags, such as ``-m``, and overrides in any order.

    Raises:
        UserError: If a flag is unknown, or its value is missing.
    """
    parser = get_args_parser()
    parser.exit_on_error = parser.allow_abbrev = False
    try:
        parsed, unknown = parser.parse_known_intermixed_args(arguments)
    except ArgumentError as error:
        raise UserError(f"{error.argument_name}: {error.message}; --hydra-help explains the flags") from error
    if parsed.experimental_rerun is not None:
        raise UserError(
            "--experimental-rerun: not supported, because it unpickles a file; resume with ckpt_path=… or sweep=…"
        )
    if unknown:
        known = re.findall(r"--[\w-]+", parser.format_usage())
        raise UserError(f"{unknown[0]}: unknown flag{suggest_nearest(unknown[0], known)}; --hydra-help lists the flags")
    flags = list(arguments)
    for text in parsed.overrides:
        flags.remove(text)
    return [*flags, *parsed.overrides]


@contextmanager
def exit_on_user_error(command: str, arguments: Sequence[str], crashes: Sequence[Exception] = ()) -> Iterator[None]:
    """End the process with one line on stderr after a user error.

    Args:
        command: The name of the command.
        arguments: The user's command-line arguments.
        crashes: Exceptions to treat as programming errors regardless of their type.
    """
    try:
        with translate_errors(command, arguments, crashes):
            yield
    except UserError as error:
        fail(str(error))


@contextmanager
def translate_errors(command: str, arguments: Sequence[str], crashes: Sequence[Exception] = ()) -> Iterator[None]:
    """Convert errors of Hydra and OmegaConf to UserErrors. The arguments are those of :func:`exit_on_user_error`."""
    try:
        yield
    except (HydraException, OmegaConfBaseException, OSError, ValueError) as error:
        is_hydra_error = isinstance(error, HydraException | OmegaConfBaseException) or _is_raised_by_hydra(error)
        if error in crashes or not is_hydra_error:
            raise
        raise UserError(describe_error(error, command, arguments)) from error


@contextmanager
def exit_on_callback_error() -> Iterator[None]:
    """End the process after a programming error in a callback, which Hydra would only report as a warning."""
    try:
        yield
    except Exception:
        traceback.print_exc()
        raise SystemExit(1) from None


def describe_error(error: Exception, command: str, arguments: Sequence[str]) -> str:
    """Describe an error of Hydra or OmegaConf in one line.

    Args:
        error: A ``HydraException`` or ``OmegaConfBaseException``, or an ``OSError`` or ``ValueError`` raised by Hydra.
        command: The name of the command, which determines the allowed settings.
        arguments: The user's command-line arguments.
    """
    text = str(error)
    if isinstance(error, OverrideParseException):
        return _describe_unparsed(error.override or " ".join(arguments))
    if isinstance(error, MissingConfigException) and error.options is not None:
        return _describe_unknown_choice(str(error.missing_cfg_file), error.options)
    if match := re.match(r"Could not override '(.+)'|Could not delete from config\. '(.+)' does not", text):
        key = max(match[1] or match[2], str(getattr(error.__cause__, "full_key", "")), key=len)
        if repeated := _find_repeated(key, arguments):
            return f"{repeated}: given several times, and the values do not have the same keys; give it once"
        return _describe_unknown_setting(key, command, arguments)
    if match := re.match(r"Ambiguous value for argument '(.+)'", text):
        key, _, value = match[1].partition("=")
        return f"{match[1]}: several values; add -m to run each of them, or write a list as {key}=[{value}]"
    if isinstance(error, InterpolationToMissingValueError | MissingMandatoryValue):
        match = re.search(r"Missing mandatory value: (\S+)", text)
        key = match[1] if match else getattr(error, "full_key", None)
        return f"{key} is not set: give {key}=…"
    if isinstance(error, InterpolationKeyError) and (match := re.search(r"'([^']+)' not found", text)):
        return f"{error.full_key}=${{{match[1]}}}: there is no setting {match[1]}; name another, or give the value"
    if isinstance(error, OmegaConfBaseException) and error.full_key:
        return f"{error.full_key}: {text.splitlines()[0]}"
    cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
    if isinstance(cause, OSError) and cause.filename is not None:
        return str(unwritable_folder_error(cause))
    reason = f" ({str(error.__cause__).splitlines()[0]})" if isinstance(error.__cause__, OmegaConfBaseException) else ""
    return _describe_misused_group(arguments) or f"{' '.join(arguments)}: {text}{reason}"


def _find_repeated(key: str, arguments: Sequence[str]) -> str:
    """Return the parent setting of a key if the arguments set that parent more than once, else an empty string."""
    given = [text.lstrip("+").partition("=")[0] for text in arguments]
    return next((name for name in given if given.count(name) > 1 and key.startswith(f"{name}.")), "")


def _describe_unparsed(override: str) -> str:
    key, equals, value = override.partition("=")
    remedy = "give key=value"
    if equals and value and '"' not in value:
        remedy = f"quote the value twice: '{key}=\"{value}\"'"
    return f"{override.strip() or repr(override)}: not a setting; {remedy}"


def _describe_unknown_choice(file: str, options: Sequence[str]) -> str:
    """Describe the choice of a configuration file that does not exist in its group.

    Args:
        file: ``group/choice``. Hydra's own groups begin with ``hydra/``.
        options: The names of the files in the group.
    """
    parts = file.split("/")
    depth = 2 if file.startswith("hydra/") else 1
    while depth < len(parts) - 1 and config_folder().joinpath(*parts[: depth + 1]).is_dir():
        depth += 1
    group, choice = "/".join(parts[:depth]), "/".join(parts[depth:])
    if file in PLUGIN_EXTRAS:
        return describe_missing_plugin(file)
    timm = " (any other timm network: encoder=timm encoder.name=…)" if group == "encoder" else ""
    return f"{group}={choice}: unknown{suggest_nearest(choice, options)}; allowed: {', '.join(options)}{timm}"


def _describe_unknown_setting(key: str, command: str, arguments: Sequence[str]) -> str:
    """Describe a key that is neither a setting nor a group of the command."""
    settings, groups = _list_settings(command, arguments)
    if not key.startswith("hydra"):
        settings = [name for name in settings if not name.startswith("hydra.")]
    if key in groups:
        return (
            f"{key}: a resumed run keeps the files it was started with; change single settings, such as "
            "trainer.max_epochs=…, or start a new run"
        )
    top_level = sorted({name.partition(".")[0] for name in settings} | set(groups))
    first = re.split(r"[.@/]", key)[0]
    if first not in top_level and (config_folder() / first).is_dir():
        reason = ", it comes with the checkpoint" if command == "evaluate" else ""
        return f"{key}: {command} has no such setting{reason}; allowed: {', '.join(top_level)}"
    section = key.rpartition(".")[0]
    siblings = {name[len(section) + 1 :].partition(".")[0] for name in settings if name.startswith(f"{section}.")}
    if section and not siblings and first in top_level:
        if owners := _describe_owners(key):
            return f"{key}: no such setting here{owners}"
        is_class = key.endswith("._target_") or first in NAMED_SECTIONS
        return f"{key}: {section} has no settings" + (f"; add a class with +{section}._target_=…" if is_class else "")
    if section and not siblings:
        key = key.partition(".")[0]
    return describe_unknown_key(key, [*settings, *groups], siblings or top_level) + _describe_owners(key)


def _describe_owners(key: str) -> str:
    """Name the files in the key's group that contain the key. Return an empty string if no file contains it."""
    group, _, name = key.partition(".")
    files = sorted((config_folder() / group).glob("*.yaml")) if name else []
    loaded = {path.stem: OmegaConf.load(path) for path in files}
    owners = [f"{group}={choice}" for choice, cfg in loaded.items() if OmegaConf.select(cfg, name) is not None]
    return f"; it belongs to {' or '.join(owners)}" if owners else ""


def _list_settings(command: str, arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the dotted settings of the command, composed with the user's choices of files, and its groups."""
    choices = [text for text in arguments if re.fullmatch(r"\w+=\w+", text)]
    choices = [text for text in choices if (config_folder() / text.partition("=")[0]).is_dir()]
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        try:
            cfg = compose(command, overrides=choices, return_hydra_config=True)
        except HydraException:  # one of the choices is the user's mistake
            cfg = compose(command, return_hydra_config=True)
    groups = [group for group in map(str, cfg.hydra.runtime.choices) if not group.startswith("hydra/")]
    plain: Any = OmegaConf.to_container(cfg, resolve=False)
    return _flatten_keys(plain), groups


def _flatten_keys(section: Mapping[str, Any], prefix: str = "") -> list[str]:
    keys = []
    for key, value in section.items():
        if isinstance(value, dict) and value:
            keys += _flatten_keys(value, f"{prefix}{key}.")
        elif key != "_target_":
            keys.append(f"{prefix}{key}")
    return keys


def _describe_misused_group(arguments: Sequence[str]) -> str:
    """Describe the first override of a group that is not of the form ``group=file``, or return an empty string."""
    for text in arguments:
        try:
            override = OverridesParser.create().parse_override(text)
        except HydraException:
            continue  # a flag
        group = override.key_or_group
        options = sorted(path.stem for path in (config_folder() / group).glob("*.yaml")) if group else []
        is_choice = isinstance(override.value(), str | list) and not (override.is_add() or override.is_force_add())
        if options and not is_choice:
            return f"{text}: not a file of the group; write {group}=… with one of {', '.join(options)}, or leave it out"
    return ""


def _is_raised_by_hydra(error: Exception) -> bool:
    """Return whether an error was raised by Hydra, or by a function outside this package that Hydra called."""
    frame, modules = error.__traceback__, []
    while frame is not None:
        modules.append(str(frame.tb_frame.f_globals.get("__name__")))
        frame = frame.tb_next
    return [name for name in modules if name.startswith(("hydra.", "lss_lightning."))][-1].startswith("hydra.")
