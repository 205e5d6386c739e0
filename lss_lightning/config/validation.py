"""Checks a section of the configuration against the dataclass that describes it."""

from __future__ import annotations

import math
import operator
from collections.abc import Collection, Mapping, Sequence
from dataclasses import MISSING, Field, field, fields, is_dataclass, make_dataclass
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lss_lightning.display import format_setting
from lss_lightning.errors import UserError, nearest

T = TypeVar("T")

_BOUNDS = {
    "above": ("above", operator.gt),
    "at_least": ("at least", operator.ge),
    "below": ("below", operator.lt),
    "at_most": ("at most", operator.le),
}

_WORDS: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    type(None): "null",
}


def setting(default: Any = MISSING, *, choices: Sequence[Any] | None = None, **bounds: float) -> Any:
    """A dataclass field with the values it may take; None passes where the type allows it, empty text never.

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
        schema: The dataclass; its fields are the section's keys. A field that is itself a dataclass is a section too.
        values: The section as plain data; ``_target_`` is not looked at.
        section: The section's key, e.g. ``data``, for messages.

    Raises:
        UserError: an unknown or missing key, a value of the wrong type, or one out of range.
    """
    check_section(section, values)
    known: tuple[Field[Any], ...] = fields(schema)  # type: ignore[arg-type]
    given = {key: value for key, value in values.items() if key != "_target_"}
    check_keys(given, [entry.name for entry in known], section, required_keys(schema))
    return schema(**check(schema, given, section))


def required_keys(schema: type[Any]) -> list[str]:
    """The fields of a dataclass that have no default."""
    return [entry.name for entry in fields(schema) if entry.default is MISSING and entry.default_factory is MISSING]


def check_section(section: str, values: Any) -> None:
    """Refuse a single value in a section's place.

    Raises:
        UserError: it is no mapping.
    """
    if not isinstance(values, Mapping):
        raise UserError(
            f"{section}={format_setting(values)}: a section of settings, not a value; set one of its own: {section}.…=…"
        )


def check_keys(values: Collection[str], allowed: Collection[str], section: str, required: Collection[str] = ()) -> None:
    """Refuse keys that a section does not have, and the lack of those that it must have.

    Raises:
        UserError: an unknown key; the message gives the nearest names and all allowed ones. Or a missing one.
    """
    for key in values:
        if key not in allowed:
            raise UserError(unknown_key(_path(section, key), [_path(section, name) for name in allowed], allowed))
    for key in required:
        if key not in values:
            raise _not_set(_path(section, key))


def unknown_key(key: str, near: Collection[str], allowed: Collection[str]) -> str:
    """What to say about a key that does not exist.

    Args:
        key: Dotted, as the user gave it.
        near: Dotted keys that the user may have meant.
        allowed: Names that exist beside it.
    """
    section = key.rpartition(".")[0]
    place = f" in {section}" if section else ""
    return f"{key}: no such setting{nearest(key, near)}; allowed{place}: {', '.join(sorted(allowed))}"


def check(schema: type[Any], values: Mapping[str, Any], section: str) -> dict[str, Any]:
    """The values, those that the dataclass describes converted to its types and held against its ranges.

    Raises:
        UserError: a value is missing (``???``) or empty, of the wrong type, or out of range.
    """
    hints = get_type_hints(schema)
    known = {entry.name: entry for entry in fields(schema)}
    checked = dict(values)
    for key, value in values.items():
        path = _path(section, key)
        if value == "???":
            raise _not_set(path)
        if isinstance(value, str) and not value.strip():
            raise UserError(f"{path} is empty: give {path}=…")
        if key in known:
            checked[key] = _converted(path, value, hints[key])
            _check_range(path, value, checked[key], known[key])
    return checked


def check_kind(path: str, value: Any, example: Any) -> None:
    """Hold a value that no dataclass describes against the one in its YAML file: a number stays a number.

    Raises:
        UserError: it is of another kind.
    """
    for kind, accepted in ((bool, bool), (int, int), (float, (int, float))):
        if type(example) is kind and (not isinstance(value, accepted) or isinstance(value, bool) is not (kind is bool)):
            raise _wrong_type(path, value, kind)


def _path(section: str, key: str) -> str:
    return f"{section}.{key}" if section else key


def _not_set(path: str) -> UserError:
    return UserError(f"{path} is not set: give {path}=…")


def _wrong_type(path: str, value: Any, hint: Any) -> UserError:
    return UserError(f"{path}={format_setting(value)}: not of the allowed type; give {_describe(hint)}")


def _parts(hint: Any) -> tuple[Any, ...]:
    """The types that a hint allows."""
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def _describe(hint: Any) -> str:
    if get_origin(hint) is list:
        return f"a list, each item {_describe(get_args(hint)[0])}"
    if get_origin(hint) is dict:
        return f"{{name: value, …}}, each value {_describe(get_args(hint)[1])}"
    if len(_parts(hint)) > 1:
        return " or ".join(map(_describe, _parts(hint)))
    return _WORDS.get(hint, str(hint))


def _converted(path: str, value: Any, hint: Any) -> Any:
    """The value as the field's type, by OmegaConf's rules: ``"3"`` is a whole number, ``3.5`` is none."""
    nested = next((part for part in _parts(hint) if is_dataclass(part)), None)
    if nested is not None:
        return None if value is None and type(None) in _parts(hint) else build(nested, value, path)  # type: ignore[arg-type]
    # OmegaConf would take any number for a truth value.
    if isinstance(value, Mapping) is not (get_origin(hint) is dict) or (hint is bool and not isinstance(value, bool)):
        raise _wrong_type(path, value, hint)
    holder = OmegaConf.structured(make_dataclass("Holder", [("value", hint)]))
    try:
        holder.value = value
        return OmegaConf.to_object(holder).value  # type: ignore[union-attr]
    except OmegaConfBaseException as error:
        raise _wrong_type(path, value, hint) from error


def _check_range(path: str, given: Any, value: Any, entry: Field[Any]) -> None:
    choices, bounds = entry.metadata.get("choices"), entry.metadata.get("bounds", {})
    if value is None:
        return
    if choices is not None and value not in choices:
        hint = nearest(str(value), map(str, choices))
        raise UserError(f"{path}={format_setting(given)}: unknown{hint}; allowed: {', '.join(map(str, choices))}")
    if bounds and isinstance(value, int | float):
        holds = abs(value) < math.inf and all(_BOUNDS[name][1](value, bound) for name, bound in bounds.items())
        if not holds:
            allowed = " and ".join(f"{_BOUNDS[name][0]} {bound:.12g}" for name, bound in bounds.items())
            raise UserError(f"{path}={format_setting(given)}: out of range; it must be {allowed}")
