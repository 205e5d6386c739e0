"""Instantiation of the classes named in sections of the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf.errors import OmegaConfBaseException

from lss_lightning.errors import UserError
from lss_lightning.runs.arguments import import_name

_MISTAKES = (
    *(TypeError, ValueError, KeyError, AttributeError, ImportError, AssertionError, RuntimeError),
    *(InstantiationException, OmegaConfBaseException),
)
"""Errors that classes raise for wrong arguments, and that Hydra raises for a class that it cannot find."""


def find_class(target: Any) -> type[Any] | None:
    """Return the class with the given full name, or None if there is no such class."""
    try:
        found = import_name(target) if isinstance(target, str) else None
    except ImportError:
        return None
    return found if isinstance(found, type) else None


def instantiate_section(key: str, section: Mapping[str, Any], *arguments: Any, **extra: Any) -> Any:
    """Instantiate the class of a section, and the classes in its arguments.

    Args:
        key: The dotted key of the section, e.g. ``loss`` or ``callbacks.ema``, for messages.
        section: The full name of the class as ``_target_``, and its arguments.
        arguments: The first positional arguments, such as the parameters of an optimizer.
        extra: Further keyword arguments.

    Raises:
        UserError: If the class does not exist or rejects its arguments.
    """
    try:
        return instantiate(dict(section), *arguments, **extra, _convert_="all")
    except (InstantiationException, OmegaConfBaseException) as error:
        cause = error.__cause__ or error
        if not isinstance(cause, _MISTAKES):
            raise
        reason = " ".join(str(cause).split())
        raise UserError(
            f"{key}: {section.get('_target_')} cannot be instantiated with these settings ({reason}); correct them"
        ) from error
