"""The top of a command's configuration: its sections, and the single values beside them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from omegaconf import DictConfig, OmegaConf

from lss_lightning.errors import UserError
from lss_lightning.settings import check, check_keys, setting


@dataclass(frozen=True)
class Top:
    """Single values of every command."""

    name: str = setting()


def plain_data(cfg: DictConfig, keys: set[str]) -> dict[str, Any]:
    """The configuration as plain data.

    Args:
        cfg: As Hydra composed it.
        keys: What it must have at its top, and nothing else.

    Raises:
        UserError: a key is missing, or one is not allowed.
    """
    plain: Any = OmegaConf.to_container(cfg, resolve=True)
    check_keys(plain, keys, "", required=sorted(keys))
    return {str(key): value for key, value in plain.items()}


def top_values(schema: type[Top], plain: Mapping[str, Any]) -> dict[str, Any]:
    """The checked single values.

    Raises:
        UserError: one is not allowed.
    """
    values = check(schema, {key: plain[key] for key in names(schema)}, "")
    if not re.fullmatch(r"\w[\w .+-]*", values["name"]):
        raise UserError(
            f"name={values['name']}: it names the run's folder; only letters, digits, spaces and . _ + - are allowed"
        )
    return values


def names(schema: type[Any]) -> set[str]:
    """The fields of a dataclass."""
    return {entry.name for entry in fields(schema)}
