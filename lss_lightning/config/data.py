"""The ``data`` and ``split`` sections, whose ``_target_`` names the class to build."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import PlainValidator

from lss_lightning.config.sections import config_folder
from lss_lightning.config.validation import build, check_is_section
from lss_lightning.data.source import DataSource
from lss_lightning.data.splits import SplitProtocol
from lss_lightning.display import format_setting
from lss_lightning.errors import UserError
from lss_lightning.runs.arguments import import_name
from lss_lightning.runs.trust import check_stored_section

Base = TypeVar("Base")


def build_data_source(section: Mapping[str, Any], *, stored_by: str | None = None) -> DataSource:
    """Build the data source that a ``data`` section describes.

    Args:
        section: The section. ``_target_`` names any :class:`~lss_lightning.data.source.DataSource`.
        stored_by: The name of the run that stores the section, or None if the user provides the section. A stored
            section may only name trusted classes.

    Raises:
        UserError: If the section does not name a trusted data source, or a value is not allowed.
    """
    check_is_section(section, "data")
    if section.get("_target_") is None:
        raise UserError(
            f"data.name={section.get('name')}: not a data source; choose one with data=alkafri or data=phantom"
        )
    return _build("data", section, DataSource, "give the class of a DataSource", stored_by)


def build_split_protocol(section: Mapping[str, Any], *, stored_by: str | None = None) -> SplitProtocol:
    """Build the split protocol that a ``split`` section describes.

    Args:
        section: The section. ``_target_`` names any :class:`~lss_lightning.data.splits.SplitProtocol`.
        stored_by: As for :func:`build_data_source`.

    Raises:
        UserError: If the section does not name a trusted protocol, or a value is not allowed.
    """
    check_is_section(section, "split")
    names = ", ".join(sorted(path.stem for path in (config_folder() / "split").glob("*.yaml")))
    return _build("split", section, SplitProtocol, f"choose one with split=…: {names}", stored_by)


DataSection = Annotated[DataSource, PlainValidator(build_data_source)]
"""The type of a ``data`` section, which is converted to a data source."""

SplitSection = Annotated[SplitProtocol, PlainValidator(build_split_protocol)]
"""The type of a ``split`` section, which is converted to a split protocol."""


def _build(key: str, section: Mapping[str, Any], base: type[Base], hint: str, stored_by: str | None) -> Base:
    if stored_by is not None:
        check_stored_section(key, section, f"{stored_by}: settings of the checkpoint")
    target = section.get("_target_")
    try:
        schema = import_name(target) if isinstance(target, str) else None
    except ImportError as error:
        raise UserError(f"{key}._target_={target}: cannot be imported ({error}); {hint}") from error
    if not isinstance(schema, type) or not issubclass(schema, base) or schema is base:
        kind = {"data": "data source", "split": "split protocol"}[key]
        raise UserError(f"{key}._target_={format_setting(target)}: not a {kind}; {hint}")
    return build(schema, section, key)
