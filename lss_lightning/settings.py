"""Checks a section of the configuration against the dataclass that describes it."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, Field, field, fields, make_dataclass
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lss_lightning.errors import UserError, nearest

T = TypeVar("T")

_BOUNDS = {
    "above": ("above", operator.gt),
    "at_least": ("at least", operator.ge),
    "below": ("below", operator.lt),
    "at_most": ("at most", operator.le),
}


def setting(default: Any = MISSING, *, choices: Sequence[Any] | None = None, **bounds: float) -> Any:
    """A dataclass field with the values it may take; None passes where the type allows it.

    Args:
        default: Its value where none is given; without one the user must give it.
        choices: The only values allowed.
        bounds: ``above``, ``at_least``, ``below``, ``at_most``.
    """
    assert bounds.keys() <= _BOUNDS.keys()
    metadata = {"choices": choices, "bounds": bounds}
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default=default, metadata=metadata)


def build(schema: type[T], values: Mapping[str, Any], section: str) -> T:
    """Make an instance of a dataclass from a section of the configuration.

    Args:
        schema: The dataclass; its fields are the section's keys.
        values: The section as plain data; ``_target_`` is not looked at.
        section: The section's key, e.g. ``data``, for messages; empty for the whole configuration.

    Raises:
        UserError: an unknown or missing key, a value of the wrong type, or one out of range.
    """
    known = {entry.name: entry for entry in fields(schema)}  # type: ignore[arg-type]
    if not isinstance(values, Mapping):
        raise UserError(
            f"{section}={values}: a section of settings, not a value; change single settings of it, {section}.…=… "
            "(a resumed run keeps the files it chose)"
        )
    given = {key: value for key, value in values.items() if key != "_target_"}
    check_keys(given, known, section)
    for name, entry in known.items():
        if name not in given and entry.default is MISSING and entry.default_factory is MISSING:
            raise UserError(f"{_path(section, name)} is not set: give {_path(section, name)}=…")
    return schema(**check(schema, given, section))


def check_keys(values: Iterable[str], allowed: Iterable[str], section: str) -> None:
    """Refuse keys that a section does not have.

    Raises:
        UserError: an unknown key; the message gives the nearest names and all allowed ones.
    """
    names = sorted(allowed)
    for key in values:
        if key not in names:
            raise UserError(f"{_path(section, key)}: no such setting{nearest(key, names)}; allowed: {', '.join(names)}")


def check(schema: type[Any], values: Mapping[str, Any], section: str) -> dict[str, Any]:
    """The values, those that the dataclass describes converted to its types and held against its ranges.

    Raises:
        UserError: a value is missing (``???``), of the wrong type, or out of range.
    """
    hints = get_type_hints(schema)
    known = {entry.name: entry for entry in fields(schema)}
    checked = dict(values)
    for key, value in values.items():
        path = _path(section, key)
        if value == "???":
            raise UserError(f"{path} is not set: give {path}=…")
        if key in known:
            checked[key] = _converted(path, value, hints[key])
            _check_range(path, checked[key], known[key])
    return checked


def check_kind(path: str, value: Any, example: Any) -> None:
    """Hold a value that no dataclass describes against the one in its YAML file: a number stays a number.

    Raises:
        UserError: it is of another kind.
    """
    for kind, accepted in ((bool, bool), (int, int), (float, (int, float))):
        if type(example) is kind and (
            not isinstance(value, accepted) or (kind is not bool and isinstance(value, bool))
        ):
            raise UserError(f"{path}={value}: not of the allowed type; give {_WORDS[kind]}")


def _path(section: str, key: str) -> str:
    return f"{section}.{key}" if section else key


_WORDS: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    type(None): "null",
}


def _describe(hint: Any) -> str:
    if get_origin(hint) in (Union, UnionType):
        return " or ".join(_describe(part) for part in get_args(hint))
    if get_origin(hint) is list:
        return f"a list, each item {_describe(get_args(hint)[0])}"
    return _WORDS.get(hint, str(hint))


def _converted(path: str, value: Any, hint: Any) -> Any:
    """The value as the field's type, by OmegaConf's rules: ``"3"`` is a whole number, ``3.5`` is none."""
    if hint is Any or isinstance(value, Mapping):
        return value
    holder = OmegaConf.structured(make_dataclass("Holder", [("value", hint)]))
    try:
        holder.value = value
        return OmegaConf.to_object(holder).value  # type: ignore[union-attr]
    except OmegaConfBaseException as error:
        raise UserError(f"{path}={value}: not of the allowed type; give {_describe(hint)}") from error


def _check_range(path: str, value: Any, entry: Field[Any]) -> None:
    choices, bounds = entry.metadata.get("choices"), entry.metadata.get("bounds", {})
    if value is None:
        return
    if choices is not None and value not in choices:
        hint = nearest(str(value), map(str, choices))
        raise UserError(f"{path}={value}: unknown{hint}; allowed: {', '.join(map(str, choices))}")
    if bounds and isinstance(value, int | float):
        holds = math.isfinite(value) and all(_BOUNDS[name][1](value, bound) for name, bound in bounds.items())
        if not holds:
            allowed = " and ".join(f"{_BOUNDS[name][0]} {bound:g}" for name, bound in bounds.items())
            raise UserError(f"{path}={value}: out of range; it must be {allowed}")
