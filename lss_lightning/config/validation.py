"""Validation of the configuration with pydantic, and conversion of pydantic's errors to one-line messages."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from itertools import chain
from typing import Any, Literal, TypeVar, get_type_hints

from omegaconf import DictConfig, OmegaConf
from pydantic import ConfigDict, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from lss_lightning.display import format_setting
from lss_lightning.errors import UserError, suggest_nearest

Schema = TypeVar("Schema")

_UNKNOWN = ("unexpected_keyword_argument", "invalid_key")
_OUT_OF_RANGE = ("greater_than", "greater_than_equal", "less_than", "less_than_equal", "finite_number")
_BOUNDS = {"exclusiveMinimum": "above", "minimum": "at least", "exclusiveMaximum": "below", "maximum": "at most"}
_TYPES = {
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "string": "text",
    "null": "null",
}


def read_plain(cfg: DictConfig) -> dict[str, Any]:
    """Return a composed configuration as plain data with resolved interpolations."""
    plain: Any = OmegaConf.to_container(cfg, resolve=True)
    return {str(key): value for key, value in plain.items()}


def build_config(schema: type[Schema], cfg: DictConfig, **computed: Any) -> Schema:
    """Build the configuration of a command.

    Args:
        schema: The dataclass of the command. Its fields are the top-level keys, either sections or single values.
        cfg: The configuration that Hydra composed, without Hydra's own part.
        computed: Values of the fields that the user cannot set.

    Raises:
        UserError: If a key is unknown or missing, or a value is not allowed.
    """
    values = read_plain(cfg)
    allowed = [entry.name for entry in fields(schema) if entry.name not in computed]  # type: ignore[arg-type]
    for key in values:
        if key not in allowed:
            raise UserError(describe_unknown_key(key, allowed, allowed))
    return build(schema, {**values, **computed}, "")


def build(schema: type[Schema], values: Any, section: str) -> Schema:
    """Build a dataclass from a section of the configuration.

    Args:
        schema: The dataclass. Its fields are the keys of the section. A field that is a dataclass is also a section.
        values: The section as plain data. ``_target_`` is ignored.
        section: The key of the section, e.g. ``data``, for messages; empty for the whole configuration.

    Raises:
        UserError: If the section is a single value, a key is unknown or missing, or a value is not allowed.
    """
    check_is_section(values, section)
    given = {key: value for key, value in values.items() if key != "_target_"}
    built: Schema = _validate(schema, "forbid", given, section)
    return built


def validate_open(schema: type[Any], values: Any, section: str) -> dict[str, Any]:
    """Validate the keys of a section that a schema describes. Other keys are left unchanged.

    Args:
        schema: A ``TypedDict``, or a dataclass, whose fields are all optional here.
        values: The section as plain data.
        section: The key of the section, for messages.

    Returns:
        The section with converted values.

    Raises:
        UserError: If the section is a single value, a required key is missing, or a value is not allowed.
    """
    check_is_section(values, section)
    open_schema: Any = schema
    if is_dataclass(schema):
        open_schema = _make_open(schema)
    validated: dict[str, Any] = _validate(open_schema, "allow", dict(values), section)
    return validated


def check_is_section(values: Any, section: str) -> None:
    """Check that a section of the configuration is a mapping.

    Raises:
        UserError: If the section is a single value.
    """
    if not isinstance(values, Mapping):
        raise UserError(_describe_no_section(section, values))


def check_same_type(path: str, value: Any, example: Any) -> None:
    """Check the type of a value that no schema describes against the value in its YAML file.

    Args:
        path: The dotted key.
        value: The value to check.
        example: The value in the YAML file. Only numbers and Boolean values constrain the type.

    Raises:
        UserError: If the type differs. An integer is accepted for a float.
    """
    for kind, accepted, name in ((bool, bool, "boolean"), (int, int, "integer"), (float, (int, float), "number")):
        if type(example) is kind and (not isinstance(value, accepted) or isinstance(value, bool) is not (kind is bool)):
            raise UserError(_describe_wrong_type(path, value, {"type": name}))


def describe_unknown_key(key: str, candidates: Collection[str], allowed: Collection[str]) -> str:
    """Describe a key that does not exist.

    Args:
        key: The dotted key that the user gave.
        candidates: Dotted keys that the user may have intended.
        allowed: The names that exist in the section of the key.
    """
    section = key.rpartition(".")[0]
    where = f" in {section}" if section else ""
    return f"{key}: no such setting{suggest_nearest(key, candidates)}; allowed{where}: {', '.join(sorted(allowed))}"


@cache
def _adapter(schema: Any, extra: Literal["allow", "forbid"]) -> TypeAdapter[Any]:
    # pydantic accepts a config for a type that contains a dataclass, but not for the dataclass itself.
    config = ConfigDict(extra=extra, coerce_numbers_to_str=True, allow_inf_nan=False)
    return TypeAdapter(list[schema], config=config)


@cache
def _make_open(schema: Hashable) -> Any:
    return TypedDict("Open", get_type_hints(schema, include_extras=True), total=False)  # type: ignore[operator]


def _validate(schema: Any, extra: Literal["allow", "forbid"], values: dict[str, Any], section: str) -> Any:
    _check_is_set(values, section)
    adapter = _adapter(schema, extra)
    try:
        [validated] = adapter.validate_python([values])
    except ValidationError as error:
        problems = [(problem["type"], problem["loc"][1:]) for problem in error.errors()]
        raise UserError(_describe(problems, adapter.json_schema(), values, section)) from error
    if inexact := [("inexact", location) for location in _find_inexact(values, validated)]:
        raise UserError(_describe(inexact, adapter.json_schema(), values, section))
    return validated


def _check_is_set(values: Mapping[str, Any], section: str) -> None:
    for key, value in values.items():
        path = _join(section, key)
        if isinstance(value, Mapping):
            _check_is_set(value, path)
        elif value == "???":
            raise UserError(_describe_not_set(path))
        elif isinstance(value, str) and not value.strip():
            raise UserError(f"{path} is empty: give {path}=…")


def _find_inexact(values: Mapping[str, Any], validated: Any) -> Iterator[tuple[str, ...]]:
    """Yield the keys of values that pydantic accepted although their type differs, such as true for 1."""
    for key, value in values.items():
        result = validated.get(key) if isinstance(validated, dict) else getattr(validated, key, value)
        if is_dataclass(result) and isinstance(value, Mapping):
            yield from ((key, *location) for location in _find_inexact(value, result))
        elif _is_inexact(value, result):
            yield (key,)


def _is_inexact(value: Any, result: Any) -> bool:
    if isinstance(value, list) and isinstance(result, list):
        return any(map(_is_inexact, value, result))
    if isinstance(value, dict) and isinstance(result, dict):
        return any(_is_inexact(item, result.get(str(key))) for key, item in value.items())
    types = (type(value), type(result))
    return types == (float, int) or (bool in types and types[0] is not types[1])


def _describe(
    problems: Sequence[tuple[str, tuple[int | str, ...]]], json_schema: dict[str, Any], values: Any, section: str
) -> str:
    """Describe one error of pydantic in one line: an unknown key, otherwise a missing key, otherwise the first error.

    Args:
        problems: The type of each error, and the keys and indices that lead to it from the section.
        json_schema: The JSON schema of a list of sections. It specifies the allowed keys and values.
        values: The section.
        section: The key of the section.
    """
    problem, location = min(problems, key=lambda each: (each[0] not in _UNKNOWN, each[0] != "missing"))
    path, node, value = section, _resolve(json_schema["items"], json_schema), values
    for key in location:
        if "properties" not in node:
            break  # the location is an item of a list, or a member of a union
        path = _join(path, str(key))
        if problem in _UNKNOWN and key not in node["properties"]:
            names = list(node["properties"])
            return describe_unknown_key(path, [_join(path.rpartition(".")[0], name) for name in names], names)
        node, value = _resolve(node["properties"][key], json_schema), value.get(key)
    if problem == "missing":
        return _describe_not_set(path)
    if problem == "dataclass_type":
        return _describe_no_section(path, value)
    if problem == "literal_error":
        lists = [member.get("enum", [member["const"]] if "const" in member else []) for member in _members(node)]
        choices = [str(choice) for choice in chain.from_iterable(lists)]
        hint = suggest_nearest(str(value), choices)
        return f"{path}={format_setting(value)}: unknown{hint}; allowed: {', '.join(choices)}"
    if problem in _OUT_OF_RANGE and not isinstance(value, bool):
        return f"{path}={format_setting(value)}: out of range; it must be {_describe_range(node)}"
    return _describe_wrong_type(path, value, node)


def _resolve(node: dict[str, Any], json_schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of the section that a node refers to, or the node itself if it describes a single value."""
    for member in _members(node):
        if "$ref" in member:
            section: dict[str, Any] = json_schema["$defs"][member["$ref"].rpartition("/")[2]]
            return section
    return node


