"""Sources and split protocols, by the class that their section names."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, TypeVar

from lss_lightning.config.sections import config_folder
from lss_lightning.config.validation import build, check_section
from lss_lightning.data.source import DataSource
from lss_lightning.data.splits import SplitProtocol
from lss_lightning.display import format_setting
from lss_lightning.errors import UserError

T = TypeVar("T")


def data_source(section: Mapping[str, Any]) -> DataSource:
    """The source that a data section describes.

    Raises:
        UserError: the section names no source of this package, or one of its values is wrong.
    """
    check_section("data", section)
    target = section.get("_target_")
    if target is None:
        raise UserError(f"data.name={section.get('name')}: no data source; choose one by data=alkafri or data=phantom")
    found = _class_of_data(str(target), DataSource)
    if found is None:
        raise UserError(f"data._target_={target}: no data source; name a DataSource of lss_lightning")
    return build(found, section, "data")


def split_protocol(section: Mapping[str, Any]) -> SplitProtocol:
    """The protocol that a split section describes.

    Raises:
        UserError: the section names no protocol of this package, or one of its values is wrong.
    """
    check_section("split", section)
    target = section.get("_target_")
    found = _class_of_data(str(target), SplitProtocol)
    if found is None:
        names = ", ".join(sorted(path.stem for path in (config_folder() / "split").glob("*.yaml")))
        raise UserError(f"split._target_={format_setting(target)}: no split protocol; choose one by split=…: {names}")
    return build(found, section, "split")


def _class_of_data(target: str, base: type[T]) -> type[T] | None:
    """The class of that name, if it is one of this package that derives from ``base``.

    The name may come out of somebody's checkpoint: only our own classes are looked up.
    """
    module, _, name = target.rpartition(".")
    if not module.startswith(("lss_lightning.data.", "lss_lightning.phantom.")):
        return None
    try:
        found: Any = getattr(importlib.import_module(module), name, None)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        return None
    return found if isinstance(found, type) and issubclass(found, base) and found is not base else None
