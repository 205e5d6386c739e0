"""The sections ``data`` and ``split``, whose ``_target_`` names the class to build."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import PlainValidator

from lss_lightning.config.sections import config_folder
from lss_lightning.config.validation import build, check_is_section
from lss_lightning.data.source import DataSource
from lss_lightning.data.splits import SplitProtocol
from lss_lightning.display import format_setting
from lss_lightning.errors import UserError

Base = TypeVar("Base")


def build_data_source(section: Mapping[str, Any]) -> DataSource:
    """Build the data source that a ``data`` section describes.

    Raises:
        UserError: If the section does not name a data source of this package, or one of its values is not allowed.
    """
    check_is_section(section, "data")
    target = section.get("_target_")
    if target is None:
        raise UserError(
            f"data.name={section.get('name')}: not a data source; choose one with data=alkafri or data=phantom"
        )
    source = _find_class(str(target), DataSource)
    if source is None:
        raise UserError(f"data._target_={target}: not a data source; give the class of a DataSource of lss_lightning")
    return build(source, section, "data")


def build_split_protocol(section: Mapping[str, Any]) -> SplitProtocol:
    """Build the split protocol that a ``split`` section describes.

    Raises:
        UserError: If the section does not name a protocol of this package, or one of its values is not allowed.
    """
    check_is_section(section, "split")
    target = section.get("_target_")
    protocol = _find_class(str(target), SplitProtocol)
    if protocol is None:
        names = ", ".join(sorted(path.stem for path in (config_folder() / "split").glob("*.yaml")))
        raise UserError(
            f"split._target_={format_setting(target)}: not a split protocol; choose one with split=…: {names}"
        )
    return build(protocol, section, "split")


DataSection = Annotated[DataSource, PlainValidator(build_data_source)]
"""The type of a ``data`` section, which is built as its data source."""

SplitSection = Annotated[SplitProtocol, PlainValidator(build_split_protocol)]
"""The type of a ``split`` section, which is built as its split protocol."""


def _find_class(target: str, base: type[Base]) -> type[Base] | None:
    """Return the class with a dotted name if it is a subclass of ``base`` in this package.

    Only this package's modules are imported, because the name may come from an untrusted checkpoint.
    """
    module, _, name = target.rpartition(".")
    if not module.startswith(("lss_lightning.data.", "lss_lightning.phantom.")):
        return None
    try:
        candidate: Any = getattr(importlib.import_module(module), name, None)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        return None
    is_subclass = isinstance(candidate, type) and issubclass(candidate, base) and candidate is not base
    return candidate if is_subclass else None