def _members(node: dict[str, Any]) -> list[dict[str, Any]]:
    members: list[dict[str, Any]] = node.get("anyOf", [node])
    return members


def _describe_range(node: dict[str, Any]) -> str:
    bounded = next((member for member in _members(node) if member.keys() & _BOUNDS.keys()), {})
    if bounded.get("type") == "integer" and "exclusiveMinimum" in bounded:
        bounded = {**bounded, "minimum": bounded["exclusiveMinimum"] + 1}
        del bounded["exclusiveMinimum"]
    words = [f"{word} {bounded[key]:.12g}" for key, word in _BOUNDS.items() if key in bounded]
    return " and ".join(words) or "finite"


def _describe_type(node: dict[str, Any]) -> str:
    if "anyOf" in node:
        return " or ".join(map(_describe_type, node["anyOf"]))
    if node.get("type") == "array":
        return f"a list, each item {_describe_type(node['items'])}"
    if node.get("type") == "object":
        return f"{{name: value, …}}, each value {_describe_type(node['additionalProperties'])}"
    return _TYPES[node["type"]]


def _describe_wrong_type(path: str, value: Any, node: dict[str, Any]) -> str:
    return f"{path}={format_setting(value)}: not of the allowed type; give {_describe_type(node)}"


def _describe_not_set(path: str) -> str:
    return f"{path} is not set: give {path}=…"


def _describe_no_section(path: str, value: Any) -> str:
    return f"{path}={format_setting(value)}: a section of settings, not a value; set one of them: {path}.…=…"


def _join(section: str, key: str) -> str:
    return f"{section}.{key}" if section else str(key)
