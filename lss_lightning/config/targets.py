"""Checks of sections that name classes by ``_target_``."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any

from pydantic import PlainValidator

from lss_lightning.config.validation import check_is_section
from lss_lightning.display import format_setting
from lss_lightning.errors import UserError


def check_target(values: Mapping[str, Any], key: str, hint: str) -> None:
    """Check that a section names a class.

    Args:
        values: The section.
        key: The dotted key of the section, e.g. ``loss`` or ``callbacks.ema``.
        hint: The remedy, for the message.

    Raises:
        UserError: If ``_target_`` is missing or not a string.
    """
    target = values.get("_target_")
    if not isinstance(target, str):
        raise UserError(f"{key}._target_={format_setting(target)}: not a class; {hint}")


def check_named_targets(values: Any, section: str) -> dict[str, dict[str, Any]]:
    """Check a section of named entries, each of which names a class and gives its arguments.

    Args:
        values: The section as plain data. An entry that is None or has no settings is disabled.
        section: The key of the section, e.g. ``callbacks``.

    Returns:
        The enabled entries, in the order of the section.

    Raises:
        UserError: If the section or an entry is a single value, or an entry names no class.
    """
    check_is_section(values, section)
    entries = {str(name): entry for name, entry in values.items() if entry not in (None, {})}
    for name, entry in entries.items():
        key = f"{section}.{name}"
        if not isinstance(entry, Mapping):
            raise UserError(
                f"{key}={format_setting(entry)}: a class with its settings, not a value; set one of them, "
                f"{key}.…=…, or {key}=null to leave it out"
            )
        check_target(entry, key, f"give the full name of a class, {key}._target_=…, or {key}=null to leave it out")
    return {name: dict(entry) for name, entry in entries.items()}


MetricsSection = Annotated[dict[str, dict[str, Any]], PlainValidator(partial(check_named_targets, section="metrics"))]
"""The type of a ``metrics`` section: classes and their arguments by name."""
