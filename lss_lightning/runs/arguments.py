"""The arguments that classes accept."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from typing import Any

from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError


def import_name(target: str) -> Any:
    """Import the class or function with the given dotted name.

    Raises:
        ImportError: If the module does not exist or does not define the name.
    """
    module, _, name = target.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (AttributeError, ValueError) as error:
        raise ImportError(f"no class {name!r} in {module!r}") from error


def find_parameters(factory: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Return the parameters of a class or function by name, including those passed to base classes as ``**kwargs``."""
    bases = factory.__mro__[1:] if isinstance(factory, type) else ()
    parameters: dict[str, inspect.Parameter] = {}
    for function in [factory, *(vars(base)["__init__"] for base in bases if "__init__" in vars(base))]:
        try:
            own = inspect.signature(function, eval_str=True).parameters.values()
        except NameError:  # the type is imported for type checking only
            own = inspect.signature(function).parameters.values()
        named = (each for each in own if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY))
        parameters = {**{each.name: each for each in named if each.name != "self"}, **parameters}
        if not any(each.kind is each.VAR_KEYWORD for each in own):
            break
    return parameters


def is_accepted(value: Any, parameter: inspect.Parameter) -> bool:
    """Return whether plain data has the declared type of a parameter. A list of numbers is accepted for a tensor."""
    annotation = parameter.annotation
    if annotation is parameter.empty or isinstance(annotation, str):
        return True
    if "Tensor" in str(annotation):
        annotation = annotation | list[float]
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(annotation, config=ConfigDict(arbitrary_types_allowed=True))
    except PydanticUserError:  # the type defines its own validation
        adapter = TypeAdapter(annotation)
    try:
        adapter.validate_python(value)
    except ValidationError:
        return False
    return True
