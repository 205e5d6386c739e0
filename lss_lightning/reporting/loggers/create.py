"""Creation of the loggers that are listed in the ``logger`` section."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from pathlib import Path
from pydoc import ErrorDuringImport, locate
from typing import Any

from hydra.errors import InstantiationException
from pytorch_lightning.loggers import Logger

from lss_lightning.errors import UserError
from lss_lightning.models.instantiate import instantiate_section

_LIGHTNING_NAME = "lightning_logs"
"""The default ``name`` of those Lightning loggers that write to ``<save_dir>/lightning_logs/version_0``."""


def make_loggers(config: Mapping[str, Mapping[str, Any]], folder: Path) -> dict[str, Logger]:
    """Create loggers without starting them.

    A logger with a ``save_dir`` argument writes to a folder of the run directory that is named after its entry, unless
    the entry sets the argument.

    Args:
        config: The ``logger`` section.
        folder: The run directory.

    Returns:
        The loggers, keyed by the names of their entries.

    Raises:
        UserError: If a class does not exist, needs a package that is not installed, rejects its arguments, or is not a
            logger.
    """
    loggers: dict[str, Logger] = {}
    for name, entry in config.items():
        key = f"logger.{name}"
        try:
            logger = instantiate_section(key, {**_choose_folder(entry, folder / name), **entry})
        except InstantiationException as error:  # loggers raise exceptions of their services, e.g. for a missing key
            reason = " ".join(str(error.__cause__ or error).split())
            raise UserError(
                f"{key}: {entry['_target_']} cannot be created ({reason}); correct its settings, or leave it out with "
                f"{key}=null"
            ) from error
        if not isinstance(logger, Logger):
            raise UserError(
                f"{key}._target_={entry['_target_']}: not a Lightning logger; name a subclass of "
                "pytorch_lightning.loggers.Logger"
            )
        loggers[name] = logger
    return loggers


def _choose_folder(entry: Mapping[str, Any], folder: Path) -> dict[str, str]:
    try:
        target: Any = locate(entry["_target_"])
    except ErrorDuringImport:
        return {}  # the instantiation reports the error
    parameters = signature(target).parameters if isinstance(target, type) else {}
    if "save_dir" not in parameters or "save_dir" in entry:
        return {}
    named = parameters.get("name")
    folders = {"name": "", "version": ""} if named is not None and named.default == _LIGHTNING_NAME else {}
    return {"save_dir": str(folder), **folders}
